"""`make demo`: a server with simulated devices to look at, on a fresh data folder that is gone at the end.

The devices belong to three people, have had a day before now (`past.py`), come and go, and answer runs; nothing that
they are asked to run is executed. The server gets nothing of what is set in `DEPLOYX_*` but `DEPLOYX_PORT`. Invariant:
whatever happens, all of it is gone afterwards; Ctrl-C is the ordinary end.
"""

import argparse
import asyncio
import os
import secrets
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import processes
from bootstrap.console import complain
from bootstrap.places import BIN
from local import terminal
from local.service import Ended, Service
from local.stopping import until_asked
from past import Fleet, live

ADMIN = "admin@example.test"
OTHERS = {"ada@example.test": 0.3, "grace@example.test": 0.15}
"""Whose some of the devices are, and which share of them; the rest is the administrator's."""
DEVICES_MIN = 10
MISHAP_EVERY_S = 300
START_S = 60.0
GATHER_S = 120.0
PATIENCE_S = 20.0
_SERVER = str(BIN / "deployx-server")


@dataclass(frozen=True, slots=True)
class Demo:
    """The folder and the environment of the server."""

    folder: Path
    env: Mapping[str, str]
    password: str
    devices: int


def main(arguments: list[str]) -> int:
    """The exit code: 0 after being asked to stop."""
    parser = argparse.ArgumentParser(prog="demo.py", description="Show DeployX with simulated devices.")
    parser.add_argument("devices", nargs="?", type=int, default=200, help="how many of them; 10 or more")
    count = parser.parse_args(arguments).devices
    if count < DEVICES_MIN:
        parser.error(f"{DEVICES_MIN} devices are the least")
    try:
        with tempfile.TemporaryDirectory(prefix="deployx-demo-") as name:
            return asyncio.run(_until_stopped(_prepare(Path(name), count)))
    except Ended as error:
        terminal.explain(error)
        return 1
    except OSError as error:
        complain(f"The demonstration cannot be started: {error}.")
        return 1
    except KeyboardInterrupt:  # before there is a loop that handles it
        return 0


def _prepare(folder: Path, devices: int) -> Demo:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DEPLOYX_")}
    password = secrets.token_urlsafe(12)
    env = {
        "DEPLOYX_DATA_DIR": str(folder),
        "DEPLOYX_PORT": os.environ.get("DEPLOYX_PORT") or "8000",
        "DEPLOYX_ADMIN_EMAIL": ADMIN,
        "DEPLOYX_ADMIN_PASSWORD": password,
    }
    return Demo(folder, inherited | env, password, devices)


async def _until_stopped(demo: Demo) -> int:
    running: list[Service] = []
    failure = await until_asked(processes.stopping(), _work(demo, running))
    for service in reversed(running):
        await service.end(PATIENCE_S)
    if isinstance(failure, Exception):
        raise failure
    terminal.say("Stopped: the server and the devices are gone, and their data with them.")
    return 0


async def _work(demo: Demo, running: list[Service]) -> None:
    """Start everything, say how to look at it, and watch. Ends by being cancelled or by raising Ended."""
    terminal.say("Starting the server …")
    url = await _serve(demo, demo.env, running)
    at = {**demo.env, "DEPLOYX_PORT": url.rpartition(":")[2]}
    fleets = await _fleets(demo, at, url)
    await running.pop().end(PATIENCE_S)
    terminal.say(f"{demo.devices} devices live through a day …")
    await live(f"sqlite+aiosqlite:///{demo.folder / 'deployx.db'}", fleets)
    await _serve(demo, at, running)
    terminal.say("They are coming …")
    for number, fleet in enumerate(fleets):
        running.append(await _devices(demo, at, fleet, number))
    for devices in running[1:]:
        await devices.says(r"agents are there", GATHER_S)
    terminal.say(
        f"\nDeployX is running at {url}, with {demo.devices} simulated devices\n\n"
        f"  Sign in as    {ADMIN}\n  Password      {demo.password}\n\n"
        "They come, go, and answer runs: try `uptime`, `df -h` or `work` on `role=web`. Ctrl-C ends it."
    )
    await processes.first_of(*(asyncio.create_task(service.watch()) for service in running))


async def _serve(demo: Demo, env: Mapping[str, str], running: list[Service]) -> str:
    """The address of a server that is up."""
    running.append(await Service.start("server", [_SERVER, "serve"], env, demo.folder / "server.log"))
    return (await running[-1].says(r"server\.started url=(\S+)", START_S))[1]


async def _fleets(demo: Demo, at: Mapping[str, str], url: str) -> list[Fleet]:
    """The people, and a token of each for their devices."""
    theirs = {owner: round(demo.devices * share) for owner, share in OTHERS.items()}
    fleets: list[Fleet] = []
    for owner, count in {ADMIN: demo.devices - sum(theirs.values()), **theirs}.items():
        if owner != ADMIN:
            await _output(at, "create-user", owner, "--generate")
        uses = ("--max-uses", str(count), "--name", "demonstration")
        token = await _output(at, "create-enrollment-token", "--owner", owner, *uses)
        fleets.append(Fleet(url, token, f"demo {len(fleets)}", count))
    return fleets


async def _devices(demo: Demo, at: Mapping[str, str], fleet: Fleet, number: int) -> Service:
    env = {name: value for name, value in at.items() if not name.startswith("DEPLOYX_")}
    env["DEPLOYX_ENROLLMENT_TOKEN"] = fleet.token
    command = [_SERVER, "sim", "--url", fleet.origin, "--agents", str(fleet.count), "--idle", "--seconds", "0"]
    command += ["--chaos", "--mishap-every", str(MISHAP_EVERY_S), "--seed", fleet.seed]
    return await Service.start("devices", command, env, demo.folder / f"devices-{number}.log")


async def _output(env: Mapping[str, str], *arguments: str) -> str:
    """What a command of the server prints. Raises Ended."""
    process = await asyncio.create_subprocess_exec(
        *(_SERVER, *arguments),
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    if process.returncode:
        raise Ended(f"`deployx-server {arguments[0]}` failed.", err.decode(), process.returncode)
    return out.decode().strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
