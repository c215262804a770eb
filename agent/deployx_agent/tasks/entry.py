"""One task as the running agent knows it, and the clock by which tasks are timed."""

import time
from dataclasses import dataclass, field

from deployx_agent.tasks.runner import Control, Ending
from deployx_agent.tasks.spool import Spool
from deployx_protocol import limits
from deployx_protocol.releases import Phase
from deployx_protocol.task_messages import STDERR, STDOUT, Task, TaskUpdate
from deployx_protocol.tasks import FINAL, TaskState

REPEAT_S = 5.0
"""After so long what is not acknowledged is said again."""
REPEAT_MAX_S = 30.0

_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", None)


def clock() -> float:
    """Seconds that only grow, and go on while the machine sleeps where the system can tell."""
    return time.monotonic() if _BOOTTIME is None else time.clock_gettime(_BOOTTIME)


def longer(pause_s: float) -> float:
    """How long to wait after the next repetition: a server that is late is not asked ever more of."""
    return min(pause_s * 1.5, REPEAT_MAX_S)


@dataclass(slots=True, eq=False)
class Entry:
    """A task that the server does not know the end of yet, or lacks output of."""

    task_id: str
    spool: Spool
    state: TaskState
    since: float
    """When it reached ``state``, by ``clock``."""
    task: Task | None = None
    """While it runs, and of the few that are next; what waits longer is in the journal alone."""
    final: TaskUpdate | None = None
    """What is reported of it once it is over."""
    start_by: float = 0.0
    confirmed: bool = True
    """False for what an earlier process accepted, until the server assigns it again: a restored snapshot of this
    machine holds tasks that were run since."""
    taken: bool = True
    """Whether the journal has it; before, nothing is said of it."""
    unknown: bool = False
    """The server does not have it: it is not reported any more."""
    control: Control = field(default_factory=Control)
    phase: Phase | None = None
    """Of a release that runs: what it is at."""
    percent: int | None = None

    # Used by the outbox.
    saved_state: TaskState | None = None
    """What the server acknowledged last."""
    report_at: float = 0.0
    phase_untold: bool = False
    """It has come to another phase since the last report: an acknowledgement of that one is none of this."""
    told_phase_at: float = 0.0
    report_pause_s: float = REPEAT_S
    sent_offset: int = 0
    """Into the spool: what was sent over the link of this connection."""
    output_at: float = 0.0
    """When output that was sent over the link and is not acknowledged is sent again."""
    output_pause_s: float = REPEAT_S
    post_at: float = 0.0
    """When the next post of output may go."""

    @property
    def over(self) -> bool:
        """Whether its state is final."""
        return self.state in FINAL

    @property
    def settled(self) -> bool:
        """Whether nothing is left to tell the server."""
        return self.over and (self.unknown or (self.saved_state is self.state and not self.spool.unsaved))


def update_of(entry: Entry, ending: Ending) -> TaskUpdate:
    """What is reported of ``entry`` when it ends like this. Its message may quote anything; it is made one line."""
    spool = entry.spool
    message = ending.message
    if not message.isprintable():
        message = "".join(character if character.isprintable() else "?" for character in message)
    return TaskUpdate(
        task_id=entry.task_id,
        state=ending.state,
        code=ending.code,
        message=message[: limits.TASK_MESSAGE_MAX].strip(),
        exit_code=ending.exit_code,
        signal=ending.signal,
        duration_s=ending.duration_s,
        chunks=spool.chunks,
        stdout_bytes=spool.kept[STDOUT],
        stderr_bytes=spool.kept[STDERR],
        lost_bytes=spool.lost_bytes,
        outcome=ending.outcome,
        digest=spool.digest,
    )
