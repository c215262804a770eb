"""The figures as people read them: medians, with the lowest and the highest beside the times."""

import os
import platform
from collections.abc import Callable, Sequence
from statistics import median

from footprint.subjects import Figures, Subject

GOAL_RSS_MIB = 36.0
GOAL_PSS_MIB = 24.0
GOAL_REGISTERED_MS = 300.0
_MIB = 1024 * 1024
Measured = tuple[Subject, list[Figures]]


def circumstances(runs: int, settle_s: float) -> str:
    """On what, and how, it was measured."""
    return (
        f"Medians of {runs} runs; memory after {settle_s:g} s of idling. Python {platform.python_version()}, "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before."
    )


def table(measured: Sequence[Measured]) -> str:
    """One row for each subject."""
    head = f"{'':40}{'RSS MiB':>9}{'PSS MiB':>9}{'processes':>11}{'CPU ms':>9}{'start → registered, ms':>26}"
    return "\n".join([head, *(_row(subject, figures) for subject, figures in measured)])


def verdict(ours: Measured) -> str:
    """Our figures, over TLS, against our goals."""
    rss_mib, pss_mib = _rss_mib(ours[1]), _pss_mib(ours[1])
    registered_ms = _median(ours[1], lambda run: run.registered_ms)
    return (
        f"Goal RSS ≤ {GOAL_RSS_MIB:g} MiB: {_met(rss_mib <= GOAL_RSS_MIB)} ({rss_mib:.1f}). "
        f"Goal PSS ≤ {GOAL_PSS_MIB:g} MiB: {_met(pss_mib <= GOAL_PSS_MIB)} ({pss_mib:.1f}). "
        f"Goal ≤ {GOAL_REGISTERED_MS:g} ms: {_met(registered_ms <= GOAL_REGISTERED_MS)} ({registered_ms:.0f})."
    )


def _row(subject: Subject, figures: list[Figures]) -> str:
    times = [run.registered_ms for run in figures]
    spread = f"{median(times):.0f} ({min(times):.0f} – {max(times):.0f})"
    pss_mib = _pss_mib(figures)
    cpu_ms = _median(figures, lambda run: run.cpu_ms)
    processes = _median(figures, lambda run: run.memory.processes)
    return f"{subject.title:40}{_rss_mib(figures):>9.1f}{pss_mib:>9.1f}{processes:>11.0f}{cpu_ms:>9.0f}{spread:>26}"


def _rss_mib(figures: list[Figures]) -> float:
    return _median(figures, lambda run: run.memory.rss) / _MIB


def _pss_mib(figures: list[Figures]) -> float:
    return _median(figures, lambda run: run.memory.pss) / _MIB


def _median(figures: list[Figures], value: Callable[[Figures], float]) -> float:
    return median(value(run) for run in figures)


def _met(reached: bool) -> str:
    return "met" if reached else "missed"
