"""The ``DEPLOYX_*`` variables of every program, so that each can tell a slip of the pen from what another one reads.

Programs share machines, units and compose files, and so their environments: a variable that any of them reads is not
suspicious to the others. Tests hold each list to what its program reads, and all of them to docs/configuration.md.
Names stand here without the prefix.
"""

from collections.abc import Collection, Mapping

PREFIX = "DEPLOYX_"

SERVER = frozenset(
    {
        "ADMIN_EMAIL",
        "ADMIN_PASSWORD",
        "ADMIN_PASSWORD_FILE",
        "ANONYMOUS_MAX",
        "ARTIFACTS_ACCEL",
        "ARTIFACTS_ACCESS_KEY",
        "ARTIFACTS_DIR",
        "ARTIFACTS_ENDPOINT",
        "ARTIFACTS_MAX_BYTES",
        "ARTIFACTS_REDIRECT",
        "ARTIFACTS_REGION",
        "ARTIFACTS_SECRET_KEY",
        "ARTIFACTS_SECRET_KEY_FILE",
        "ARTIFACTS_URL",
        "ARTIFACTS_USER_MAX_BYTES",
        "ARTIFACT_RETENTION_DAYS",
        "APPROVE_ABOVE",
        "ARTIFACT_SEND_RATE",
        "AUDIT_RETENTION_DAYS",
        "CLAIM_RETENTION_DAYS",
        "CONFIRM_ABOVE",
        "CORS_ORIGINS",
        "DATABASE_URL",
        "DATABASE_URL_FILE",
        "DATA_DIR",
        "DEPLOYMENT_RETENTION_DAYS",
        "DOWNLOADS_MAX",
        "DRAIN",
        "ENROLLMENT",
        "ENROLLMENT_TOKEN_RETENTION_DAYS",
        "HEARTBEAT_INTERVAL",
        "HOST",
        "LOG_FORMAT",
        "LOG_LEVEL",
        "NODE_LEASE",
        "OUTPUT_MAX_BYTES",
        "OUTPUT_QUOTA_BYTES",
        "OUTPUT_RETENTION_DAYS",
        "PENDING_DEVICES_MAX",
        "PENDING_DEVICE_RETENTION_DAYS",
        "PING_INTERVAL",
        "PING_TIMEOUT",
        "POLLING",
        "POLL_INTERVAL",
        "PORT",
        "PRESENCE_GRACE",
        "PUBLIC_URL",
        "REFUSED_KEYS_MAX",
        "RUN_RETENTION_DAYS",
        "SCHEDULE_HISTORY_RETENTION_DAYS",
        "SECRET_KEY",
        "SECRET_KEY_FILE",
        "SESSION_LIFETIME",
        "STATUS_RETENTION_DAYS",
        "TLS_CERTIFICATE",
        "TLS_KEY",
        "TRUSTED_PROXIES",
        "UPLOADS_MAX",
        "UPLOAD_LIFETIME",
    }
)
AGENT = frozenset(
    {
        "AGENT_ID",
        "CA_FILE",
        "CONFIG",
        "CONNECT_TIMEOUT",
        "DOWNLOADS_PARALLEL",
        "DOWNLOAD_RATE",
        "ENROLLMENT_TOKEN",
        "ENROLLMENT_TOKEN_FILE",
        "FACTS_ROOT",
        "HEARTBEAT_INTERVAL",
        "INSECURE_HTTP",
        "LOG_LEVEL",
        "MACHINE_ID",
        "NO_SOFTWARE",
        "POLICY",
        "PONG_TIMEOUT",
        "REBOOT_COMMAND",
        "RECONNECT_ATTEMPTS",
        "RECONNECT_DELAY",
        "SERVER_URL",
        "STATE_DIR",
        "TAGS",
        "TASKS_PARALLEL",
        "UPDATE_PATIENCE",
        "UPDATE_ROOT",
        "WATCH_ONLY",
    }
)
COMMAND_LINE = frozenset({"TOKEN", "URL"})
TASKS = frozenset({"TASK_ID", "TASK_LEADER"})
"""What the agent sets for the tasks that it runs."""
DEVELOPMENT = frozenset({"DEV_SERVER", "PYTHON", "TEST_CHROMIUM"})
ALL = SERVER | AGENT | COMMAND_LINE | TASKS | DEVELOPMENT

_ALIKE = 0.7


def misspelt(environment: Mapping[str, str], own: Collection[str]) -> list[str]:
    """One sentence for each variable of ours that no program reads; ``own``: names that the asking program does read.

    An empty variable counts as not set. The nearest of the asking program's own names is suggested first.
    """
    strangers = sorted(
        name
        for name, value in environment.items()
        if value and name.startswith(PREFIX) and name.removeprefix(PREFIX) not in ALL.union(own)
    )
    return [_sentence(name, own) for name in strangers]


def _sentence(name: str, own: Collection[str]) -> str:
    from difflib import get_close_matches  # rarely needed, and the agent's memory is counted

    said = name.removeprefix(PREFIX)
    near = get_close_matches(said, own, 1, _ALIKE) or get_close_matches(said, ALL, 1, _ALIKE)
    meant = f"; did you mean {PREFIX}{near[0]}?" if near else "."
    return f"{name} is not a setting of DeployX and changes nothing{meant}"
