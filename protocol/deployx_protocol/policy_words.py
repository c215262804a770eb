"""A policy in plain words: for `deployx-agent policy check`, the dashboard, and one line among a device's facts."""

from datetime import datetime
from typing import NamedTuple

from deployx_protocol.policy import Demand, Policy, PolicyReport, Releases, Scripts, TakeBack


class Words(NamedTuple):
    """What the server may do on a machine, and what it may not; each goes on from these words."""

    may: list[str]
    may_not: list[str]


def words(policy: Policy, own_user: str, now: datetime) -> Words:
    """All of ``policy``."""
    told = Words([], [])
    if policy.stop:
        told.may_not.append("Start nothing: the policy says stop = true.")
    _signatures(policy, now, told)
    _kinds(policy, told)
    _form(policy, own_user, told)
    return told


def _signatures(policy: Policy, now: datetime, told: Words) -> None:
    if policy.runs is Demand.SIGNED:
        told.may.append(f"Pass on runs that are signed by {_signers(policy, now)}.")
        told.may_not.append("Start a run of its own, nor change, repeat or redirect a signed one.")
    else:
        told.may.append("Start runs without anybody's signature.")
    if policy.release_demand is Releases.SIGNED:
        told.may_not.append(f"Install a release that {_signers(policy, now)} did not sign.")
    elif policy.release_demand is Releases.NONE:
        told.may_not.append("Install releases.")
    else:
        told.may.append("Install any release.")
    _taken_back(policy, told)


def _taken_back(policy: Policy, told: Words) -> None:
    if policy.release_demand is Releases.NONE:
        return
    match policy.may_take_back:
        case TakeBack.ANY:
            told.may.append("Have any release taken back or removed that is installed.")
        case TakeBack.NAMED:
            told.may.append("Have a release taken back to the one that it names as its previous.")
            told.may_not.append("Have a release removed, or taken back to anything else.")
        case TakeBack.NONE:
            told.may_not.append("Have a release taken back or removed.")


def _signers(policy: Policy, now: datetime) -> str:
    names = ", ".join(f"{one.name} (key {one.key_id}{_until(one.until, now)})" for one in policy.operator)
    several = f"{policy.threshold} of " if policy.threshold > 1 or len(policy.operator) > 1 else ""
    return f"{several}{names}"


def _until(until: datetime | None, now: datetime) -> str:
    if until is None:
        return ""
    return f", expired on {until:%Y-%m-%d}" if until <= now else f", until {until:%Y-%m-%d}"


def _kinds(policy: Policy, told: Words) -> None:
    if policy.may_command:
        told.may.append("Run any program with any arguments; a shell is a program too.")
    else:
        told.may_not.append("Run commands.")
    if policy.may_shell:
        told.may.append("Run lines of the shell.")
    else:
        told.may_not.append("Run lines of the shell.")
    if policy.scripts is Scripts.ANY:
        told.may.append("Run any script.")
    elif policy.scripts is Scripts.NONE:
        told.may_not.append("Run scripts.")
    else:
        for script in policy.script:
            how = "any arguments" if script.args else "no arguments"
            how += f" and {', '.join(script.env)} in the environment" if script.env else ""
            name = f"{script.name} " if script.name else ""
            told.may.append(f"Run the script {name}({script.sha256[:16]}…) with {' '.join(script.interpreter)}, {how}.")
        told.may_not.append("Run any other script." if policy.script else "Run scripts: none is listed.")


def _form(policy: Policy, own_user: str, told: Words) -> None:
    if policy.users is None:
        told.may.append(f"Run things as any user, and as {own_user or 'the agent itself'} if it names none.")
    else:
        told.may_not.append(f"Run anything as another user than {', '.join(policy.users) or '(none is named)'}.")
    if policy.max_timeout_s is not None:
        told.may_not.append(f"Let anything run for more than {policy.max_timeout_s:g} s.")
    if policy.hours:
        told.may_not.append(f"Start anything outside of {policy.hours.words()}.")


def summary(report: PolicyReport) -> str:
    """One line."""
    if report.stop:
        return f"stopped by {report.stop}"
    if report.error or report.rules is None:
        return f"unusable, nothing runs: {report.error}"
    rules, said = report.rules, []
    if rules.stop:
        said.append("stopped")
    signed = ["runs"] if rules.runs is Demand.SIGNED else []
    signed += ["releases"] if rules.release_demand is Releases.SIGNED else []
    said += [f"{' and '.join(signed)} signed by {rules.threshold} of {len(rules.operator)}"] if signed else []
    said += ["no releases"] if rules.release_demand is Releases.NONE else []
    kinds = [] if rules.may_shell else ["shell"]
    kinds += [] if rules.may_command else ["commands"]
    kinds += ["scripts"] if rules.scripts is Scripts.NONE else []
    said += [f"no {' or '.join(kinds)}"] if kinds else []
    said += [f"scripts: {len(rules.script)} listed"] if rules.scripts is Scripts.LISTED else []
    said += [f"as {', '.join(rules.users)}"] if rules.users is not None else []
    said += [f"at most {rules.max_timeout_s:g} s"] if rules.max_timeout_s is not None else []
    said += [rules.hours.words()] if rules.hours else []
    return "; ".join(said) or "allows everything"
