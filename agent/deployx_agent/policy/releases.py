"""Whether this machine takes a release: pure functions of its policy, the order, the payload, what was here before, and
the time.

Invariant: hash, then signatures, then the manifest is read; nothing of a payload counts before. A stolen server can
give a release that operators have signed to a machine that asks for that, and nothing else, and never an older one.
"""

import hashlib
from datetime import datetime
from typing import NamedTuple

from deployx_agent.policy import signers
from deployx_agent.policy.file import Found
from deployx_protocol.checks import InvalidPayload
from deployx_protocol.policy import Policy, Refusal, Releases
from deployx_protocol.release_policy import not_taken_back, not_yet, older, release_forbidden
from deployx_protocol.releases import PAYLOAD_TYPE, Action, Manifest, parse
from deployx_protocol.task_messages import ReleaseOrder
from deployx_protocol.tasks import TaskCode


class Accepted(NamedTuple):
    """A release that may be handled here."""

    manifest: Manifest
    signed_by: tuple[str, ...] = ()
    """The operators whose signatures counted; empty where none is asked for."""


def before_fetch(found: Found | None, order: ReleaseOrder, now: datetime) -> Refusal | None:
    """What can be said while the payload is not there."""
    if found is None:
        return None
    if found.policy is None:
        return unusable(found)
    return not_yet(found.policy, len(order.signatures), now)


def release_refusal(
    found: Found | None, order: ReleaseOrder, payload: bytes, own_user: str, highest: int | None, now: datetime
) -> Accepted | Refusal:
    """Whether ``order`` may be followed with ``payload``, before anything is changed.

    ``highest`` is the greatest number of this name that was ever accepted here; None if there was none.
    """
    if len(payload) != order.size or hashlib.sha256(payload).hexdigest() != order.sha256:
        return Refusal(TaskCode.RELEASE_UNREADABLE, "What the server sent is not the release that it named.")
    refusal = before_fetch(found, order, now)
    if refusal:
        return refusal
    policy = found.policy if found else None
    signed_by: tuple[str, ...] = ()
    if policy and policy.release_demand is Releases.SIGNED:
        try:
            signed_by = signers.enough(policy, PAYLOAD_TYPE, payload, order.signatures, now)
        except InvalidPayload as error:
            return Refusal(TaskCode.POLICY_SIGNATURE, f"{str(error).rstrip('.')}.")
    manifest = _read(payload, policy, own_user)
    if isinstance(manifest, Refusal):
        return manifest
    return older(manifest, highest) or Accepted(manifest, signed_by)


def previous_refusal(found: Found | None, manifest: Manifest, payload: bytes, own_user: str) -> Manifest | Refusal:
    """Whether ``payload`` is the previous version that ``manifest`` names, which vouches for it by its hash.

    To be asked before anything is changed: going back later waits for nobody.
    """
    named = manifest.previous
    if named is None or len(payload) != named.size or hashlib.sha256(payload).hexdigest() != named.sha256:
        return Refusal(TaskCode.RELEASE_UNREADABLE, "What the server sent is not the previous release.")
    previous = _read(payload, found.policy if found else None, own_user)
    if isinstance(previous, Manifest) and (previous.name != manifest.name or previous.number >= manifest.number):
        return Refusal(TaskCode.RELEASE_UNREADABLE, "The previous release is another one's, or not an earlier one.")
    return previous


def taken_back_refusal(found: Found | None, action: Action, manifest: Manifest, back_to: str) -> Refusal | None:
    """Why this machine does not take ``manifest`` back to ``back_to`` at its server's word, or remove it."""
    if found is None:
        return None
    return not_taken_back(found.policy, action, manifest, back_to) if found.policy else unusable(found)


def stopped(by: str) -> Refusal | None:
    """That the file ``by``, if there is one, stops all work."""
    return Refusal(TaskCode.POLICY_STOP, f"All work on this machine is stopped by the file {by}.") if by else None


def unusable(found: Found) -> Refusal:
    """Of a policy that cannot be used."""
    return Refusal(TaskCode.POLICY_UNUSABLE, f"{found.error} Nothing is run until somebody mends it.")


def _read(payload: bytes, policy: Policy | None, own_user: str) -> Manifest | Refusal:
    try:
        manifest = parse(payload)
    except InvalidPayload as error:
        return Refusal(TaskCode.RELEASE_UNREADABLE, str(error))
    return (release_forbidden(policy, manifest, own_user) if policy else None) or manifest
