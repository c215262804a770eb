"""What `deployx-agent run` does first: it gives way to the version that is to run, or to the watchdog of one on trial.

Giving way is `exec`: where no version is on trial, there is one process, and nothing of the launcher is left in memory.
"""

import os
import subprocess
import sys
from pathlib import Path

from deployx_agent.logs import Log
from deployx_agent.state.durable import Unusable, set_aside
from deployx_agent.update import here, record
from deployx_agent.update.record import Record, Slot


def record_of(folder: Path, log: Log) -> Record | None:
    """The record in ``folder``; one that cannot be used is set aside, and the base runs."""
    try:
        return record.read(folder)
    except Unusable as why:
        aside = set_aside(folder / "record.json")
        log.error(
            f"What is remembered of updates cannot be used: {why}. The version installed by hand runs", aside=aside
        )
        return None


def give_way(state_dir: Path, arguments: list[str], log: Log) -> int | None:
    """Become what is to run; None: that is this process. Elsewhere than on Windows it returns nothing else."""
    folder = state_dir / here.FOLDER
    found = record_of(folder, log)
    if found is None:
        return None
    if found.tries:
        return _become(here.module_at(None, "deployx_agent.update.watchdog", str(state_dir), *arguments))
    site = site_in(folder, found.runs)
    if site is None:
        return None
    log.info("Starting the version in a slot", version=found.runs.version, slot=found.runs.slot)
    return _become(here.entry(site, "alone", *arguments))


def start_over(arguments: list[str]) -> int:
    """Become the launcher of the base: something else is to run now."""
    return _become(here.module_at(None, "deployx_agent", *arguments))


def site_in(folder: Path, slot: Slot) -> Path | None:
    """Where the code of ``slot`` lies; None: in the base, or nowhere any more."""
    site = here.site_of(folder, slot.slot)
    return site if slot.slot != here.BASE and (site / "deployx_agent").is_dir() else None


def _become(command: list[str]) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name != "nt":  # where exec is another process, and whoever waits for this one hears that it has ended
        os.execv(command[0], command)  # noqa: S606 - this Python, and code of ours
    return subprocess.call(command)  # noqa: S603 - as above
