"""Processes that somebody's tasks have left behind."""

from collections.abc import Collection
from pathlib import Path

from deployx_agent.tasks.processes import TASK_VARIABLE


def left_over(task_ids: Collection[str]) -> list[str]:
    """The command lines of the processes of these tasks that live."""
    wanted = {f"{TASK_VARIABLE}={task_id}".encode() for task_id in task_ids}
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and wanted & set((folder / "environ").read_bytes().split(b"\0")):
                found.append((folder / "cmdline").read_text())
        except OSError:
            continue
    return found
