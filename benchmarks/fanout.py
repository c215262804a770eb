"""`echo hi` to many machines: from the request to the last result that is saved on the server; beside Salt.

One fleet after another, so that none has to share the machine. `benchmarks/README.md` says how to read the figures.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from delivery import console, fleets, report
from footprint import salt

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache"
sys.path.append(str(ROOT))

from tests.support import postgres  # noqa: E402 - its folder is known only now


async def main(options: argparse.Namespace) -> int:
    """Print the figures; 0 when all that was to be measured was."""
    few, many, crowd, rounds = options.few, options.many, options.simulated, options.rounds
    installed = salt.install(CACHE / "salt") if options.salt else salt.Missing("left out by --no-salt")
    with tempfile.TemporaryDirectory(prefix="deployx-bench-") as name:
        folder = Path(name)
        print(report.circumstances(rounds, report.fsync_ms(folder)), flush=True)
        async with fleets.server(folder / "server") as at, fleets.agents(at, folder, many):
            some = {"device_ids": await at.device_ids(few)}
            on_few = await _rounds(rounds, lambda: at.by_rest(some, few))
            ours = await _rounds(rounds, lambda: at.by_rest({"selector": "*"}, many))
            by_cli = await _rounds(rounds, lambda: at.by_cli(many))
        rows: list[report.Row] = [
            (f"DeployX, {few} agents", on_few),
            (f"DeployX, {many} agents", ours),
            (f"DeployX, {many} agents, `deployx run`", by_cli),
        ]
        goals: list[str] = []
        for database in ("SQLite", "PostgreSQL"):
            in_crowd = await _crowded(folder, database, crowd, rounds)
            if in_crowd:
                rows.append((f"DeployX, {crowd} simulated agents, {database}", in_crowd))
                goals.append(report.against_goal(in_crowd, crowd, database))
            else:
                goals.append(f"{database}: not measured, its server programs are not installed.")
        if isinstance(installed, Path):
            async with fleets.minions(installed, folder, many) as at_salt:
                theirs = await _rounds(options.salt_rounds, lambda: console.by_salt(installed, at_salt, many))
            rows.append((f"Salt {salt.VERSION}, {many} minions, `salt`", theirs))
    print(report.table(rows))
    if isinstance(installed, salt.Missing):
        print(f"Salt: not measured, {installed.why}")
    else:
        print(report.against_salt(ours, by_cli, theirs, many))
    print("\n".join(goals))
    return 0


async def _crowded(folder: Path, database: str, agents: int, rounds: int) -> list[float]:
    """The times of simulated agents; none where there is no such database."""
    with contextlib.ExitStack() as stack:
        url = ""
        if database == "PostgreSQL":
            try:
                url = stack.enter_context(postgres.throwaway(durable=True)).create_database()
            except postgres.PostgresMissing:
                return []
        async with fleets.server(folder / database, url) as at, fleets.simulated(at, folder, agents):
            return await _rounds(rounds, lambda: at.by_rest({"selector": "*"}, agents))


async def _rounds(rounds: int, once: Callable[[], Awaitable[float]]) -> list[float]:
    """The times of each round; a first one, which fills caches, is thrown away."""
    return [await once() for _ in range(rounds + 1)][1:]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="rounds that count")
    parser.add_argument("--salt-rounds", type=int, default=7, help="the same, of Salt")
    parser.add_argument("--few", type=int, default=10, help="real agents in the smallest fleet")
    parser.add_argument("--many", type=int, default=50, help="real agents, and Salt minions, in the next")
    parser.add_argument("--simulated", type=int, default=1000, help="simulated agents in the largest")
    parser.add_argument("--no-salt", dest="salt", action="store_false", help="leave Salt out")
    sys.exit(asyncio.run(main(parser.parse_args())))
