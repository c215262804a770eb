"""Releases that restart the machine. Nothing does here: another number of the boot is put under the agent."""

import asyncio
import signal
import uuid
from pathlib import Path
from typing import Any

import pytest

from deployx_protocol.releases import Manifest, Phase
from tests.support.agent_process import AgentProcess, StartAgent
from tests.support.release_peer import ReleasePeer, manifest, told
from tests.support.task_peer import Ready

BOOT_ID = "/proc/sys/kernel/random/boot_id"


def another_boot(folder: Path) -> list[str]:
    """What a program is run under to believe that the machine has restarted."""
    path = folder / "boot_id"
    path.write_text(f"{uuid.uuid4()}\n")
    return ["unshare", "-m", "/bin/sh", "-c", f'mount --bind {path} {BOOT_ID} && exec "$@"', "sh"]


def settings(peer: ReleasePeer, path: Path, number: int, **fields: Any) -> Manifest:
    artifact = peer.artifact("settings", f"{number}".encode())
    file = {"artifact": "settings", "path": str(path)}
    fields = {"reboot": "always", **fields}
    return manifest("settings", number, kind="file", artifacts=[artifact], file=file, **fields)


async def asked_to_restart(folder: Path) -> None:
    while not (folder / "rebooted").exists():
        await asyncio.sleep(0.02)
    (folder / "rebooted").unlink()


@pytest.mark.parametrize("healthy", [True, False])
async def test_it_goes_on_after_the_machine_has_restarted(
    peer: ReleasePeer, ready: Ready, start_agent: StartAgent, tmp_path: Path, healthy: bool
) -> None:
    agent = await ready()
    path = tmp_path / "etc" / "settings"
    await peer.follow(settings(peer, path, 1, reboot="never"))
    health = {"check": {"command": ["true" if healthy else "false"]}, "within_s": 0.2}
    task = peer.release_task(settings(peer, path, 2, health=health, install={"shell": f"echo i >> {tmp_path}/log"}))
    await peer.submit(task)
    await asked_to_restart(tmp_path)
    assert Phase.REBOOTING in peer.phases(task.task_id)
    assert await agent.end(signal.SIGTERM) == 0, "it does not say that it was interrupted: the next one goes on"
    again = await start_agent(server_url=peer.origin, under=another_boot(tmp_path))
    end = await peer.ended(task.task_id)
    assert told(end) == (("succeeded", "installed") if healthy else ("failed", "reverted")), again.log
    assert path.read_text() == ("2" if healthy else "1")
    assert (tmp_path / "log").read_text() == "i\n"
    assert not (tmp_path / "rebooted").exists()


async def test_a_machine_that_does_not_restart_is_asked_three_times(
    peer: ReleasePeer, ready: Ready, tmp_path: Path
) -> None:
    path = tmp_path / "etc" / "settings"
    agent: AgentProcess = await ready()
    await peer.follow(settings(peer, path, 1, reboot="never"))
    task = peer.release_task(settings(peer, path, 2))
    await peer.submit(task)
    for _ in range(3):
        await asked_to_restart(tmp_path)
        await agent.end(signal.SIGKILL)
        agent = await ready()
    end = await peer.ended(task.task_id)
    assert (*told(end), end.message) == (
        "failed",
        "reverted",
        "The machine was asked to restart 3 times, and did not.",
    )
    assert path.read_text() == "1"
    assert not (tmp_path / "rebooted").exists()


async def test_a_command_that_fails(peer: ReleasePeer, ready: Ready, tmp_path: Path) -> None:
    await ready(reboot_command="sh -c 'echo no >&2; exit 3'")
    path = tmp_path / "etc" / "settings"
    end = await peer.follow(settings(peer, path, 1))
    assert told(end) == ("failed", "reverted")
    assert end.message == "`restart the machine` failed with exit code 3."
    assert not path.exists()
