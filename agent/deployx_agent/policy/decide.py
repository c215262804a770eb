"""Whether this machine runs a task: one pure function of its policy, the task, the machine and the time.

Whose signatures are good is said by ``signers``. Invariant: what is run is compared with what was signed, field by
field, so a server can pass a signed run on, late or never, and do nothing else with it.
"""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from deployx_agent.policy import signers
from deployx_agent.policy.file import Found
from deployx_agent.policy.releases import before_fetch, unusable
from deployx_protocol import signed_runs
from deployx_protocol.checks import InvalidPayload
from deployx_protocol.policy import Demand, Policy, Refusal, forbidden
from deployx_protocol.signed_runs import CLOCKS_DIFFER_S, Asked, SignedRun, key_id
from deployx_protocol.task_messages import Task
from deployx_protocol.tasks import TaskCode

_CLOCKS_DIFFER = timedelta(seconds=CLOCKS_DIFFER_S)
_SIGN_ANEW = "sign it anew with `deployx run --sign`"


class Machine(NamedTuple):
    """Who is asked."""

    public_key: str
    hostname: str
    user: str
    """The agent's own."""
    remembers_since: datetime
    """When its memory of tasks began: what was signed before may have been run and forgotten."""


class Allowed(NamedTuple):
    """It may run. ``number`` is what it uses up, if it was signed; that is to be remembered until ``expires_at``."""

    signers: tuple[str, ...] = ()
    number: str = ""
    expires_at: datetime | None = None


def decide(found: Found | None, task: Task, machine: Machine, now: datetime) -> Allowed | Refusal:
    """Whether ``task`` may start on ``machine``, as ``found`` has it. A number that was used is not known here."""
    if task.release is not None:  # the rest is decided when it was fetched: `releases.release_refusal`
        return before_fetch(found, task.release, now) or Allowed()
    if found is None:
        return Allowed()
    if found.policy is None:
        return unusable(found)
    refusal = forbidden(found.policy, asked_of(task), machine.user, now)
    if refusal:
        return refusal
    return _signed(found.policy, task, machine, now) if found.policy.runs is Demand.SIGNED else Allowed()


def asked_of(task: Task) -> Asked:
    """What ``task`` does."""
    script = task.script
    return Asked.of(
        command=task.argv,
        shell=task.shell,
        script_sha256=script.sha256 if script else None,
        interpreter=script.interpreter if script else (),
        args=script.args if script else (),
        user=task.run_as,
        cwd=task.cwd,
        env=task.env,
        timeout_s=task.timeout_s,
    )


def _signed(policy: Policy, task: Task, machine: Machine, now: datetime) -> Allowed | Refusal:
    if task.envelope is None:
        return Refusal(
            TaskCode.POLICY_UNSIGNED,
            "The policy of this machine runs only what an operator has signed, and this is not; "
            "start it with `deployx run --sign`.",
        )
    try:
        body = task.envelope.body()
        names = signers.enough(policy, task.envelope.payloadType, body, task.envelope.signatures, now)
        run = signed_runs.read(task.envelope)
    except InvalidPayload as error:
        return _bad(str(error).rstrip("."))
    why = _misused(run, task, machine, now)
    if why:
        return _bad(why)
    return Allowed(names, run.number, run.expires_at)


def _misused(run: SignedRun, task: Task, machine: Machine, now: datetime) -> str:
    """How ``task`` differs from what was signed; empty if it does not."""
    if run.asked() != asked_of(task):
        return "What was signed is not what the server asks for"
    name = run.targets.get(key_id(machine.public_key))
    if name is None:
        return "It was signed for other machines"
    if name != machine.hostname:
        return f"It was signed for a machine named {name!r}, and this one is named {machine.hostname!r}"
    if now >= run.expires_at + _CLOCKS_DIFFER:
        return f"It was to start before {_at(run.expires_at)}, and the clock here says {_at(now)}; {_SIGN_ANEW}"
    if now < run.issued_at - _CLOCKS_DIFFER:
        return f"It was signed at {_at(run.issued_at)}, and the clock here says {_at(now)}; one of the two is wrong"
    if run.issued_at < machine.remembers_since:
        since = _at(machine.remembers_since)
        return f"It was signed before {since}, when the memory of tasks here begins: it may have run; {_SIGN_ANEW}"
    return ""


def _bad(why: str) -> Refusal:
    return Refusal(TaskCode.POLICY_SIGNATURE, f"{why}.")


def _at(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
