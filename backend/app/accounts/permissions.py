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
    ACCOUNT_CHANGE = "account:change"  # see and end one's own sessions, change one's password and second factor
    TOKENS_OWN = "tokens:own"  # make, list and delete one's own API tokens
    DEVICES_READ = "devices:read"  # see devices, their history, counts and claims
    DEVICES_WRITE = "devices:write"  # rename, tag, delete; answer claims
    DEVICES_ENROLL = "devices:enroll"  # enrolment tokens; accept and reject
    DEVICES_ASSIGN = "devices:assign"  # give a device to another user
    DEVICES_ALL = "devices:all"  # everyone's devices, not only one's own
    RUNS_READ = "runs:read"  # see runs, their tasks and output, and one's saved commands
    RUNS_WRITE = "runs:write"  # preview, start, cancel and repeat runs; save commands
    DEPLOYMENTS_READ = "deployments:read"  # see deployments, their devices and what was decided
    DEPLOYMENTS_WRITE = "deployments:write"  # preview, start, pause, abort, roll back and repeat deployments
    DEPLOYMENTS_APPROVE = "deployments:approve"  # say yes or no to somebody else's deployment to many devices
    RELEASES_READ = "releases:read"  # see releases and artifacts, and download these
    RELEASES_WRITE = "releases:write"  # make, sign and delete releases, upload and delete artifacts
    SCHEDULES_READ = "schedules:read"  # see schedules, when they are due and what came of it
    SCHEDULES_WRITE = "schedules:write"  # make, change, pause and delete them; what they start needs its own right
    SOFTWARE_READ = "software:read"  # see what is installed on devices, and which devices have it
    GROUPS_SHARE = "groups:share"  # say who else sees the devices of one's own groups; leave those of others
    GROUPS_OWN = "groups:own"  # make, list, change and delete one's own groups of devices one may see
    USERS_READ = "users:read"
    USERS_MANAGE = "users:manage"  # invite people, change their roles, shut them out and let them in again
    AUDIT_READ = "audit:read"  # see and export what was done, by anyone
    METRICS_READ = "metrics:read"


_VIEWER = frozenset(
    {
        Permission.ACCOUNT_OWN,
        Permission.ACCOUNT_CHANGE,
        Permission.TOKENS_OWN,
        Permission.DEVICES_READ,
        Permission.GROUPS_OWN,
        Permission.GROUPS_SHARE,
        Permission.RELEASES_READ,
        Permission.DEPLOYMENTS_READ,
        Permission.RUNS_READ,
        Permission.SCHEDULES_READ,
        Permission.SOFTWARE_READ,
    }
)
_OPERATOR = _VIEWER | {
    Permission.DEVICES_WRITE,
    Permission.DEVICES_ENROLL,
    Permission.RUNS_WRITE,
    Permission.RELEASES_WRITE,
    Permission.DEPLOYMENTS_WRITE,
    Permission.DEPLOYMENTS_APPROVE,
    Permission.SCHEDULES_WRITE,
}

GRANTS: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _OPERATOR,
    Role.ADMIN: frozenset(Permission),
}


class TokenScope(StrEnum):
    """What an API token may be limited to. Each also lets it read what its user may see."""

    READ = "read"
    RUNS = "runs"  # start, cancel, repeat and schedule runs; save commands
    DEPLOYMENTS = "deployments"  # upload artifacts; make and sign releases; start and steer deployments
    DEVICES = "devices"  # change, tag and remove devices, groups and enrolment tokens; answer claims
    ADMIN = "admin"  # what else its user may as an administrator: people, the audit record, metrics


_READ = frozenset(
    {
        Permission.ACCOUNT_OWN,
        Permission.DEVICES_READ,
        Permission.RUNS_READ,
        Permission.RELEASES_READ,
        Permission.DEPLOYMENTS_READ,
        Permission.SCHEDULES_READ,
        Permission.SOFTWARE_READ,
        Permission.DEVICES_ALL,
    }
)
SCOPES: dict[TokenScope, frozenset[Permission]] = {
    TokenScope.READ: _READ,
    TokenScope.RUNS: _READ | {Permission.RUNS_WRITE, Permission.SCHEDULES_WRITE},
    TokenScope.DEPLOYMENTS: _READ
    | {Permission.RELEASES_WRITE, Permission.DEPLOYMENTS_WRITE, Permission.DEPLOYMENTS_APPROVE}
    | {Permission.SCHEDULES_WRITE},
    TokenScope.DEVICES: _READ
    | {Permission.DEVICES_WRITE, Permission.DEVICES_ENROLL, Permission.DEVICES_ASSIGN, Permission.GROUPS_OWN},
    TokenScope.ADMIN: _READ | {Permission.USERS_READ, Permission.AUDIT_READ, Permission.METRICS_READ},
}
"""What each scope leaves of a role. A token without scopes may all that its user may; none of these makes tokens,
changes passwords, ends sessions, invites people or shares devices, so that a limited token does not become an unlimited
one."""

PUBLIC = frozenset(
    {
        ("POST", "/api/v1/auth/login"),
        ("POST", "/api/v1/auth/invitation"),
        ("POST", "/api/v1/auth/invitation/accept"),
        ("POST", "/api/v1/auth/login/second-factor"),
        ("GET", "/api/docs"),
        ("GET", "/api/openapi.json"),
    }
)
"""The routes under ``/api`` that ask for no permission."""


def granted(role: str) -> frozenset[Permission]:
    """What ``role`` may do; nothing for a role that is not in the table."""
    return GRANTS[Role(role)] if role in GRANTS else frozenset()
