"""The agent's one state, and who is told when it changes: the status file and, at debug level, the log."""

from typing import Any

from deployx_agent.connection import machine
from deployx_agent.connection.machine import Event, State
from deployx_agent.logs import Log
from deployx_agent.state.status import StatusFile, now_iso


class Progress:
    """Moves along the table in ``machine``; an arrow that is not there raises IllegalTransition."""

    def __init__(self, status: StatusFile, log: Log) -> None:
        self._status = status
        self._log = log
        self.state = State.START
        status.update(state=self.state, since=now_iso())

    def allows(self, event: Event) -> bool:
        """Whether ``event`` has an arrow from the state now."""
        return machine.allows(self.state, event)

    def advance(self, event: Event, **details: Any) -> None:
        """Take the arrow of ``event``; ``details`` go to the status file."""
        before, self.state = self.state, machine.advance(self.state, event)
        self._log.debug("Agent state changed", before=before, event=event, state=self.state)
        self._status.update(state=self.state, since=now_iso(), **details)

    def note(self, **details: Any) -> None:
        """Something worth showing that changes no state."""
        self._status.update(**details)
