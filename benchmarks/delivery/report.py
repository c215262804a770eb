"""The figures of `fanout.py` as people read them."""

import math
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

GOAL_TIMES = 40.0
GOAL_P99_S = 1.0
_SYNCS = 100
_BLOCK = b"x" * 4096
Row = tuple[str, Sequence[float]]


def fsync_ms(folder: Path) -> float:
    """How long the disk under ``folder`` takes to make 4 KiB durable: the median of 100, in milliseconds."""
    took: list[float] = []
    with (folder / "fsync").open("wb") as file:
        for _ in range(_SYNCS):
            file.write(_BLOCK)
            began = time.perf_counter()
            file.flush()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - began)
    return median(took) * 1000


def circumstances(rounds: int, sync_ms: float) -> str:
    """On what, and how, it was measured."""
    return (
        f"`echo hi` to a fleet, {rounds} rounds after one that does not count. Python {platform.python_version()}, "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before, fsync of 4 KiB {sync_ms:.2f} ms."
    )


def table(rows: Sequence[Row]) -> str:
    """One line for each: milliseconds from the request to the last result that is saved."""
    lines = [f"{'ms':48}{'p50':>10}{'p99':>10}{'rounds':>8}"]
    for title, times in rows:
        lines.append(f"{title:48}{median(times) * 1000:>10.1f}{p99(times) * 1000:>10.1f}{len(times):>8}")
    return "\n".join(lines)


def p99(times: Sequence[float]) -> float:
    """The 99th percentile; of fewer than a hundred, the longest."""
    return sorted(times)[math.ceil(len(times) * 0.99) - 1]


def against_salt(ours: Sequence[float], by_cli: Sequence[float], salt: Sequence[float], machines: int) -> str:
    """How many times as fast as Salt we are, on the same number of machines."""
    times = median(salt) / median(ours)
    return (
        f"On {machines} machines: {times:.1f} times as fast as Salt's CLI ({median(salt) / median(by_cli):.1f} times "
        f"with our CLI's own start). Goal ≥ {GOAL_TIMES:g}: {_met(times >= GOAL_TIMES)}."
    )


def against_goal(simulated: Sequence[float], agents: int, database: str) -> str:
    """The largest fleet against its goal."""
    slowest = p99(simulated)
    verdict = _met(slowest <= GOAL_P99_S)
    return f"{agents} simulated agents, {database}: p99 {slowest:.2f} s. Goal ≤ {GOAL_P99_S:g} s: {verdict}."


def _met(reached: bool) -> str:
    return "met" if reached else "missed"
