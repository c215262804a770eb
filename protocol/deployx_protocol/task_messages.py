"""The payloads of tasks on the agent link, and what dashboards see of runs and tasks.

Times travel between server and agent as seconds that remain or have passed, never as clock times: the clocks of two
machines do not agree. ``docs/protocol.md`` is generated from this file too.
"""

from typing import Annotated

from msgspec import Meta

from deployx_protocol import checks, limits
from deployx_protocol.checks import InvalidPayload
from deployx_protocol.dsse import Envelope, Signature
from deployx_protocol.messages import Counter, Message
from deployx_protocol.releases import Action, Outcome, Phase
from deployx_protocol.tasks import REPORTED, TaskState

Seconds = Annotated[float, Meta(ge=0, le=limits.SECONDS_MAX)]
Stream = Annotated[int, Meta(ge=1, le=2)]
"""1 is stdout, 2 is stderr."""

STDOUT = 1
STDERR = 2


# ---------------------------------------------------------------- server → agent


class Script(Message, frozen=True, kw_only=True):
    """A script, fetched by its hash from `GET /api/agent/v1/scripts/{sha256}` unless the agent has it already."""

    sha256: str
    """Of its bytes, 64 hexadecimal digits."""
    size: Counter
    interpreter: list[str]
    """The program and its arguments; the script's path is appended, then `args`."""
    args: list[str] = []


class ReleaseOrder(Message, frozen=True, kw_only=True):
    """A release and what to do with it. Unless the agent has them already, its payload is fetched from
    `GET /api/agent/v1/releases/{sha256}` and its artifacts from `GET /api/agent/v1/artifacts/{sha256}`, with ranges."""

    action: Action
    sha256: str
    """Of the payload, 64 hexadecimal digits."""
    size: Counter
    signatures: list[Signature] = []
    """Over the payload, as in a DSSE envelope; none if nobody has signed it."""


class Task(Message, frozen=True, kw_only=True):
    """One task. Exactly one of `argv`, `shell`, `script` and `release` is set."""

    task_id: str
    agent_id: str
    """For whom it is. An agent refuses what names another."""
    argv: list[str] | None = None
    """Program and arguments, run without a shell."""
    shell: str | None = None
    """A line for the machine's shell, only where someone asked for one."""
    script: Script | None = None
    release: ReleaseOrder | None = None
    run_as: str = ""
    """A user of that machine; empty is the agent's own."""
    cwd: str = ""
    env: dict[str, str] = {}
    """Added to the agent's clean environment."""
    timeout_s: Seconds
    expires_in_s: Seconds
    """How long it may still wait to start; at 0 it must not start."""
    output_quota_bytes: Counter
    known: bool = False
    """The server has the agent's receipt: an agent that does not know the task answers `lost` and never runs it."""
    envelope: Envelope | None = None
    """What an operator has signed, a `signed_runs.SignedRun`. A machine whose policy asks for it runs nothing else."""

    def __post_init__(self) -> None:
        _task_id(self.task_id)


class TaskAssigned(Message, frozen=True, kw_only=True):
    """`task_assigned`: journal each, then report it `accepted`. A repeat is answered from the journal."""

    tasks: list[Task]


class TaskCancel(Message, frozen=True, kw_only=True):
    """`task_cancel`: end these, whole process groups; a task that is over is reported again, one never heard of is
    reported `cancelled` and refused from then on."""

    task_ids: list[str]
    unstarted: list[str] = []
    """End these only if they have not started, and report them `cancelled`, code `withdrawn`; what runs goes on, and is
    reported again."""


class UpdateSaved(Message, frozen=True, kw_only=True):
    """One report that is committed."""

    task_id: str
    state: TaskState


class OutputSaved(Message, frozen=True, kw_only=True):
    """Every chunk below `next_seq` is committed."""

    task_id: str
    next_seq: Counter


class TaskAcknowledged(Message, frozen=True, kw_only=True):
    """`task_acknowledged`: what is committed, so that the agent may forget it. `unknown` are tasks that the server does
    not have (its database was put back to an earlier time, or the device was deleted): forget them as well."""

    updates: list[UpdateSaved] = []
    output: list[OutputSaved] = []
    unknown: list[str] = []


# ---------------------------------------------------------------- agent → server


class OutputChunk(Message, frozen=True, kw_only=True):
    """A piece of output. `seq` counts the chunks of a task from 0, both streams together, in the order they came."""

    seq: Annotated[int, Meta(ge=0, lt=2**31)]
    stream: Stream
    data: Annotated[bytes, Meta(max_length=limits.CHUNK_MAX_BYTES)]
    """The bytes as they are: output need not be text."""

    @classmethod
    def of(cls, seq: int, stream: int, data: bytes) -> "OutputChunk":
        """The chunk that carries ``data``."""
        return cls(seq=seq, stream=stream, data=data)


class TaskUpdate(Message, frozen=True, kw_only=True, omit_defaults=True):
    """What happened to a task. It is repeated until `task_acknowledged` names it."""

    task_id: str
    state: TaskState
    ago_s: Seconds = 0.0
    """How long before it was sent."""
    code: str = ""
    message: str = ""
    """One sentence for people, where `code` is set."""
    exit_code: Annotated[int, Meta(ge=-(2**31), lt=2**32)] | None = None
    signal: Annotated[int, Meta(ge=1, le=255)] | None = None
    duration_s: Seconds | None = None
    chunks: Counter = 0
    """Of a final state: how many chunks of output there are."""
    stdout_bytes: Counter = 0
    stderr_bytes: Counter = 0
    lost_bytes: Counter = 0
    """Output past the quota: counted, not kept."""
    phase: Phase | None = None
    """Of a release that is `running`: what it is at. A report of another phase repeats the state."""
    percent: Annotated[int, Meta(ge=0, le=100)] | None = None
    """How much of the phase is done, where that can be known."""
    outcome: Outcome = Outcome.NONE
    """Of a release that has ended: what is on the device now."""
    digest: str = ""
    """Of a final state: SHA-256 of (SHA-256 of what was kept of stdout + SHA-256 of stderr), 64 hexadecimal digits."""
    output: list[OutputChunk] = []
    """Of a final state: what the task printed, if it is little and was not sent before; it is acknowledged as output.
    A server that does not know this field acknowledges the state alone, and is sent the output by itself."""

    def __post_init__(self) -> None:
        _task_id(self.task_id)
        if self.state not in REPORTED:
            raise InvalidPayload(f"An agent cannot report a task as `{self.state.value}`.")
        if self.code:
            checks.printable(self.code, "code", limits.TASK_CODE_MAX)
        if self.message:
            checks.printable(self.message, "message", limits.TASK_MESSAGE_MAX)


class TaskUpdates(Message, frozen=True, kw_only=True):
    """`task_updates`: reports, oldest first."""

    updates: list[TaskUpdate]


class TaskOutput(Message, frozen=True, kw_only=True):
    """`task_output`: chunks of one task, in order, within the preview; what is beyond goes over HTTP."""

    task_id: str
    chunks: list[OutputChunk]

    def __post_init__(self) -> None:
        _task_id(self.task_id)


# ---------------------------------------------------------------- server → dashboard


class RunView(Message, frozen=True, kw_only=True):
    """A run: one request, one task for each device."""

    id: str
    kind: str
    """`command`, `shell` or `script`."""
    title: str
    """The command as people read it, or the script's first line; at most 200 characters."""
    selector: str | None
    """What chose the devices; None when they were picked one by one."""
    user_id: int | None
    created_by: str
    """The e-mail address of who started it."""
    created_at: str
    finished_at: str | None
    expires_at: str
    timeout_s: float
    max_parallel: int | None
    retry_of: str | None
    """The run whose failed devices this one repeats."""
    total: int
    counts: dict[str, int]
    """Task state → how many tasks are in it; states without any are left out."""
    rev: int


class TaskView(Message, frozen=True, kw_only=True):
    """A task: what one device was asked, and what became of it."""

    id: str
    run_id: str
    device_id: int | None
    """None when the device was deleted since."""
    device_name: str
    state: TaskState
    code: str
    reason: str
    """Why it is in this state, as people read it."""
    next_event: str
    """What happens next and when; empty when it is over."""
    exit_code: int | None
    signal: int | None
    created_at: str
    sent_at: str | None
    accepted_at: str | None
    started_at: str | None
    finished_at: str | None
    deadline_at: str | None
    duration_s: float | None
    output_bytes: int
    output_lost_bytes: int
    output_next_seq: int
    """Chunks below this one can be read."""
    output_complete: bool
    output_deleted_at: str | None
    """When what it printed was deleted to keep to the server's retention; `output_bytes` still says how much it was."""
    digest: str
    cancel_requested: bool
    rev: int


class RunsChanged(Message, frozen=True, kw_only=True):
    """`runs_changed`: runs that are new or whose counts changed in one tick; the greater `rev` is true."""

    runs: list[RunView]


class TasksChanged(Message, frozen=True, kw_only=True):
    """`tasks_changed`: tasks of a run that this dashboard watches."""

    run_id: str
    tasks: list[TaskView]


class WatchRun(Message, frozen=True, kw_only=True):
    """`watch_run` and `unwatch_run`: from now on, or no longer, tell of every task of this run."""

    run_id: str

    def __post_init__(self) -> None:
        _task_id(self.run_id)


def _task_id(text: str) -> None:
    if not checks.is_uuid(text):
        raise InvalidPayload("The id of a task or run is not a UUID in lower case.")
