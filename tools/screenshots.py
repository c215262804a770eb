"""Takes the README's pictures of the running product: a real server, simulated devices, a real browser.

    .venv/bin/python tools/screenshots.py [FOLDER]

The devices have had a day before (`past.py`), so that there is something to see. Needs what `make test` installs.
Everything it starts lives in a temporary folder and is gone when it ends.
"""

import asyncio
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from playwright.async_api import Browser, async_playwright  # noqa: E402

from local.service import Service  # noqa: E402
from past import Fleet, live  # noqa: E402
from tests.support.browser import Screen  # noqa: E402
from tests.support.chromium import LAUNCH_ARGUMENTS, executable  # noqa: E402
from tests.support.server_process import Operator, ServerProcess  # noqa: E402

SERVER = str(ROOT / ".venv" / "bin" / "deployx-server")
SEED = "pictures"
DEVICES, GONE = 60, 5
GATHER_S, PATIENCE_S = 120.0, 20.0
WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
SETTLE_S = 8.0
"""Until toasts are gone."""
PEOPLE_TAGS = {"web": {"tier": "front"}, "db": {"tier": "data", "backup": "hourly"}}
"""What somebody has added to what the agents' settings say."""


async def picture(browser: Browser, server: ServerProcess, path: Path, target: str = "/", **options: Any) -> None:
    """One page, as it looks when everything has arrived."""
    context = await browser.new_context(reduced_motion="reduce", **options)
    screen = await Screen.open(context)
    screen.begin(server.url)
    await screen.sign_in(await server.sign_in(), target)
    await screen.page.wait_for_load_state("networkidle")
    await screen.page.wait_for_function("() => !document.querySelector('.mantine-Skeleton-root')")
    await screen.page.mouse.move(0, 0)
    await screen.page.evaluate("() => document.activeElement?.blur()")
    await screen.page.screenshot(path=path)
    await context.close()
    print(f"Wrote {path}.")


async def devices(folder: Path, server: ServerProcess, token: str) -> Service:
    """Those that did not go for good are there again."""
    command = [SERVER, "sim", "--url", server.url, "--agents", str(DEVICES - GONE), "--seed", SEED]
    env = {name: value for name, value in os.environ.items() if not name.startswith("DEPLOYX_")}
    env["DEPLOYX_ENROLLMENT_TOKEN"] = token
    service = await Service.start("devices", [*command, "--idle", "--seconds", "0"], env, folder / "devices.log")
    await service.says(r"agents are there", GATHER_S)
    return service


async def finished(operator: Operator, **request: Any) -> str:
    """The id of a run that is over wherever somebody is online."""
    run = await operator.ask("POST", "/runs", request)
    while True:  # somebody is queued: who went for good
        counts = (await operator.ask("GET", f"/runs/{run['id']}"))["counts"]
        if not any(counts.get(state) for state in ("sent", "accepted", "running")) and len(counts) > 1:
            return str(run["id"])
        await asyncio.sleep(0.2)


async def take(folder: Path, pictures: Path) -> None:
    """Start everything, take every picture, end everything."""
    url = f"sqlite+aiosqlite:///{folder / 'deployx.db'}"
    server = ServerProcess(folder, url)
    await server.start()
    operator = Operator(server, await server.sign_in())
    started: Service | None = None
    try:
        token = await operator.enrollment_token(max_uses=DEVICES)
        await server.stop()
        print("Letting the devices live for a day …")
        await live(url, [Fleet(server.url, token, SEED, DEVICES, GONE)])
        await server.start()
        started = await devices(folder, server, token)
        for role, tags in PEOPLE_TAGS.items():
            for one in await operator.devices():
                if one["agent_tags"].get("role") == role:
                    await operator.ask("PATCH", f"/devices/{one['id']}", {"tags": tags})
        offline = await operator.until(GONE, status="offline")
        for shell in ("uptime", "systemctl is-active nginx", "df -h /"):
            await finished(operator, shell=shell, targets={"selector": "role=web"})
        run = await finished(operator, shell="apt-get -y upgrade", targets={"selector": "platform=linux"})
        tasks = (await operator.ask("GET", f"/runs/{run}/tasks", params={"state": "succeeded"}))["items"]
        shown = max(tasks, key=lambda task: int(task["output_bytes"]))
        await asyncio.sleep(SETTLE_S)
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=executable(), args=list(LAUNCH_ARGUMENTS))
            await picture(browser, server, pictures / "dashboard.png", viewport=WIDE)
            await picture(browser, server, pictures / "dashboard-dark.png", viewport=WIDE, color_scheme="dark")
            await picture(browser, server, pictures / "dashboard-phone.png", viewport=PHONE, is_mobile=True)
            await picture(browser, server, pictures / "device.png", f"/devices/{offline[0]['id']}", viewport=WIDE)
            await picture(browser, server, pictures / "run.png", f"/runs/{run}?task={shown['id']}", viewport=WIDE)
            await browser.close()
    finally:
        if started is not None:
            await started.end(PATIENCE_S)
        await operator.client.aclose()
        await server.tidy()


def main(arguments: list[str]) -> int:
    """0 when all pictures were taken."""
    pictures = Path(arguments[0]) if arguments else ROOT / "docs" / "images"
    pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="deployx-screenshots-") as folder:
        asyncio.run(take(Path(folder), pictures))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
