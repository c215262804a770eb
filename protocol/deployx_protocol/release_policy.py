"""What the policy of a machine says of a release: one pure function for the agent, which enforces, and for the server,
which foretells.

Invariant: a step of a release may do what a run may do there, and nothing more.
"""

from datetime import datetime

from deployx_protocol.policy import Policy, Refusal, Releases, TakeBack, barred, closed
from deployx_protocol.releases import Action, Manifest, Step
from deployx_protocol.signed_runs import Asked
from deployx_protocol.tasks import TaskCode

UNSIGNED = (
    "The policy of this machine installs only releases that operators have signed, and this is not; "
    "sign it with `deployx release sign`."
)


def not_yet(policy: Policy, signatures: int, now: datetime) -> Refusal | None:
    """What can be said before the manifest is there: why no release, or none with so few signatures, may start now."""
    refusal = closed(policy, now)
    if refusal or policy.release_demand is Releases.ANY:
        return refusal
    if policy.release_demand is Releases.NONE:
        return _forbids("installs no releases")
    return Refusal(TaskCode.POLICY_UNSIGNED, UNSIGNED) if signatures == 0 else None


def release_forbidden(policy: Policy, manifest: Manifest, own_user: str) -> Refusal | None:
    """Why ``policy`` does not let the steps of ``manifest`` run, whoever has signed it."""
    if policy.release_demand is Releases.NONE:
        return _forbids("installs no releases")
    if policy.users is not None and own_user not in policy.users:
        return _forbids(f"lets nothing run as {own_user or 'the agent itself'}, and releases are installed so")
    if policy.max_timeout_s is not None and manifest.timeout_s > policy.max_timeout_s:
        return _forbids(
            f"allows a time-out of {policy.max_timeout_s:g} s at most, and this release has {manifest.timeout_s:g} s"
        )
    by_name = {one.name: one.sha256 for one in manifest.artifacts}
    for name, step in manifest.steps().items():
        refusal = barred(policy, asked_of(step, by_name.get(step.artifact or "")), own_user)
        if refusal:
            return Refusal(refusal.code, f"{refusal.message.rstrip('.')}: `{name}` of the release.")
    return None


def not_taken_back(policy: Policy, action: Action, manifest: Manifest, back_to: str) -> Refusal | None:
    """Why ``policy`` does not let the server have ``manifest`` taken back, to the payload ``back_to`` (empty: to what
    was there without a release). Signatures say what may be put on a machine, not what may be taken from it."""
    if action is Action.INSTALL or policy.may_take_back is TakeBack.ANY:
        return None
    if action is Action.REMOVE:
        return _forbids(
            "does not let the server remove what is installed; install a release that removes it, signed as any other"
        )
    if policy.may_take_back is TakeBack.NONE:
        return _forbids("does not let the server take a release back; install one that brings the old content")
    if manifest.previous is not None and manifest.previous.sha256 == back_to:
        return None
    return _forbids(
        f"takes a release back only to the one that it names as `previous`, and {manifest.version} "
        f"{'goes back to another one' if manifest.previous else 'names none'}; install a release of the old content"
    )


def asked_of(step: Step, artifact_sha256: str | None) -> Asked:
    """What ``step`` does, as a run would be asked to; an artifact that is run is a script."""
    return Asked.of(
        command=step.command,
        shell=step.shell,
        script_sha256=artifact_sha256,
        interpreter=step.interpreter,
        args=step.args,
        user="",
        cwd="",
        env=step.env,
        timeout_s=step.timeout_s,
    )


def older(manifest: Manifest, highest: int | None) -> Refusal | None:
    """Why a machine that has once had number ``highest`` of this name does not take ``manifest``.

    It holds for every action: one that could be told to revert an old release could be walked back step by step.
    """
    if highest is None or manifest.number >= highest:
        return None
    return Refusal(
        TaskCode.RELEASE_OLDER,
        f"This machine has had number {highest} of {manifest.name}, and {manifest.version} is number "
        f"{manifest.number}: a release never goes back. To go back, make a release of the old content.",
    )


def _forbids(why: str) -> Refusal:
    return Refusal(TaskCode.POLICY_FORBIDS, f"The policy of this machine {why}.")
