"""The names of what is recorded, and who can have done it."""

import getpass
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What was done. The part before the dot says to what kind of thing."""

    USER_SIGNED_IN = "user.signed_in"
    USER_SIGN_IN_REFUSED = "user.sign_in_refused"
    USER_CODE_REFUSED = "user.code_refused"
    USER_PROVEN = "user.proven"
    USER_SIGNED_OUT = "user.signed_out"
    USER_SESSION_ENDED = "user.session_ended"
    USER_PASSWORD_CHANGED = "user.password_changed"  # noqa: S105 - a name
    TWO_FACTOR_ENABLED = "user.two_factor_enabled"
    TWO_FACTOR_DISABLED = "user.two_factor_disabled"
    TWO_FACTOR_RESET = "user.two_factor_reset"
    RECOVERY_CODES_MADE = "user.recovery_codes_made"
    USER_CREATED = "user.created"
    USER_PASSWORD_RESET = "user.password_reset"  # noqa: S105 - a name
    USER_DISABLED = "user.disabled"
    USER_ENABLED = "user.enabled"
    USER_ROLE_CHANGED = "user.role_changed"
    INVITATION_CREATED = "invitation.created"
    INVITATION_REVOKED = "invitation.revoked"
    INVITATION_ACCEPTED = "invitation.accepted"
    API_TOKEN_CREATED = "api_token.created"  # noqa: S105 - a name
    API_TOKEN_DELETED = "api_token.deleted"  # noqa: S105 - a name
    REQUEST_REFUSED = "request.refused"
    ENROLLMENT_TOKEN_CREATED = "enrollment_token.created"  # noqa: S105 - a name
    ENROLLMENT_TOKEN_REVOKED = "enrollment_token.revoked"  # noqa: S105 - a name
    DEVICE_ENROLLED = "device.enrolled"
    DEVICE_ACCEPTED = "device.accepted"
    DEVICE_REJECTED = "device.rejected"
    DEVICE_CHANGED = "device.changed"
    DEVICE_DELETED = "device.deleted"
    DEVICE_QUARANTINED = "device.quarantined"
    DEVICE_CLAIMED = "device.claimed"
    DEVICE_SPLIT = "device.split"
    CLAIM_ANSWERED = "claim.answered"
    GROUP_CREATED = "group.created"
    GROUP_CHANGED = "group.changed"
    GROUP_DELETED = "group.deleted"
    GROUP_MEMBER_ADDED = "group.member_added"
    GROUP_MEMBER_CHANGED = "group.member_changed"
    GROUP_MEMBER_REMOVED = "group.member_removed"
    GROUP_LEFT = "group.left"
    SAVED_COMMAND_CREATED = "saved_command.created"
    SAVED_COMMAND_DELETED = "saved_command.deleted"
    RUN_STARTED = "run.started"
    RUN_CANCELLED = "run.cancelled"
    RUN_WITHDRAWN = "run.withdrawn"
    TASK_CANCELLED = "task.cancelled"
    RUN_REFUSED = "run.refused"
    DEPLOYMENT_CREATED = "deployment.created"
    DEPLOYMENT_APPROVED = "deployment.approved"
    DEPLOYMENT_REJECTED = "deployment.rejected"
    DEPLOYMENT_WAVE_OPENED = "deployment.wave_opened"
    DEPLOYMENT_PROMOTED = "deployment.promoted"
    DEPLOYMENT_PAUSED = "deployment.paused"
    DEPLOYMENT_RESUMED = "deployment.resumed"
    DEPLOYMENT_ABORTED = "deployment.aborted"
    DEPLOYMENT_ROLLED_BACK = "deployment.rolled_back"
    DEPLOYMENT_RETRIED = "deployment.retried"
    DEPLOYMENT_JOINED = "deployment.joined"
    DEPLOYMENT_ENDED = "deployment.ended"
    RELEASE_CREATED = "release.created"
    RELEASE_SIGNED = "release.signed"
    RELEASE_DELETED = "release.deleted"
    SCHEDULE_CREATED = "schedule.created"
    SCHEDULE_CHANGED = "schedule.changed"
    SCHEDULE_PAUSED = "schedule.paused"
    SCHEDULE_RESUMED = "schedule.resumed"
    SCHEDULE_DELETED = "schedule.deleted"
    SCHEDULE_STARTED_BY_HAND = "schedule.started_by_hand"
    SCHEDULE_REFUSED = "schedule.refused"
    ARTIFACT_UPLOADED = "artifact.uploaded"
    ARTIFACT_DELETED = "artifact.deleted"
    OUTPUT_READ = "output.read"
    OUTPUT_DOWNLOADED = "output.downloaded"
    AUDIT_EXPORTED = "audit.exported"
    AUDIT_PRUNED = "audit.pruned"


class ActorKind(StrEnum):
    """What kind of someone did it."""

    USER = "user"  # over a session or an API token
    AGENT = "agent"
    COMMAND_LINE = "command line"  # someone with an account of the operating system on the server
    SERVER = "server"  # by itself
    NOBODY = "nobody"  # someone who is not signed in


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it, from where. ``via`` is the session or the API token by its id; ``id`` is a user's or a device's."""

    kind: ActorKind
    name: str
    id: int | None = None
    via: str = ""
    source_ip: str = ""

    @classmethod
    def command_line(cls) -> "Actor":
        """Whoever runs this process."""
        try:
            name = getpass.getuser()
        except (KeyError, OSError):  # an id without a name, as containers have them
            name = "unknown"
        return cls(ActorKind.COMMAND_LINE, name)

    @classmethod
    def agent(cls, device_id: int | None, agent_id: str, source_ip: str) -> "Actor":
        """A device's agent, or what says that it is one."""
        return cls(ActorKind.AGENT, agent_id, device_id, source_ip=source_ip)


def numbers(ids: Iterable[int]) -> str:
    """``ids`` in few characters: ``1-200,305``. A run may reach ten thousand devices that follow each other."""
    spans: list[list[int]] = []
    for number in sorted(set(ids)):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


SERVER = Actor(ActorKind.SERVER, "server")
