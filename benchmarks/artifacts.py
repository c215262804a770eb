"""One large artifact to many machines at once: from our server alone, from nginx on its behalf, and from nginx alone.

The same file to the same clients in one run, by turns. `benchmarks/README.md` says how to read the figures.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from footprint import kernel
from sending import servers

CLIENTS = Path(__file__).parent / "sending" / "clients.py"
EMBEDDED, BEHIND, ALONE = "DeployX alone", "DeployX, sent by nginx", "nginx alone"
GOALS = {EMBEDDED: 0.4, BEHIND: 0.8}
GROWTH_MAX_MIB = 50


@dataclass
class Subject:
    """One way to the bytes, and what was measured of it."""

    name: str
    url: str
    headers: dict[str, str]
    pids: Sequence[int]
    """Of all that takes part in sending."""
    took_s: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)


async def main(options: argparse.Namespace) -> int:
    """Print the figures; 0 when all that was to be measured was."""
    size = options.mib << 20
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before.")
    print(f"{options.mib} MiB to {options.clients} clients at once, {options.rounds} rounds.", flush=True)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        async with servers.ours(folder / "embedded", size, accel=False) as embedded:
            headers = embedded.headers
            first = Subject(EMBEDDED, embedded.origin + embedded.path, headers, [embedded.pid])
            before = _peak(embedded.pid, anew=True)
            if not servers.program():
                await _measure([first], options.clients, size, options.rounds)
                print("Beside nginx: not measured, there is no nginx on the PATH.")
                _report([first], size, options.clients)
            else:
                await _beside_nginx(first, embedded, folder, options)
            growth = (_peak(embedded.pid) - before) / 2**20
            print(
                f"Memory of the server that sends by itself: {growth:.1f} MiB more at its most (goal {GROWTH_MAX_MIB})."
            )
    return 0


async def _beside_nginx(first: Subject, embedded: servers.Ours, folder: Path, options: argparse.Namespace) -> None:
    async with (
        servers.ours(folder / "accel", embedded.size, accel=True) as accel,
        servers.nginx(folder / "nginx", accel.files, accel.origin) as (origin, pid),
    ):
        behind = Subject(BEHIND, origin + accel.path, accel.headers, [accel.pid, pid])
        alone = Subject(ALONE, f"{origin}/alone/{accel.file}", {}, [pid])
        subjects = [alone, first, behind]
        await _measure(subjects, options.clients, embedded.size, options.rounds)
        _report(subjects, embedded.size, options.clients)


async def _measure(subjects: list[Subject], clients: int, size: int, rounds: int) -> None:
    for subject in subjects:
        await _read(subject, 1, size)  # fills the file cache
    for number in range(rounds):
        for subject in subjects[number % len(subjects) :] + subjects[: number % len(subjects)]:
            before = sum(kernel.cpu_ms(pid) for pid in subject.pids)
            subject.took_s.append(await _read(subject, clients, size))
            subject.cpu_ms.append(sum(kernel.cpu_ms(pid) for pid in subject.pids) - before)
            print(f"{subject.name}: {subject.took_s[-1]:.2f} s", file=sys.stderr, flush=True)


async def _read(subject: Subject, clients: int, size: int) -> float:
    process = await asyncio.create_subprocess_exec(
        sys.executable, CLIENTS, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    task = {"url": subject.url, "headers": subject.headers, "clients": clients, "size": size}
    said, _ = await process.communicate(json.dumps(task).encode())
    if process.returncode:
        raise RuntimeError(f"{subject.name}: a client failed")
    return float(said)


def _report(subjects: Sequence[Subject], size: int, clients: int) -> None:
    print("\n" + "".ljust(24) + f"{'MiB/s':>12}{'CPU ms/GiB':>14}{'of nginx':>12}{'for its CPU':>14}")
    total_mib = size * clients / 2**20
    reference = next((one for one in subjects if one.name == ALONE), None)
    for one in subjects:
        rate, cpu = total_mib / median(one.took_s), median(one.cpu_ms) / (total_mib / 1024)
        row = f"{one.name:24}{rate:12.0f}{cpu:14.0f}"
        if reference and one is not reference:
            share = median(their / our for their, our in zip(reference.took_s, one.took_s, strict=True))
            row += f"{share:12.0%}{median(reference.cpu_ms) / max(median(one.cpu_ms), 0.1):14.0%}"
            row += f"   goal {GOALS[one.name]:.0%}"
        print(row)


def _peak(pid: int, *, anew: bool = False) -> int:
    """The most memory that the process has had; ``anew``: from now on."""
    if anew:
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the kernel does not say how much memory it was")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024, help="how large the artifact is")
    parser.add_argument("--clients", type=int, default=20, help="how many read it at once")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    parser.add_argument("--folder", type=Path, help="where the files are; three times the artifact has to fit")
    sys.exit(asyncio.run(main(parser.parse_args())))
