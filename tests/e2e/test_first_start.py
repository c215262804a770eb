"""The first minutes with the product: sign in, read three steps, run the line that is shown, see the machine come."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio
from playwright.async_api import expect

from tests.conftest import StartServer
from tests.e2e.conftest import SHARED, OpenScreen, Place
from tests.support.agent_process import environment


@pytest_asyncio.fixture(loop_scope=SHARED)
async def shell(tmp_path: Path) -> AsyncIterator[list[asyncio.subprocess.Process]]:
    """Shells that were started; each ends with all that it started."""
    started: list[asyncio.subprocess.Process] = []
    yield started
    for process in started:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def test_from_the_printed_password_to_the_first_device(
    sqlite_url: str,
    start_server: StartServer,
    open_screen: OpenScreen,
    shell: list[asyncio.subprocess.Process],
    tmp_path: Path,
) -> None:
    server = await start_server(sqlite_url)
    password = await server.command("create-admin", "first@example.test", "--generate")
    screen = await open_screen(server.url)
    page = screen.page
    await screen.goto()
    await expect(page).to_have_url(f"{server.url}/sign-in")
    await screen.fill_sign_in("first@example.test", password)
    await screen.live()

    empty = page.get_by_test_id("empty-state")
    await expect(empty.get_by_role("listitem").get_by_role("heading", level=3)).to_have_text(
        ["Install the agent", "Run this line there", "See it come online"]
    )
    await page.evaluate("() => { window.__sameDocument = true; }")
    await empty.get_by_role("button", name="Create the line").click()
    line = (await page.get_by_test_id("enroll-line").text_content() or "").strip()
    assert line.startswith("deployx-agent enroll dxe_")
    await expect(empty.get_by_text("Waiting for it to connect…")).to_be_visible()

    env = environment(tmp_path / "machine")
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    (tmp_path / "machine").mkdir(mode=0o700)
    with (tmp_path / "machine.log").open("wb") as log:
        shell.append(
            await asyncio.create_subprocess_shell(line, env=env, stdout=log, stderr=log, start_new_session=True)
        )
    await expect(page.get_by_text("connected ✓")).to_be_visible()
    await expect(page.locator('[data-testid="device-row"][data-status="online"]')).to_have_count(1)
    await screen.counts(online=1, offline=0)
    assert await page.evaluate("() => window.__sameDocument"), "it came without a reload"
    assert "debug: [INFO] Notification: Agent Connected" in screen.said


async def test_the_copy_button_copies_the_line(place: Place, open_screen: OpenScreen) -> None:
    screen = await open_screen(place.server.url, permissions=["clipboard-read", "clipboard-write"])
    await screen.enter(place.operator.person)
    await screen.page.get_by_role("button", name="Create the line").click()
    line = (await screen.page.get_by_test_id("enroll-line").text_content() or "").strip()
    await screen.page.get_by_role("button", name="Copy the line that adds the machine").click()
    await expect(screen.page.get_by_text("Copied", exact=True).first).to_be_attached()
    assert await screen.page.evaluate("() => navigator.clipboard.readText()") == line
