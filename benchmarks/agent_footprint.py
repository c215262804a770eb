"""What an idle agent costs: its memory, and the time from starting it to being registered; beside two peers.

Everything is measured in one run, round by round, so that whatever else the machine is doing disturbs all alike; the
Salt minion, which takes longest, comes after the others. Each step has an end of its own.
`benchmarks/README.md` says how to read the figures.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from footprint import report, salt, servers
from footprint.subjects import Figures, NotMeasured, Subject, agent, bare_client, measure, salt_minion

CACHE = Path(__file__).resolve().parents[1] / ".cache"
Measured = list[tuple[Subject, list[Figures]]]


async def main(runs: int, settle_s: float, with_salt: bool, salt_budget_s: float) -> int:
    """Print the table; 0 when ours was measured."""
    missing = "left out by --no-salt"
    if with_salt:
        say("looking for Salt, which is installed once")
    installed = salt.install(CACHE / "salt") if with_salt else salt.Missing(missing)
    print(report.circumstances(runs, settle_s), flush=True)
    with tempfile.TemporaryDirectory(prefix="deployx-bench-") as name:
        folder = Path(name)
        async with servers.deployx(folder / "server") as plain, servers.deployx(folder / "tls", tls=True) as secure:
            ours = [agent(plain), agent(secure, servers.certificate(folder / "tls")), bare_client(plain)]
            measured = await _rounds(ours, folder, runs, settle_s)
        if isinstance(installed, salt.Missing):
            missing = installed.why
        else:
            try:
                async with servers.salt_master(installed, folder / "master") as master:
                    minion = [salt_minion(installed, master)]
                    measured += await _rounds(minion, folder, runs, settle_s, budget_s=salt_budget_s)
            except NotMeasured as why:
                missing = str(why)
    print(report.table(measured))
    if len(measured) == len(ours):
        print(f"Salt minion: not measured, {missing}")
    print(report.verdict(measured[1]))
    return 0


async def _rounds(
    subjects: list[Subject], folder: Path, runs: int, settle_s: float, budget_s: float = float("inf")
) -> Measured:
    """The figures of each subject; a first round, which fills caches, is thrown away. Raises NotMeasured.

    No round is begun once ``budget_s`` seconds are over; what was measured until then counts.
    """
    measured: Measured = [(subject, []) for subject in subjects]
    give_up = time.monotonic() + budget_s
    for number in range(runs + 1):
        if number > 1 and time.monotonic() > give_up:
            say(f"enough after {budget_s:g} s")
            break
        for subject, figures in measured:
            say(f"{subject.title}, {f'round {number} of {runs}' if number else 'a round that does not count'}")
            found = await measure(subject, folder / f"{subject.slug}-{number}", settle_s if number else 0.0)
            if number:
                figures.append(found)
    return measured


def say(words: str) -> None:
    """What is being done, for whoever waits."""
    print(f"  {words} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7, help="rounds that count")
    parser.add_argument("--settle", type=float, default=5.0, help="seconds of idling before memory is read")
    parser.add_argument("--no-salt", action="store_true", help="leave the Salt minion out")
    parser.add_argument("--salt-budget", type=float, default=90.0, help="seconds after which its rounds are enough")
    options = parser.parse_args()
    if not Path("/proc/self/smaps_rollup").exists():
        parser.error("memory is read from Linux's /proc")
    sys.exit(asyncio.run(main(options.runs, options.settle, not options.no_salt, options.salt_budget)))
