"""Who may do what: one table, and what it does not name is refused.

Every route under ``/api`` asks for exactly one of these, or stands in ``PUBLIC``; a test walks all routes.
"""

from enum import StrEnum


class Role(StrEnum):
    """What a user is."""

    VIEWER = "viewer"  # looks at own devices and runs
    OPERATOR = "operator"  # also adds, changes and removes devices, and runs commands on them
    ADMIN = "admin"  # also sees everyone's


class Permission(StrEnum):
    """What a route or an event asks for."""

    ACCOUNT_OWN = "account:own"  # see oneself, sign out
    TOKENS_OWN = "tokens:own"  # make, list and delete one's own API tokens
    DEVICES_READ = "devices:read"  # see devices, their history, counts and claims
    DEVICES_WRITE = "devices:write"  # rename, tag, delete; answer claims
    DEVICES_ENROLL = "devices:enroll"  # enrolment tokens; accept and reject
    DEVICES_ASSIGN = "devices:assign"  # give a device to another user
    DEVICES_ALL = "devices:all"  # everyone's devices, not only one's own
    RUNS_READ = "runs:read"  # see runs, their tasks and output, and one's saved commands
    RUNS_WRITE = "runs:write"  # preview, start, cancel and repeat runs; save commands
    GROUPS_OWN = "groups:own"  # make, list, change and delete one's own groups of devices one may see
    USERS_READ = "users:read"
    AUDIT_READ = "audit:read"  # see and export what was done, by anyone
    METRICS_READ = "metrics:read"


_VIEWER = frozenset(
    {
        Permission.ACCOUNT_OWN,
        Permission.TOKENS_OWN,
        Permission.DEVICES_READ,
        Permission.GROUPS_OWN,
        Permission.RUNS_READ,
    }
)
_OPERATOR = _VIEWER | {Permission.DEVICES_WRITE, Permission.DEVICES_ENROLL, Permission.RUNS_WRITE}

GRANTS: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _OPERATOR,
    Role.ADMIN: frozenset(Permission),
}

PUBLIC = frozenset({("POST", "/api/v1/auth/login"), ("GET", "/api/docs"), ("GET", "/api/openapi.json")})
"""The routes under ``/api`` that ask for no permission."""


def granted(role: str) -> frozenset[Permission]:
    """What ``role`` may do; nothing for a role that is not in the table."""
    return GRANTS[Role(role)] if role in GRANTS else frozenset()
