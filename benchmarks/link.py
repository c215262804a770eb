"""The agents' link alone, beside python-socketio and the protocol's reference server, node's socket.io.

One load client for all, one server at a time. `benchmarks/README.md` says how to read the figures.
"""

import argparse
import asyncio
import os
import platform
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from app.serve import allow_many_connections
from links.measure import SERVERS, Figures, measure, typical

COLUMNS = (
    ("registered/s", "registered_per_s", "{:.0f}"),
    ("µs each", "registration_us", "{:.0f}"),
    ("KiB each", "agent_kib", "{:.1f}"),
    ("heartbeat µs", "heartbeat_us", "{:.0f}"),
    ("p99 ms", "heartbeat_p99_ms", "{:.1f}"),
    ("event µs", "event_us", "{:.0f}"),
    ("events/s", "events_per_s", "{:.0f}"),
    ("p99 ms", "event_p99_ms", "{:.0f}"),
)
REFERENCE = "node socket.io"


async def main(options: argparse.Namespace) -> int:
    """Print the figures; 0 when all that was to be measured was."""
    allow_many_connections()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before.")
    servers = [server for server in SERVERS if server != REFERENCE or shutil.which("node")]
    if REFERENCE not in servers:
        print(f"{REFERENCE} is not measured: there is no node on the PATH.")
    for agents in options.agents:
        print("\n" + f"{agents} agents".ljust(18) + "".join(f"{title:>14}" for title, *_ in COLUMNS), flush=True)
        found: dict[str, list[Figures]] = {server: [] for server in servers}
        for _ in range(options.times):  # by turns: the machine is not the same from one minute to the next
            for server in servers:
                watched = options.profiles if server == servers[0] else None
                found[server].append(await measure(server, agents, options.spread, watched))
                print(_row(found[server][-1]), flush=True)
        print(_ratios([typical(each) for each in found.values()]))
    return 0


def _row(figures: Figures) -> str:
    return figures.server.ljust(18) + "".join(f"{text.format(getattr(figures, name)):>14}" for _, name, text in COLUMNS)


def _ratios(found: Sequence[Figures]) -> str:
    ours, *others = found
    lines = ["The medians:", *map(_row, found)]
    lines += [
        f"Beside {other.server}, for the same CPU: "
        f"{other.registration_us / ours.registration_us:.2f} × the registrations, "
        f"{other.heartbeat_us / ours.heartbeat_us:.2f} × the heartbeats, {other.event_us / ours.event_us:.2f} × the "
        f"events; {ours.agent_kib / other.agent_kib:.2f} × the memory."
        for other in others
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    sizes = [1_000, 5_000, 10_000]
    parser.add_argument("--agents", type=int, nargs="+", default=sizes, help="how many, one after another")
    parser.add_argument("--times", type=int, default=3, help="how often each server is measured, by turns")
    parser.add_argument("--spread", type=float, default=10.0, help="seconds within which each sends its heartbeat")
    parser.add_argument("--profiles", type=Path, help="a folder for flame graphs of ours, which make its figures worse")
    sys.exit(asyncio.run(main(parser.parse_args())))
