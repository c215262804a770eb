"""What releases need to know of the agent around them. Light: it is made at each start, and most need nothing else."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deployx_agent.policy.guard import Guard
    from deployx_agent.update.runtime import Update

FOLDER = "releases"
CURRENT = "current.json"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Of one agent."""

    folder: Path
    """Where releases are kept; made with the first of them."""
    origin: str
    """The server that has to be reached when a release is to be confirmed."""
    ca_file: Path | None
    guard: "Guard | None"
    reboot_command: tuple[str, ...]
    """What restarts the machine; empty: what its system has for that."""
    downloads_parallel: int
    download_rate: int
    """Bytes a second; 0 means without limit."""
    update: "Update | None" = None
    """How this agent gives way to another version of itself; None: it cannot."""

    @property
    def has_history(self) -> bool:
        """Whether there ever was a release here."""
        return (self.folder / CURRENT).exists()
