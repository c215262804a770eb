"""Output in volume, from real agents to a browser that looks on: whole, in bounded memory, and the page stays usable.

What a task printed is also written to a file by the task itself, and that is what is compared.
"""

import asyncio
import hashlib
import json
import random
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from tests.conftest import MakeFleet, Operate, StartServer
from tests.e2e.conftest import OpenScreen, Place
from tests.support.browser import Screen
from tests.support.fleet import Fleet
from tests.support.memory import forget_peak, resident_mib
from tests.support.node import eventually
from tests.support.server_process import Operator, ServerProcess

MIB = 1 << 20
SERVER_GROWS_MIB = 100
AGENT_GROWS_MIB = 20
PAGE_HEAP_BYTES = 200_000_000
FROZEN_MS = 500
"""The longest that the page may be without a frame."""
CLICK_MS = 1_000
OVER_S = 300.0

_PRINT = """
import base64, os, sys, time
folder, pieces, per_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
began = time.monotonic()
with open(os.path.join(folder, os.environ["DEPLOYX_TASK_ID"]), "wb") as copy:
    for piece in range(pieces):
        data = base64.encodebytes(os.urandom(48_493))
        copy.write(data)
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
        if per_s:
            time.sleep(max(0.0, began + (piece + 1) / per_s - time.monotonic()))
"""
"""Prints so many pieces of 64 KiB, so many a second (0: as fast as they are taken)."""
_PIECES_PER_MIB = 16

_WATCH = """() => {
  window.__gaps = [];
  let last = performance.now();
  const tick = (now) => { window.__gaps.push(now - last); last = now; requestAnimationFrame(tick); };
  requestAnimationFrame((now) => { last = now; requestAnimationFrame(tick); });
}"""

_PRESS = """(button, pressed) => new Promise((resolve) => {
  const began = performance.now();
  button.click();
  const look = () =>
    button.ariaPressed === pressed ? resolve(performance.now() - began) : requestAnimationFrame(look);
  requestAnimationFrame(look);
})"""
"""Presses, and gives the ms until the button says so."""


@dataclass(frozen=True, slots=True)
class Size:
    """So much from one device, so much a second (0: as fast as it can), and at the same time a MiB a second from
    others, so long."""

    single_mib: int
    single_mib_s: int
    devices: int
    seconds: int


SAMPLE, FULL = Size(12, 6, 2, 2), Size(100, 0, 20, 20)


@dataclass
class Volume:
    """A server, agents that are online, and the folder to which their tasks write what they print."""

    server: ServerProcess
    operator: Operator
    fleet: Fleet
    copies: Path

    async def run(self, mib: int, per_s: int, targets: dict[str, Any]) -> str:
        """Print so many MiB on each of ``targets``, so many a second; the run's id."""
        words = [str(self.copies), str(mib * _PIECES_PER_MIB), str(per_s * _PIECES_PER_MIB)]
        body = {"command": [sys.executable, "-c", _PRINT, *words], "targets": targets}
        return str((await self.operator.ask("POST", "/runs", {**body, "output_quota_bytes": 1 << 30}))["id"])

    async def over(self, run: str) -> list[dict[str, Any]]:
        """The tasks of ``run`` once they are over, and all of their output is here."""
        found: list[dict[str, Any]] = []

        async def are_over() -> bool:
            found[:] = (await self.operator.ask("GET", f"/runs/{run}/tasks"))["items"]
            return all(task["finished_at"] and task["output_complete"] for task in found)

        await eventually(are_over, within_s=OVER_S, what="every task over")
        assert {task["state"] for task in found} == {"succeeded"}
        return found

    def copy(self, task: dict[str, Any]) -> bytes:
        """What the task says that it printed."""
        return (self.copies / str(task["id"])).read_bytes()

    async def check(self, task: dict[str, Any]) -> None:
        """Read the whole and a range, and hold them to what was printed."""
        printed = self.copy(task)
        both = hashlib.sha256(printed).digest() + hashlib.sha256().digest()
        assert task["digest"] == hashlib.sha256(both).hexdigest()
        assert (task["output_bytes"], task["output_lost_bytes"]) == (len(printed), 0)
        assert await self._sha256(task) == hashlib.sha256(printed).hexdigest()
        start, end = sorted(random.Random(1).sample(range(len(printed)), 2))
        part = await self._sha256(task, headers={"Range": f"bytes={start}-{end - 1}"})
        assert part == hashlib.sha256(printed[start:end]).hexdigest()

    async def _sha256(self, task: dict[str, Any], **options: Any) -> str:
        sha256 = hashlib.sha256()
        async with self.operator.client.stream("GET", f"/tasks/{task['id']}/output/stdout", **options) as answer:
            assert answer.is_success
            async for piece in answer.aiter_bytes():
                sha256.update(piece)
        return sha256.hexdigest()

    async def check_zip(self, run: str, tasks: Sequence[dict[str, Any]]) -> None:
        """Download all of a run, and hold each file to what was printed."""
        path = self.copies / f"{run}.zip"
        with path.open("wb") as file:
            async with self.operator.client.stream("GET", f"/runs/{run}/output.zip", timeout=OVER_S) as answer:
                async for piece in answer.aiter_bytes():
                    file.write(piece)
        await asyncio.to_thread(self._check_files, path, tasks)

    def _check_files(self, path: Path, tasks: Sequence[dict[str, Any]]) -> None:
        with zipfile.ZipFile(path) as archive:
            told = [json.loads(line) for line in archive.read("tasks.jsonl").splitlines()]
            assert {one["task_id"] for one in told} == {task["id"] for task in tasks}
            for task in tasks:
                [name] = [name for name in archive.namelist() if name.endswith(f"{task['id'][-8:]}/stdout")]
                assert archive.read(name) == self.copy(task)


@dataclass
class Growth:
    """How much more memory than when it was made the server and the agents took at their most."""

    server_pid: int
    agent_pids: Sequence[int]

    def __post_init__(self) -> None:
        self._before = {pid: resident_mib(pid) for pid in (self.server_pid, *self.agent_pids)}
        for pid in self._before:
            forget_peak(pid)

    def check(self) -> None:
        """Hold it to what is allowed."""
        grown = {pid: resident_mib(pid, peak=True) - before for pid, before in self._before.items()}
        assert grown[self.server_pid] < SERVER_GROWS_MIB
        assert max(grown[pid] for pid in self.agent_pids) < AGENT_GROWS_MIB


@pytest.mark.serial
@pytest.mark.databases("sqlite")
async def test_output_in_volume_arrives_whole_and_is_looked_at(
    database_url: str,
    start_server: StartServer,
    make_fleet: MakeFleet,
    operate: Operate,
    open_screen: OpenScreen,
    tmp_path: Path,
) -> None:
    await _looked_at(SAMPLE, database_url, start_server, make_fleet, operate, open_screen, tmp_path)


@pytest.mark.soak
@pytest.mark.serial
@pytest.mark.timeout(900)
async def test_output_in_full_volume_arrives_whole_and_is_looked_at(
    database_url: str,
    start_server: StartServer,
    make_fleet: MakeFleet,
    operate: Operate,
    open_screen: OpenScreen,
    tmp_path: Path,
) -> None:
    await _looked_at(FULL, database_url, start_server, make_fleet, operate, open_screen, tmp_path)


async def _looked_at(
    size: Size,
    database_url: str,
    start_server: StartServer,
    make_fleet: MakeFleet,
    operate: Operate,
    open_screen: OpenScreen,
    tmp_path: Path,
) -> None:
    server = await start_server(database_url, forked=False)
    operator = await operate(server)
    token = await operator.enrollment_token(max_uses=size.devices + 1)
    fleet = make_fleet(server.url, forked=False, enrollment_token=token)
    [screen, _] = await asyncio.gather(open_screen(server.url, fresh=True), fleet.start_all(range(size.devices + 1)))
    screen.keeps_bodies = False
    one, *others = await operator.until(size.devices + 1, status="online")
    volume = Volume(server, operator, fleet, tmp_path)
    await volume.over(await volume.run(1, 0, {"selector": "*"}))
    growth = Growth(server.pid, [agent.process.pid for agent in fleet.running.values()])

    await screen.sign_in(operator.person)
    single = await volume.run(size.single_mib, size.single_mib_s, {"device_ids": [one["id"]]})
    many = await volume.run(size.seconds, 1, {"device_ids": [other["id"] for other in others]})
    await screen.goto(f"/runs/{single}")
    await _watch(screen)
    await _press(screen)
    [large] = await volume.over(single)
    await _stands_at_the_end(screen, volume.copy(large))
    await _was_usable(screen)
    tasks = await volume.over(many)
    await screen.goto(f"/runs/{many}?task={tasks[0]['id']}")
    await _watch(screen)
    await _press(screen)
    await _was_usable(screen)

    for task in (large, tasks[0]):
        await volume.check(task)
    await volume.check_zip(single, [large])
    growth.check()


async def _watch(screen: Screen) -> None:
    """Wait for the first output, and measure frames from then on."""
    await expect(screen.page.get_by_test_id("output").locator("[data-index]").first).to_be_visible()
    await screen.page.evaluate(_WATCH)


async def _press(screen: Screen) -> None:
    """While output comes: what is pressed does what it should, at once."""
    wrap = screen.page.get_by_role("button", name="Wrap")
    for pressed in ("true", "false"):
        took_ms: float = await wrap.evaluate(_PRESS, pressed)
        assert took_ms < CLICK_MS


async def _was_usable(screen: Screen) -> None:
    """Frames went on all the time, and the page's memory is small."""
    gaps: list[float] = await screen.page.evaluate("() => window.__gaps")
    assert max(gaps) < FROZEN_MS
    assert await screen.page.evaluate("() => performance.memory.usedJSHeapSize") < PAGE_HEAP_BYTES


async def _stands_at_the_end(screen: Screen, printed: bytes) -> None:
    """It followed: the last line is on the screen, and only a part is held."""
    output, last = screen.page.get_by_test_id("output"), printed.splitlines()[-1].decode()
    await expect(output.get_by_text(last, exact=True)).to_be_visible()
    assert await output.locator("[data-index]").count() < 200


@pytest.mark.serial
async def test_a_line_of_five_megabytes_freezes_nothing(place: Place, fresh_screen: Screen) -> None:
    device = await place.device(1)
    line = "import sys; sys.stdout.write('0123456789 abcdef' * (5_000_000 // 17) + 'the end')"
    body = {"command": [sys.executable, "-c", line], "targets": {"device_ids": [device]}}
    run = (await place.operator.ask("POST", "/runs", body))["id"]
    await Volume(place.server, place.operator, place.fleet, place.fleet.folder).over(run)
    page = fresh_screen.page
    await fresh_screen.goto(f"/runs/{run}")
    await _watch(fresh_screen)
    await page.get_by_role("button", name="To the end").click()
    await expect(page.get_by_test_id("output").get_by_text("the end")).to_be_visible()
    await _press(fresh_screen)
    await page.get_by_label("Search the output").fill("THE end")
    await expect(page.get_by_test_id("output-matches")).to_have_text("1 of 1")
    await page.get_by_label("Search the output").fill("9 a")
    await expect(page.get_by_test_id("output-matches")).to_contain_text("of 5,000+")
    await page.get_by_role("button", name="Next match").click()
    await _was_usable(fresh_screen)
