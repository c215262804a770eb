"""`echo hi` to many machines: from the request to the last result that is saved on the server; beside Salt.

One fleet after another, so that none has to share the machine. `benchmarks/README.md` says how to read the figures.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from delivery import console, fleets, report
from delivery.progress import say
from footprint import salt
from footprint.subjects import NotMeasured

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache"
_SAID_EACH = 10
sys.path.append(str(ROOT))

from tests.support import postgres  # noqa: E402 - its folder is known only now


async def main(options: argparse.Namespace) -> int:
    """Print the figures; 0 when all that was to be measured was."""
    few, many, crowd = options.few, options.many, options.simulated
    missing = "left out by --no-salt"
    if options.salt:
        say("looking for Salt, which is installed once")
    installed = salt.install(CACHE / "salt") if options.salt else salt.Missing(missing)
    rounds = Rounds(options.rounds, options.budget, options.rest)
    with tempfile.TemporaryDirectory(prefix="deployx-bench-") as name:
        folder = Path(name)
        print(report.circumstances(options.rounds, report.fsync_ms(folder)), flush=True)
        async with fleets.server(folder / "server") as at, fleets.agents(at, folder, many):
            some = {"device_ids": await at.device_ids(few)}
            on_few = await rounds.of(f"{few} agents", lambda: at.by_rest(some, few))
            ours = await rounds.of(f"{many} agents", lambda: at.by_rest({"selector": "*"}, many))
            programs = await rounds.of(
                f"{many} agents, without a shell", lambda: at.by_rest({"selector": "*"}, many, shell=False)
            )
            by_cli = await rounds.of(f"{many} agents, `deployx run`", lambda: at.by_cli(many))
        rows: list[report.Row] = [
            (f"DeployX, {few} agents", on_few),
            (f"DeployX, {many} agents", ours),
            (f"DeployX, {many} agents, without a shell", programs),
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
        theirs: list[float] = []
        if isinstance(installed, salt.Missing):
            missing = installed.why
        else:
            try:
                async with fleets.minions(installed, folder, many) as at_salt:
                    theirs = await Rounds(options.salt_rounds, options.budget, options.rest).of(
                        f"{many} Salt minions", lambda: console.by_salt(installed, at_salt, many)
                    )
                rows.append((f"Salt {salt.VERSION}, {many} minions, `salt`", theirs))
            except NotMeasured as why:
                missing = str(why)
    print(report.table(rows))
    print(report.against_salt(ours, by_cli, theirs, many) if theirs else f"Salt: not measured, {missing}")
    print("\n".join(goals))
    return 0


async def _crowded(folder: Path, database: str, agents: int, rounds: "Rounds") -> list[float]:
    """The times of simulated agents; none where there is no such database."""
    with contextlib.ExitStack() as stack:
        url = ""
        if database == "PostgreSQL":
            try:
                url = stack.enter_context(postgres.throwaway(durable=True)).create_database()
            except postgres.PostgresMissing:
                return []
        async with fleets.server(folder / database, url) as at, fleets.simulated(at, folder, agents):
            title = f"{agents} simulated agents, {database}"
            return await rounds.of(title, lambda: at.by_rest({"selector": "*"}, agents))


@dataclass(frozen=True, slots=True)
class Rounds:
    """How often something is measured: no round is begun once ``budget_s`` are over.

    Before each the fleet has had ``rest_s`` without a command, as it has in life.
    """

    count: int
    budget_s: float
    rest_s: float

    async def of(self, title: str, once: Callable[[], Awaitable[float]]) -> list[float]:
        """The times of each round; a first one, which fills caches, is thrown away."""
        give_up = time.monotonic() + self.budget_s
        say(f"{title}: {self.count} rounds")
        await once()
        times: list[float] = []
        while len(times) < self.count:
            if times and time.monotonic() > give_up:
                say(f"{title}: enough after {self.budget_s:g} s, and {len(times)} rounds")
                break
            await asyncio.sleep(self.rest_s)
            times.append(await once())
            if len(times) % _SAID_EACH == 0:
                say(f"{title}: round {len(times)} of {self.count}")
        return times


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30, help="rounds that count")
    parser.add_argument("--salt-rounds", type=int, default=7, help="the same, of Salt")
    parser.add_argument("--budget", type=float, default=300, help="seconds after which a step begins no further round")
    parser.add_argument("--rest", type=float, default=1, help="seconds without a command before each round")
    parser.add_argument("--few", type=int, default=10, help="real agents in the smallest fleet")
    parser.add_argument("--many", type=int, default=50, help="real agents, and Salt minions, in the next")
    parser.add_argument("--simulated", type=int, default=1000, help="simulated agents in the largest")
    parser.add_argument("--no-salt", dest="salt", action="store_false", help="leave Salt out")
    sys.exit(asyncio.run(main(parser.parse_args())))
