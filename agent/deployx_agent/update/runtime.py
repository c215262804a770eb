"""What a running agent has to do with updates: it confirms itself once it has registered, and gives way to another.

Light: it is made at each start. Invariant: a version on trial confirms itself only with a registration behind it.
"""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

from deployx_agent.logs import Log
from deployx_agent.state.durable import sync_folder
from deployx_agent.update import here, launcher, record
from deployx_agent.update.here import Start
from deployx_agent.update.record import Record, Slot, Trial

_RETRY_S = 5.0


class Update:
    """Of this process, which was started as ``start`` says."""

    def __init__(self, state_dir: Path, root: Path, patience_s: float, log: Log, start: Start) -> None:
        self.folder = state_dir / here.FOLDER
        self.root = root
        self.start = start
        self.slot = here.own_slot()
        self.ask_to_stop: Callable[[str], None] = lambda _reason: None
        """Set by whoever can stop the agent."""
        self.gives_way = False
        """Something else is to run when this process has ended."""
        self._patience_s = patience_s
        self._log = log
        self._confirmed = asyncio.Event()
        found = self.record()
        trial = found.tries
        self.on_trial = bool(start is Start.WATCHED and trial and trial.to.slot == self.slot)

    @property
    def takes(self) -> bool:
        """Whether this machine takes updates at all: it was started so that it can, and trusts somebody's keys."""
        return self.start is not Start.ELSEWHERE and self.root.exists()

    def record(self) -> Record:
        """As it is on the disk."""
        return launcher.record_of(self.folder, self._log) or record.fresh()

    # ------------------------------------------------------------ a version on trial

    def linked(self, connection: object | None) -> None:
        """The agent has registered, or its connection is gone. The first time, what is on trial stays for good."""
        if connection is None or not self.on_trial or self._confirmed.is_set():
            return
        found = self.record()
        if found.trial is None or found.trial.to.slot != self.slot:
            return
        try:
            record.write(self.folder, found.confirming())
        except OSError as error:
            self._log.error("This version cannot record that it has registered; make room for it", error=error.strerror)
            asyncio.get_running_loop().call_later(_RETRY_S, self.linked, connection)
            return
        self._log.info("This version has registered, and stays", slot=self.slot)
        self._confirmed.set()

    async def confirmed(self) -> None:
        """Wait until this version, which is on trial, has registered."""
        await self._confirmed.wait()

    # ------------------------------------------------------------ giving way

    def place(self, version: str, number: int) -> Slot:
        """Put what was made ready into a slot. What is there is given up, in the record first. It blocks. Raises
        OSError."""
        found = self.record()
        slot = found.free_slot()
        if found.previous and found.previous.slot == slot:
            record.write(self.folder, Record(found.runs, highest=found.highest, confirmed=found.confirmed))
        ready, into = (here.site_of(self.folder, one).parent for one in (here.NEXT, slot))
        shutil.rmtree(into, ignore_errors=True)
        ready.rename(into)
        sync_folder(into.parent)
        return Slot(slot, version, number, record.python_tag(), found.base)

    def begin(self, task_id: str, to: Slot) -> None:
        """``to`` is tried as soon as this process has ended. Raises OSError."""
        record.write(self.folder, self.record().beginning(Trial(task_id, to, self._patience_s)))

    def abandon(self, code: str, reason: str) -> None:
        """What is on trial, elsewhere than here, is given up. Raises OSError."""
        found = self.record()
        if found.trial:
            record.write(self.folder, found.giving_up(code, reason))

    def give_way(self) -> None:
        """End this agent as if it had been asked to stop; then something else is started."""
        self.gives_way = True
        self.ask_to_stop("update")
