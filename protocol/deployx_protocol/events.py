"""Every event name, written once.

Invariant: an event name appears as a literal here and nowhere else in Python; the dashboard's ``live/events.js`` is
held to this file by a golden test.
"""

from typing import Final

# agent → server
AGENT_REGISTER: Final = "agent_register"
REGISTRATION_ACK: Final = "registration_ack"
PING: Final = "ping"
AGENT_LEAVING: Final = "agent_leaving"
TASK_UPDATES: Final = "task_updates"
TASK_OUTPUT: Final = "task_output"

# server → agent
REGISTRATION_SUCCESS: Final = "registration_success"
REGISTRATION_FAILED: Final = "registration_failed"
REGISTRATION_REQUIRED: Final = "registration_required"
IDENTITY_SPLIT: Final = "identity_split"
PONG: Final = "pong"
TASK_ASSIGNED: Final = "task_assigned"
TASK_CANCEL: Final = "task_cancel"
TASK_ACKNOWLEDGED: Final = "task_acknowledged"

# server → agent and server → dashboard
SESSION_ENDED: Final = "session_ended"

# dashboard → server
WATCH: Final = "watch"
WATCH_RUN: Final = "watch_run"
UNWATCH_RUN: Final = "unwatch_run"
WATCH_DEPLOYMENT: Final = "watch_deployment"
UNWATCH_DEPLOYMENT: Final = "unwatch_deployment"

# server → dashboard
DEVICE_STATUS_CHANGED: Final = "device_status_changed"
DEVICES_CHANGED: Final = "devices_changed"
CLAIMS_CHANGED: Final = "claims_changed"
SNAPSHOT_BEGIN: Final = "snapshot_begin"
SNAPSHOT_DEVICES: Final = "snapshot_devices"
SNAPSHOT_END: Final = "snapshot_end"
RUNS_CHANGED: Final = "runs_changed"
TASKS_CHANGED: Final = "tasks_changed"
DEPLOYMENTS_CHANGED: Final = "deployments_changed"
DEPLOYMENT_TARGETS_CHANGED: Final = "deployment_targets_changed"

RESERVED: Final = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener", "*"}
)
"""Names that a peer may never send as an event: libraries give them a meaning of their own."""

FROM_AGENT: Final = frozenset({AGENT_REGISTER, REGISTRATION_ACK, PING, AGENT_LEAVING, TASK_UPDATES, TASK_OUTPUT})
FROM_DASHBOARD: Final = frozenset({WATCH, WATCH_RUN, UNWATCH_RUN, WATCH_DEPLOYMENT, UNWATCH_DEPLOYMENT})
