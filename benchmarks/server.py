"""A whole server with its database, signatures and dashboards, under 10,000 agents that have a key each.

`benchmarks/README.md` says how to read the figures, and what they are to be.
"""

import argparse
import contextlib
import gc
import os
import platform
import sys
import tempfile
from pathlib import Path

import uvloop

from app.serve import allow_many_connections
from delivery.report import fsync_ms
from whole.measure import Figures, Pace, measure

sys.path.append(str(Path(__file__).resolve().parents[1]))

from tests.support import postgres

ROWS = (
    ("new devices/s", "enrolled_per_s", "{:.0f}", ""),
    ("registrations/s", "returned_per_s", "{:.0f}", "≥ 1500"),
    ("  CPU µs of each", "return_us", "{:.0f}", ""),
    ("resident MiB", "rss_mib", "{:.0f}", "≤ 250"),
    ("  KiB for each agent", "agent_kib", "{:.1f}", "≤ 15.7"),
    ("heartbeats, % of a core", "beats_percent", "{:.1f}", "≤ 8"),
    ("  p99 ms", "beat_p99_ms", "{:.1f}", "≤ 20"),
    ("task to 1,000, p99 ms", "few_p99_ms", "{:.0f}", ""),
    ("task to all, p99 ms", "all_p99_ms", "{:.0f}", ""),
    ("dashboards, % of a core", "watched_percent", "{:.1f}", "≤ 5"),
)
DATABASES = ("SQLite", "PostgreSQL")


async def main(options: argparse.Namespace) -> int:
    """Print the figures; 0 when all that was to be measured was."""
    allow_many_connections()
    found: list[Figures] = []
    pace = Pace(options.beat, options.flap, options.settle)
    with tempfile.TemporaryDirectory(prefix="deployx-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        print(
            f"{options.agents} agents with keys, {options.dashboards} dashboards. Python {platform.python_version()}, "
            f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before, fsync of 4 KiB {fsync_ms(folder):.2f} ms.",
            flush=True,
        )
        for database in options.databases:
            url = ""
            if database == "PostgreSQL":
                url = stack.enter_context(postgres.throwaway(durable=True)).create_database()
            found.append(await measure(folder / database, database, url, options.agents, options.dashboards, pace))
    print("".ljust(26) + "".join(f"{figures.database:>14}" for figures in found) + f"{'goal':>14}")
    for title, field, text, goal in ROWS:
        cells = "".join(f"{text.format(getattr(figures, field)):>14}" for figures in found)
        print(f"{title:26}{cells}{goal:>14}")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=10_000, help="how many")
    parser.add_argument("--dashboards", type=int, default=100, help="open pages while states change")
    parser.add_argument("--databases", nargs="+", choices=DATABASES, default=list(DATABASES))
    parser.add_argument("--beat", type=float, default=30.0, help="seconds within which each sends its heartbeat")
    parser.add_argument("--flap", type=float, default=10.0, help="seconds within which states change")
    parser.add_argument("--settle", type=float, default=3.0, help="seconds of rest after each step")
    gc.disable()  # or the agents would be what is waited for, as they would be on the library's own loop
    sys.exit(uvloop.run(main(parser.parse_args())))
