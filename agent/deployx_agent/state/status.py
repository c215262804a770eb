"""The status file: what ``deployx-agent status`` shows. A convenience: losing it is harmless, so it is not synced."""

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deployx_agent.state import durable

_NAME = "status.json"


def now_iso() -> str:
    """The time now, ISO 8601 in UTC with ``Z``."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class StatusFile:
    """What the running agent keeps up to date."""

    def __init__(self, folder: Path, **fixed: Any) -> None:
        self._path = folder / _NAME
        self._content: dict[str, Any] = {"pid": os.getpid(), **fixed}

    def update(self, **changes: Any) -> None:
        """Change some values and write the file. A full disk must not end the agent, so failing is silent."""
        self._content |= changes
        with suppress(OSError):
            durable.write(self._path, self._content, sync=False)


def read(folder: Path) -> dict[str, Any]:
    """What the last agent on ``folder`` wrote; empty when none did, or when it is unreadable."""
    try:
        return durable.read(folder / _NAME, dict) or {}
    except durable.Unusable:
        return {}
