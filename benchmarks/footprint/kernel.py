"""The memory and processor time of a process and of everything it started, as the kernel accounts for them."""

from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Memory:
    """Sums over a family of processes. Bytes."""

    rss: int
    """Resident set: pages that several processes share count in each."""
    pss: int
    """Proportional set: shared pages are divided among those who share them."""
    processes: int


def family(pid: int) -> list[int]:
    """``pid`` and all that descends from it."""
    children: dict[int, list[int]] = {}
    for folder in _PROC.iterdir():
        if folder.name.isdigit() and (parent := _parent(folder)) is not None:
            children.setdefault(parent, []).append(int(folder.name))
    found = [pid]
    for member in found:
        found += children.get(member, [])
    return found


def memory(pid: int) -> Memory:
    """The memory of ``pid``'s family now."""
    pids = family(pid)
    sums = {"Rss": 0, "Pss": 0}
    for member in pids:
        for line in (_PROC / str(member) / "smaps_rollup").read_text().splitlines():
            name, _, amount = line.partition(":")
            if name in sums:
                sums[name] += int(amount.split()[0]) * 1024
    return Memory(sums["Rss"], sums["Pss"], len(pids))


def cpu_ms(pid: int) -> float:
    """The processor time that ``pid``'s family has used so far, milliseconds; what has ended is not counted."""
    spent_ns = 0
    for member in family(pid):
        for thread in (_PROC / str(member) / "task").glob("*/schedstat"):
            spent_ns += int(thread.read_text().split()[0])
    return spent_ns / 1e6


def _parent(folder: Path) -> int | None:
    try:
        after_name = (folder / "stat").read_text().rpartition(")")[2]
    except OSError:  # it has ended meanwhile
        return None
    return int(after_name.split()[1])
