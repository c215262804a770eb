"""What an idle agent costs: its memory, and the time from starting it to being registered; beside two peers.

Everything is measured in one run, round by round, so that whatever else the machine is doing disturbs all three alike.
`benchmarks/README.md` says how to read the figures.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from footprint import report, salt, servers
from footprint.subjects import Figures, Subject, agent, bare_client, measure, salt_minion

CACHE = Path(__file__).resolve().parents[1] / ".cache"


async def main(runs: int, settle_s: float, with_salt: bool) -> int:
    """Print the table; 0 when all that was to be measured was."""
    installed = salt.install(CACHE / "salt") if with_salt else salt.Missing("left out by --no-salt")
    print(report.circumstances(runs, settle_s), flush=True)
    with tempfile.TemporaryDirectory(prefix="deployx-bench-") as name:
        folder = Path(name)
        async with servers.deployx(folder / "server") as origin:
            subjects = [agent(origin), bare_client(origin)]
            if isinstance(installed, salt.Missing):
                measured = await _rounds(subjects, folder, runs, settle_s)
            else:
                async with servers.salt_master(installed, folder / "master") as master:
                    measured = await _rounds([*subjects, salt_minion(installed, master)], folder, runs, settle_s)
    print(report.table(measured))
    if isinstance(installed, salt.Missing):
        print(f"Salt minion: not measured, {installed.why}")
    print(report.verdict(measured[0]))
    return 0


async def _rounds(
    subjects: list[Subject], folder: Path, runs: int, settle_s: float
) -> list[tuple[Subject, list[Figures]]]:
    """The figures of each subject; a first round, which fills caches, is thrown away."""
    measured: list[tuple[Subject, list[Figures]]] = [(subject, []) for subject in subjects]
    for number in range(runs + 1):
        for subject, figures in measured:
            found = await measure(subject, folder / f"{subject.slug}-{number}", settle_s if number else 0.0)
            if number:
                figures.append(found)
    return measured


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7, help="rounds that count")
    parser.add_argument("--settle", type=float, default=5.0, help="seconds of idling before memory is read")
    parser.add_argument("--no-salt", action="store_true", help="leave the Salt minion out")
    options = parser.parse_args()
    if not Path("/proc/self/smaps_rollup").exists():
        parser.error("memory is read from Linux's /proc")
    sys.exit(asyncio.run(main(options.runs, options.settle, not options.no_salt)))
