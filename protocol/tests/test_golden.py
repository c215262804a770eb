"""What the dashboard's tests read: one example of each message that it is sent, and every event name.

Invariant: the files in ``golden/`` are exactly what the structs and ``events.py`` say now. After a change of either,
write them anew with ``python protocol/tests/test_golden.py`` and run the dashboard's tests.
"""

import json
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from deployx_protocol import events, messages
from deployx_protocol import releases as release_words
from deployx_protocol.codes import Code
from deployx_protocol.deployments import (
    ApprovalView,
    DeploymentsChanged,
    DeploymentState,
    DeploymentTargetsChanged,
    DeploymentTargetView,
    DeploymentView,
    GateView,
    Offline,
    OnFailure,
    Order,
    StrategyView,
    TargetState,
    WaveState,
    WaveView,
    WindowView,
)
from deployx_protocol.messages import (
    ClaimsChanged,
    ClaimView,
    DevicesChanged,
    DeviceStatusChanged,
    DeviceView,
    Message,
    Removed,
    Seen,
    SessionEnded,
    SnapshotBegin,
    SnapshotDevices,
    SnapshotEnd,
)
from deployx_protocol.states import CAUSE_TEXT, ClaimKind, Presence, StatusCause, Trust
from deployx_protocol.task_messages import RunsChanged, RunView, TasksChanged, TaskView
from deployx_protocol.tasks import TaskCode, TaskState

GOLDEN = Path(__file__).parent / "golden"
SNAPSHOT_ID = "0f3c2f7f6c1e4a0b9d5e8a7b6c5d4e3f"

KEYED = DeviceView(
    id=1,
    agent_id="DESKTOP-ABC123",
    device_name="DESKTOP-ABC123",
    hostname="DESKTOP-ABC123",
    platform="Windows 11",
    ip_address="192.0.2.17",
    source_ip="198.51.100.4",
    machine_id="4c4c4544-0042-3510-8052-b4c04f564433",
    status=Presence.ONLINE,
    status_cause=StatusCause.REGISTERED,
    status_detail="registered from 198.51.100.4",
    status_since="2026-03-01T08:00:00.000Z",
    last_seen="2026-03-01T08:30:00.000Z",
    trust=Trust.TRUSTED,
    trust_reason="",
    keyed=True,
    agent_version="0.1.0",
    facts={"os": "Windows 11 Pro", "cpus": "8", "memory_bytes": "17179869184"},
    tags={"role": "desk", "laptop": ""},
    agent_tags={"role": "web", "site": "berlin"},
    user_id=1,
    owner="admin@example.test",
    created_at="2026-02-01T08:00:00.000Z",
    rev=7,
)
FIVE_FIELDS = DeviceView(
    id=2,
    agent_id="web-01",
    device_name="Web server",
    hostname="web-01",
    platform="linux",
    ip_address="2001:db8::2",
    source_ip="2001:db8::2",
    machine_id="web-01",
    status=Presence.OFFLINE,
    status_cause=None,
    status_detail="",
    status_since=None,
    last_seen=None,
    trust=Trust.UNVERIFIED,
    trust_reason="a client without a key",
    keyed=False,
    agent_version="",
    facts={},
    tags={},
    agent_tags={},
    user_id=None,
    owner=None,
    created_at="2026-02-02T08:00:00.000Z",
    rev=1,
)
LEFT = DeviceStatusChanged(
    agent_id=KEYED.agent_id,
    device_name=KEYED.device_name,
    status=Presence.OFFLINE,
    last_seen="2026-03-01T08:31:00.000Z",
    id=KEYED.id,
    rev=8,
    cause=StatusCause.CONNECTION_CLOSED,
    detail=CAUSE_TEXT[StatusCause.CONNECTION_CLOSED],
    since="2026-03-01T08:31:00.000Z",
)
CLAIM = ClaimView(
    id=1,
    kind=ClaimKind.REINSTALLED,
    device_id=KEYED.id,
    device_name=KEYED.device_name,
    agent_id=KEYED.agent_id,
    hostname="DESKTOP-ABC123",
    platform="Windows 11",
    ip_address="192.0.2.17",
    source_ip="198.51.100.5",
    machine_id=KEYED.machine_id,
    keyed=True,
    connected=True,
    detail="An unknown key goes by this device's machine id.",
    created_at="2026-03-01T08:32:00.000Z",
    last_seen="2026-03-01T08:33:00.000Z",
)
RUN_ID = "01997a3c-5b00-7c11-8a52-3f0d6b9e4c10"
DIGEST = "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
BY_SELECTOR = RunView(
    id=RUN_ID,
    kind="shell",
    title="uptime && df -h /",
    selector="platform=linux,role in (web,db)",
    user_id=1,
    created_by="admin@example.test",
    created_at="2026-03-01T08:30:00.000Z",
    finished_at=None,
    expires_at="2026-03-02T08:30:00.000Z",
    timeout_s=3600.0,
    max_parallel=20,
    retry_of="01997a3c-0000-7c11-8a52-3f0d6b9e4c0f",
    total=3,
    counts={"queued": 1, "running": 1, "failed": 1},
    rev=5,
)
PICKED = RunView(
    id="01997a30-1000-7a22-9b63-4a1e7cafd521",
    kind="script",
    title="#!/bin/sh",
    selector=None,
    user_id=None,
    created_by="operator@example.test",
    created_at="2026-03-01T07:30:00.000Z",
    finished_at="2026-03-01T07:30:02.000Z",
    expires_at="2026-03-02T07:30:00.000Z",
    timeout_s=60.0,
    max_parallel=None,
    retry_of=None,
    total=1,
    counts={"succeeded": 1},
    rev=9,
)
WAITING = TaskView(
    id="01997a3c-5b01-7d33-8c74-5b2f8dbfe632",
    run_id=RUN_ID,
    device_id=FIVE_FIELDS.id,
    device_name=FIVE_FIELDS.device_name,
    state=TaskState.QUEUED,
    code="",
    reason="offline since 08:02",
    next_event="It is sent when the device returns; it expires on 2 March at 08:30.",
    exit_code=None,
    signal=None,
    created_at="2026-03-01T08:30:00.000Z",
    sent_at=None,
    accepted_at=None,
    started_at=None,
    finished_at=None,
    deadline_at="2026-03-02T08:30:00.000Z",
    duration_s=None,
    output_bytes=0,
    output_lost_bytes=0,
    output_next_seq=0,
    output_complete=False,
    output_deleted_at=None,
    digest="",
    cancel_requested=False,
    rev=1,
)
STARTED = msgspec.structs.replace(
    WAITING,
    id="01997a3c-5b01-7d33-8c74-5b2f8dbfe633",
    device_id=KEYED.id,
    device_name=KEYED.device_name,
    state=TaskState.RUNNING,
    reason="running for 3 s",
    next_event="It is cancelled in a moment.",
    sent_at="2026-03-01T08:30:00.100Z",
    accepted_at="2026-03-01T08:30:00.200Z",
    started_at="2026-03-01T08:30:00.300Z",
    deadline_at="2026-03-01T09:32:00.300Z",
    output_bytes=1024,
    output_next_seq=4,
    cancel_requested=True,
    rev=6,
)
ENDED = msgspec.structs.replace(
    STARTED,
    id="01997a3c-5b01-7d33-8c74-5b2f8dbfe634",
    device_id=None,
    device_name="db-01",
    state=TaskState.FAILED,
    code=TaskCode.START_FAILED,
    reason="ended by signal 9",
    next_event="",
    exit_code=137,
    signal=9,
    finished_at="2026-03-01T08:30:04.300Z",
    deadline_at=None,
    duration_s=4.0,
    output_bytes=67108864,
    output_lost_bytes=4096,
    output_next_seq=2048,
    output_complete=True,
    output_deleted_at="2026-03-31T08:30:00.000Z",
    digest=DIGEST,
    cancel_requested=False,
    rev=9,
)

DEPLOYMENT_ID = "01997a3c-5c00-7a11-9b52-3f0d6b9e4c11"
WINDOW = WindowView(days=["sat", "sun"], begin="22:00", end="04:00", zone="Europe/Berlin")
STRATEGY = StrategyView(
    waves=["1", "10%", "100%"],
    max_parallel=20,
    failure_threshold="5%",
    soak_s=600.0,
    healthy_percent=95.0,
    window=WINDOW,
    order=Order.TAG,
    order_seed=7,
    order_tag="site",
    deadline_s=86400.0,
    offline=Offline.SKIP,
    offline_after_s=3600.0,
    on_failure=OnFailure.ROLL_BACK,
    attempts=3,
)
DEPLOYMENT = DeploymentView(
    id=DEPLOYMENT_ID,
    title="web 2.1.0",
    release_name="web",
    release_version="2.1.0",
    release_number=21,
    release_sha256=DIGEST,
    state=DeploymentState.RUNNING,
    reason="wave 1 of 2 is done",
    next_event="wave 2 opens at 2026-03-01T08:40:00Z",
    selector="role=web",
    following=True,
    strategy=STRATEGY,
    plan_hash=DIGEST,
    approval=ApprovalView(
        required=True, above=2, decided="approved", by="grace@example.test", at="2026-03-01T08:20:00.000Z", note="go"
    ),
    user_id=1,
    created_by="ada@example.test",
    created_at="2026-03-01T08:10:00.000Z",
    started_at="2026-03-01T08:20:00.000Z",
    finished_at=None,
    deadline_at="2026-03-02T08:20:00.000Z",
    total=3,
    counts={"succeeded": 1, "pending": 2},
    attention=1,
    wave=1,
    waves=[
        WaveView(
            number=1,
            label="1",
            state=WaveState.SOAKING,
            total=1,
            counts={"succeeded": 1},
            gate=GateView(
                met=True,
                condition="95 % of the wave have the release, for 10 minutes",
                current="1 of 1 healthy, 1 needed",
                sentence="1 of 1 healthy, 1 needed; the next wave opens at 2026-03-01T08:40:00Z.",
            ),
            opened_at="2026-03-01T08:20:00.000Z",
            met_at="2026-03-01T08:30:00.000Z",
            soak_until="2026-03-01T08:40:00.000Z",
            promoted_by="",
        ),
        WaveView(
            number=2,
            label="100%",
            state=WaveState.WAITING,
            total=2,
            counts={"pending": 2},
            gate=GateView(
                met=False,
                condition="95 % of the wave have the release",
                current="0 of 2 healthy, 2 needed",
                sentence="It opens when the gate of the wave before it is met.",
            ),
            opened_at=None,
            met_at=None,
            soak_until=None,
            promoted_by="ada@example.test",
        ),
    ],
    pace_per_hour=30.0,
    estimate_at="2026-03-01T08:44:00.000Z",
    actions=["pause", "abort", "rollback", "promote"],
    run_id=RUN_ID,
    revert_run_id="01997a3c-5b00-7c11-8a52-3f0d6b9e4c12",
    rev=12,
)
ENDED_DEPLOYMENT = msgspec.structs.replace(
    DEPLOYMENT,
    id="01997a3c-5c00-7a11-9b52-3f0d6b9e4c13",
    state=DeploymentState.FAILED,
    reason="1 device could not get it",
    next_event="",
    finished_at="2026-03-01T09:00:00.000Z",
    pace_per_hour=None,
    estimate_at=None,
    actions=["rollback", "retry"],
    rev=40,
)
INSTALLING = DeploymentTargetView(
    id="01997a3c-5c01-7a11-9b52-3f0d6b9e4c14",
    deployment_id=DEPLOYMENT_ID,
    device_id=KEYED.id,
    device_name=KEYED.device_name,
    wave=1,
    position=1,
    state=TargetState.DOWNLOADING,
    reason="downloading, 40 % done",
    next_event="the device says how it ends",
    code="",
    action=release_words.Action.INSTALL,
    task_id=STARTED.id,
    attempt=1,
    phase=release_words.Phase.FETCHING,
    percent=40,
    outcome=release_words.Outcome.NONE,
    attention=False,
    started_at="2026-03-01T08:20:01.000Z",
    finished_at=None,
    updated_at="2026-03-01T08:20:04.000Z",
    rev=4,
)
STUCK = msgspec.structs.replace(
    INSTALLING,
    id="01997a3c-5c01-7a11-9b52-3f0d6b9e4c15",
    device_id=None,
    device_name="db-01",
    wave=2,
    position=3,
    state=TargetState.FAILED,
    reason="the previous version could not be put back",
    next_event="",
    code="release_unhealthy",
    phase=None,
    percent=None,
    outcome=release_words.Outcome.REVERT_FAILED,
    attention=True,
    finished_at="2026-03-01T08:29:00.000Z",
    rev=9,
)

TO_DASHBOARD: Final[dict[str, Message]] = {
    events.DEVICE_STATUS_CHANGED: LEFT,
    events.DEVICES_CHANGED: DevicesChanged(
        devices=[msgspec.structs.replace(FIVE_FIELDS, trust=Trust.QUARANTINED, rev=2)],
        changes=[LEFT],
        removed=[Removed(id=3, rev=4)],
        seen=[Seen(at="2026-03-01T08:32:00.000Z", ids=[2])],
    ),
    events.CLAIMS_CHANGED: ClaimsChanged(claims=[CLAIM], more_claims=2),
    events.SNAPSHOT_BEGIN: SnapshotBegin(snapshot_id=SNAPSHOT_ID, total=2, server_time="2026-03-01T08:30:05.000Z"),
    events.SNAPSHOT_DEVICES: SnapshotDevices(snapshot_id=SNAPSHOT_ID, devices=[KEYED, FIVE_FIELDS]),
    events.SNAPSHOT_END: SnapshotEnd(snapshot_id=SNAPSHOT_ID, claims=[CLAIM], more_claims=3),
    events.SESSION_ENDED: SessionEnded.because(Code.SERVER_SHUTDOWN, "The server is stopping.", 5.0),
    events.RUNS_CHANGED: RunsChanged(runs=[BY_SELECTOR, PICKED]),
    events.TASKS_CHANGED: TasksChanged(run_id=RUN_ID, tasks=[WAITING, STARTED, ENDED]),
    events.DEPLOYMENTS_CHANGED: DeploymentsChanged(deployments=[DEPLOYMENT, ENDED_DEPLOYMENT]),
    events.DEPLOYMENT_TARGETS_CHANGED: DeploymentTargetsChanged(
        deployment_id=DEPLOYMENT_ID, targets=[INSTALLING, STUCK]
    ),
}
TO_AGENT: Final = {
    events.REGISTRATION_SUCCESS,
    events.REGISTRATION_FAILED,
    events.REGISTRATION_REQUIRED,
    events.IDENTITY_SPLIT,
    events.PONG,
    events.SESSION_ENDED,
    events.TASK_ASSIGNED,
    events.TASK_CANCEL,
    events.TASK_ACKNOWLEDGED,
}
DIRECTIONS: Final = {
    "agent_to_server": sorted(events.FROM_AGENT),
    "server_to_agent": sorted(TO_AGENT),
    "dashboard_to_server": sorted(events.FROM_DASHBOARD),
    "server_to_dashboard": sorted(TO_DASHBOARD),
}


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _files() -> dict[str, str]:
    """What each file must hold, by its name."""
    examples = {f"{name}.json": _text(message.to_json()) for name, message in TO_DASHBOARD.items()}
    return {"events.json": _text(DIRECTIONS), **examples}


@pytest.mark.parametrize("name", sorted(_files()))
def test_each_file_is_what_the_structs_say(name: str) -> None:
    assert (GOLDEN / name).read_text("utf-8") == _files()[name]


def test_no_file_is_left_over() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == set(_files())


def test_every_event_name_has_a_direction() -> None:
    named = {value for name, value in vars(events).items() if name.isupper() and isinstance(value, str)}
    assert named == {name for names in DIRECTIONS.values() for name in names}


def test_each_example_is_of_the_struct_that_documents_its_event() -> None:
    """The docstring of a message begins with the name of its event; `session_ended` shares its with agents."""
    for name, message in TO_DASHBOARD.items():
        assert (type(message).__doc__ or "").startswith(f"`{name}`:")


@pytest.mark.parametrize("name", sorted(TO_DASHBOARD))
def test_each_example_is_read_back_as_it_was(name: str) -> None:
    read = msgspec.json.decode((GOLDEN / f"{name}.json").read_bytes(), type=type(TO_DASHBOARD[name]), strict=True)
    assert read == TO_DASHBOARD[name]


def test_the_examples_show_every_field() -> None:
    """Each field of each struct that reaches a dashboard holds something in at least one example."""
    shown: set[tuple[str, str]] = set()
    told: set[type[msgspec.Struct]] = set()
    queue: list[Any] = list(TO_DASHBOARD.values())
    while queue:
        value = queue.pop()
        if isinstance(value, list):
            queue += value
        elif isinstance(value, msgspec.Struct):
            told.add(type(value))
            for field in value.__struct_fields__:
                inner = getattr(value, field)
                queue.append(inner)
                if inner is not None and inner != [] and inner != {}:
                    shown.add((type(value).__name__, field))
    assert told >= {messages.DeviceView, messages.ClaimView, messages.Removed, messages.Seen, RunView, TaskView}
    assert shown == {(struct.__name__, field) for struct in told for field in struct.__struct_fields__}


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for path in GOLDEN.iterdir():
        path.unlink()
    for file_name, text in _files().items():
        (GOLDEN / file_name).write_text(text, "utf-8")
