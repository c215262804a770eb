"""What a simulation comes to, as figures: L, D, U, P, how much there was of what, and how long things took."""

from collections.abc import Sequence

import msgspec

from app.sim.oracle import Asked, Shown, Verdict
from app.sim.witness import Report

SHOWN_MAX = 10
"""How many findings of a kind are printed."""


class Quantiles(msgspec.Struct):
    """Of durations, in seconds."""

    count: int
    p50_s: float
    p90_s: float
    p99_s: float
    max_s: float

    @classmethod
    def of(cls, durations: Sequence[float]) -> "Quantiles | None":
        """None if there are none."""
        if not durations:
            return None
        ordered = sorted(durations)
        p50_s, p90_s, p99_s = (ordered[min(int(len(ordered) * share), len(ordered) - 1)] for share in (0.5, 0.9, 0.99))
        return cls(len(ordered), p50_s, p90_s, p99_s, ordered[-1])


class Figures(msgspec.Struct):
    """All of it; ``L``, ``D``, ``U`` and ``P`` are None when nothing was judged."""

    agents: int
    seed: str
    runs: int
    tasks: int
    faults: dict[str, int]
    L: int | None
    D: int | None
    U: int | None
    P: int | None
    findings: dict[str, list[str]]
    run_s: Quantiles | None
    """From the request to the moment at which the last device knows that the server has saved its result."""
    task_s: Quantiles | None
    """The same for each task."""
    registration_s: Quantiles | None
    ping_s: Quantiles | None

    @property
    def clean(self) -> bool:
        """Whether L = D = U = P = 0, or nothing was judged."""
        return not (self.L or self.D or self.U or self.P)


def figures(
    agents: int,
    seed: str,
    saw: Report,
    asked: Sequence[Asked] = (),
    shown: Shown | None = None,
    verdict: Verdict | None = None,
) -> Figures:
    """What it came to; without a verdict nothing was judged."""
    durations = [_durations(run, shown, saw) for run in asked] if shown else []
    found = (
        {"L": verdict.lost, "D": verdict.doubled, "U": verdict.stuck, "P": verdict.wrong} if verdict is not None else {}
    )
    return Figures(
        agents=agents,
        seed=seed,
        runs=len(asked),
        tasks=sum(len(run.device_ids) for run in asked),
        faults=dict(sorted(saw.faults.items())),
        L=_count(found, "L"),
        D=_count(found, "D"),
        U=_count(found, "U"),
        P=_count(found, "P"),
        findings={name: sentences for name, sentences in found.items() if sentences},
        run_s=Quantiles.of(
            [max(one) for run, one in zip(asked, durations, strict=False) if len(one) == len(run.device_ids)]
        ),
        task_s=Quantiles.of([seconds for one in durations for seconds in one]),
        registration_s=Quantiles.of(saw.registrations_s),
        ping_s=Quantiles.of(saw.pings_s),
    )


def _count(found: dict[str, list[str]], name: str) -> int | None:
    return len(found[name]) if found else None


def _durations(run: Asked, shown: Shown, saw: Report) -> list[float]:
    """From the request until each task's result was known to be saved; those that never were are left out."""
    seen = [saw.tasks.get(task["id"]) for task in shown.tasks.get(run.run_id, [])]
    return [one.acknowledged_at - run.requested_at for one in seen if one and one.acknowledged_at is not None]


def text(figures: Figures) -> str:
    """As people read it."""
    lines = [f"{figures.agents} agents, seed {figures.seed}: {figures.runs} runs, {figures.tasks} tasks"]
    if figures.faults:
        lines.append("  ".join(f"{kind} {count}" for kind, count in figures.faults.items()))
    if figures.L is not None:
        lines += [
            f"L = {figures.L}  accepted tasks lost, or shown otherwise than they went",
            f"D = {figures.D}  tasks done twice",
            f"U = {figures.U}  tasks and runs that nothing will end",
            f"P = {figures.P}  devices with wrong presence",
        ]
    for name, sentences in figures.findings.items():
        lines += [f"  {name}: {sentence}" for sentence in sentences[:SHOWN_MAX]]
        if len(sentences) > SHOWN_MAX:
            lines.append(f"  {name}: … and {len(sentences) - SHOWN_MAX} more")
    lines.append(f"{'ms':32}{'p50':>9}{'p90':>9}{'p99':>9}{'max':>9}{'of':>9}")
    for title, found in (
        ("run → last result saved", figures.run_s),
        ("run → result saved, each task", figures.task_s),
        ("connection → registered", figures.registration_s),
        ("ping → pong", figures.ping_s),
    ):
        if found:
            times = "".join(
                f"{seconds * 1000:>9.1f}" for seconds in (found.p50_s, found.p90_s, found.p99_s, found.max_s)
            )
            lines.append(f"{title:32}{times}{found.count:>9}")
    return "\n".join(lines)
