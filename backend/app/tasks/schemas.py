"""What the routes about runs, tasks and saved commands take and answer, besides the protocol's own views.

What a request asks for is judged in ``work.py``, where each refusal has a code of its own; here are its types alone.
"""

import base64
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from app.accounts.schemas import Input, Line, Timestamp
from app.wire import model_of
from deployx_protocol import dsse, limits
from deployx_protocol.states import Presence
from deployx_protocol.task_messages import RunView, TaskView
from deployx_protocol.tasks import FINAL, TaskState

DEVICE_IDS_MAX = 20_000
LISTED_MAX = 500
"""How many devices a preview lists of each kind; all of them are counted."""
RETRIED = tuple(state for state in TaskState if state in FINAL and state is not TaskState.SUCCEEDED)


class Described(BaseModel):
    """The docstrings of fields are their descriptions in OpenAPI."""

    model_config = ConfigDict(use_attribute_docstrings=True)


def _bounds(least: float, most: float) -> dict[str, Any]:
    """Says in OpenAPI what ``work.py`` holds."""
    return {"json_schema_extra": {"minimum": least, "maximum": most}}


class Action(Input, Described):
    """What to run: exactly one of `command`, `shell` and `script`, and how."""

    command: list[str] | None = None
    """Program and arguments, run without a shell."""
    shell: str | None = None
    """A line for the machine's shell."""
    script: str | None = None
    """The text of a script."""
    interpreter: list[str] = []
    """Of the script: the program and its arguments; without one, what its `#!` line says."""
    args: list[str] = []
    """Of the script."""
    user: str = ""
    """A user of the machine; empty is the agent's own."""
    cwd: str = ""
    """An absolute path; empty is the agent's choice."""
    env: dict[str, str] = {}
    """Added to the agent's clean environment."""
    timeout_s: Annotated[float, Field(allow_inf_nan=False, **_bounds(1, limits.RUN_TIMEOUT_MAX_S))] = 3600.0
    """Each task is ended after so long."""
    expires_s: Annotated[float, Field(allow_inf_nan=False, **_bounds(1, limits.RUN_EXPIRES_MAX_S))] = 86_400.0
    """A task that was not started by then never will be."""
    max_parallel: Annotated[int, Field(**_bounds(1, DEVICE_IDS_MAX))] | None = None
    """How many tasks of the run may be in flight at once; null: as many as there are."""
    output_quota_bytes: Annotated[int, Field(**_bounds(0, limits.OUTPUT_QUOTA_MAX_BYTES))] | None = None
    """How much output is kept of each task; null: the server's setting."""


class Targets(Input, Described):
    """Which devices: exactly one of `selector` and `device_ids`."""

    selector: str | None = None
    device_ids: list[Annotated[int, Field(ge=1, le=2**31 - 1)]] | None = None


class EnvelopeSignature(Input, Described):
    """A signature, and whose it is."""

    keyid: Annotated[str, Field(max_length=64)]
    """The start of the SHA-256 of the public key, 32 hexadecimal digits."""
    sig: Annotated[str, Field(max_length=200)]
    """Base64."""


class SignedEnvelope(Input, Described):
    """A DSSE envelope around a `SignedRun` (docs/protocol.md), as `deployx run --sign` makes it."""

    payload: Annotated[str, Field(max_length=2 * limits.AGENT_MESSAGE_MAX_BYTES)]
    """Base64."""
    payloadType: Annotated[str, Field(max_length=200)]
    signatures: Annotated[list[EnvelopeSignature], Field(min_length=1, max_length=dsse.SIGNATURES_MAX)]


class RunRequest(Action):
    """A run to start, or to preview. A preview may leave out what to run."""

    targets: Targets
    envelope: SignedEnvelope | None = None
    """For devices that run only what an operator has signed. It has to be about exactly this request."""


class TargetDevice(Described):
    """A device that a run reaches."""

    id: int
    device_name: str
    status: Presence
    hostname: str
    key_id: str
    """By what a signature names it: the start of the SHA-256 of its public key."""


class ExcludedDevice(Described):
    """A device that was asked for and gets no task."""

    id: int | None
    """null when it was deleted since the run that is repeated."""
    device_name: str
    """Empty when there is no such device, or it is not yours."""
    why: str


class RunPreview(Described):
    """What a run with these targets would reach. At most 500 devices of each kind are listed; all are counted."""

    total: int
    """Devices that get a task."""
    online: int
    offline: int
    """Those of them that are not online now; their tasks wait for them."""
    devices: list[TargetDevice]
    excluded_total: int
    excluded: list[ExcludedDevice]
    warnings: list[str]


class Retry(Input):
    """Which tasks to repeat."""

    states: list[Annotated[TaskState, Field(json_schema_extra={"enum": list(RETRIED)})]] = list(RETRIED)


class SavedCommandInput(Input):
    """A command to keep under a name."""

    name: Line
    request: Action


class SavedCommandView(Described):
    """A command that its user keeps."""

    id: str
    name: str
    kind: str
    """`command`, `shell` or `script`."""
    title: str
    request: Action
    created_at: Timestamp


class SavedCommandList(Described):
    """One user's saved commands, by name."""

    items: list[SavedCommandView]


class OutputGroup(Described):
    """Tasks that ended alike and printed the same. `digest` is empty where nothing was reported."""

    digest: str
    state: TaskState
    exit_code: int | None
    signal: int | None
    count: int
    sample_task_id: str


class OutputGroupList(Described):
    """The largest groups first, at most 500."""

    items: list[OutputGroup]
    more: int
    """How many tasks are in groups that are not listed."""


class OutputChunkView(Described):
    """A piece of output. `stream` is 1 (stdout) or 2 (stderr); `data` is base64 of the bytes."""

    seq: int
    stream: int
    data: str

    @classmethod
    def of(cls, seq: int, stream: int, data: bytes) -> "OutputChunkView":
        """The chunk that carries ``data``."""
        return cls(seq=seq, stream=stream, data=base64.b64encode(data).decode())


class OutputPage(Described):
    """Chunks in order. Read on from `next_seq`; `complete`: there is nothing more, and nothing more is expected."""

    chunks: list[OutputChunkView]
    next_seq: int
    complete: bool
    gone: bool
    """Older output than `chunks` was deleted by now, as the server's retention says."""
    lost_bytes: int
    """Output that was not kept: past the quota, or the device's disk was full. Known once the task is over."""


class RunSigner(Described):
    """Whose signature a run has."""

    key_id: str
    name: str
    """As the policies of its devices name the key; empty if none knows it."""


def _with(name: str, base: type[BaseModel], doc: str, fields: dict[str, Any]) -> type[BaseModel]:
    required: dict[str, Any] = {field: (kind, ...) for field, kind in fields.items()}
    made: type[BaseModel] = create_model(name, __base__=base, __doc__=doc, **required)
    return made


RUN_STARTED = _with(
    "RunStarted",
    model_of(RunView),
    "A run that was committed, whom it leaves out (at most 500 are listed), and how many it reaches now.",
    {
        "online": int,
        "excluded_total": int,
        "excluded": list[ExcludedDevice],
        "warnings": list[str],
    },
)
RUN_DETAIL = _with(
    "RunDetail",
    model_of(RunView),
    "A run and what was asked for. The values of the environment are not shown.",
    {
        "command": list[str] | None,
        "shell": str | None,
        "script": str | None,
        "script_sha256": str | None,
        "interpreter": list[str],
        "args": list[str],
        "user": str,
        "cwd": str,
        "env_names": list[str],
        "signed_by": list[RunSigner],
        "expires_s": float,
        "output_quota_bytes": int,
        "cancelled_at": str | None,
    },
)
DEVICE_TASK = _with(
    "DeviceTask",
    model_of(TaskView),
    "A task with what its run is about.",
    {
        "run_title": str,
        "created_by": str,
        "readable": bool,
    },
)
DEVICE_TASK_PAGE = create_model(
    "DeviceTaskPage",
    __doc__="Tasks of one device, newest first.",
    items=(list[DEVICE_TASK], ...),  # type: ignore[valid-type]  # made at run time
    next_cursor=(str | None, ...),
)
