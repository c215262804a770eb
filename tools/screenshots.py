"""Takes the README's pictures of the running product: a real server, real agents, a real browser.

    .venv/bin/python tools/screenshots.py [FOLDER]

Needs what `make test` installs, and on Linux the right to give each agent a host name of its own (`unshare --uts`).
Everything it starts lives in a temporary folder and is gone when it ends.
"""

import asyncio
import contextlib
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from playwright.async_api import Browser, async_playwright  # noqa: E402

from tests.support.agent_process import environment  # noqa: E402
from tests.support.browser import Screen  # noqa: E402
from tests.support.chromium import LAUNCH_ARGUMENTS, executable  # noqa: E402
from tests.support.fleet import MAIN  # noqa: E402
from tests.support.server_process import Operator, ServerProcess  # noqa: E402

MACHINES: dict[str, dict[str, str]] = {
    "web-1": {"role": "web", "site": "berlin"},
    "web-2": {"role": "web", "site": "berlin"},
    "web-3": {"role": "web", "site": "oslo"},
    "db-1": {"role": "db", "site": "berlin"},
    "db-2": {"role": "db", "site": "oslo"},
    "cache-1": {"role": "cache", "site": "berlin"},
    "build-1": {"role": "ci"},
    "build-2": {"role": "ci"},
    "mail": {"role": "mail", "site": "oslo"},
    "backup": {"role": "storage", "site": "oslo"},
    "kiosk-lobby": {"role": "kiosk"},
    "till-4": {"role": "till"},
}
STOPPED, DIED = ("till-4",), ("build-2", "kiosk-lobby")
WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
SETTLE_S = 8.0
"""Until toasts are gone."""


async def start_agent(folder: Path, name: str, token: str) -> asyncio.subprocess.Process:
    """The agent of the machine ``name``."""
    state_dir = folder / name
    state_dir.mkdir(mode=0o700)
    env = environment(state_dir, enrollment_token=token, machine_id=name, reconnect_attempts=0)
    with (folder / f"{name}.log").open("wb") as log:
        return await asyncio.create_subprocess_exec(
            *("unshare", "--uts", "sh", "-c", 'hostname "$1" && exec "$2" "$3" run', "sh"),
            *(name, sys.executable, str(MAIN)),
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


async def end(process: asyncio.subprocess.Process, number: int) -> None:
    """Send it the signal, and wait until it is gone."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)
    await process.wait()


async def picture(browser: Browser, server: ServerProcess, path: Path, target: str = "/", **options: Any) -> None:
    """One page, as it looks when everything has arrived."""
    context = await browser.new_context(reduced_motion="reduce", **options)
    screen = await Screen.open(context, server.url)
    await screen.sign_in(await server.sign_in(), target)
    await screen.page.wait_for_load_state("networkidle")
    await screen.page.mouse.move(0, 0)
    await screen.page.evaluate("() => document.activeElement?.blur()")
    await screen.page.screenshot(path=path)
    await context.close()
    print(f"Wrote {path}.")


async def take(folder: Path, pictures: Path) -> None:
    """Start everything, take every picture, end everything."""
    server = ServerProcess(folder, f"sqlite+aiosqlite:///{folder / 'deployx.db'}")
    agents: dict[str, asyncio.subprocess.Process] = {}
    await server.start()
    operator = Operator(server, await server.sign_in())
    try:
        token = await operator.enrollment_token(max_uses=len(MACHINES))
        for name in MACHINES:
            agents[name] = await start_agent(folder, name, token)
        for one in await operator.until(len(MACHINES), status="online"):
            await operator.ask("PATCH", f"/devices/{one['id']}", {"tags": MACHINES[one["hostname"]]})
        for name in STOPPED:
            await end(agents[name], signal.SIGTERM)
        for name in DIED:
            await end(agents[name], signal.SIGKILL)
        [offline, *_] = await operator.until(len(STOPPED) + len(DIED), status="offline")
        await asyncio.sleep(SETTLE_S)
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=executable(), args=list(LAUNCH_ARGUMENTS))
            await picture(browser, server, pictures / "dashboard.png", viewport=WIDE)
            await picture(browser, server, pictures / "dashboard-dark.png", viewport=WIDE, color_scheme="dark")
            await picture(browser, server, pictures / "dashboard-phone.png", viewport=PHONE, is_mobile=True)
            await picture(browser, server, pictures / "device.png", f"/devices/{offline['id']}", viewport=WIDE)
            await browser.close()
    finally:
        for process in agents.values():
            if process.returncode is None:
                await end(process, signal.SIGKILL)
        await operator.client.aclose()
        await server.tidy()


def main(arguments: list[str]) -> int:
    """0, or 1 with a sentence that says what is missing."""
    if not shutil.which("unshare"):
        print(
            "The pictures need `unshare` (the package `util-linux`), so that agents have host names.", file=sys.stderr
        )
        return 1
    pictures = Path(arguments[0]) if arguments else ROOT / "docs" / "images"
    pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="deployx-screenshots-") as folder:
        asyncio.run(take(Path(folder), pictures))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
