"""A gigabyte goes from a browser to a server that dies on the way: whole, in memory that does not grow with it."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, Request, expect

from tests.e2e.conftest import OpenScreen, Place
from tests.support.memory import forget_peak, resident_mib

MIB = 1 << 20
SIZE_MIB = 1_100
SERVER_GROWS_MIB = 50
PAGE_GROWS_MIB = 150
CUT_AT = re.compile(r"Sent [3-9]\d\d MiB")
PATIENCE_MS = 600_000


def _write(path: Path) -> str:
    """A file no two pieces of which are the same; its SHA-256."""
    whole = hashlib.sha256()
    filling = hashlib.shake_256(b"a release").digest(MIB - 8)
    with path.open("wb") as file:
        for number in range(SIZE_MIB):
            piece = number.to_bytes(8, "big") + filling
            whole.update(piece)
            file.write(piece)
    return whole.hexdigest()


async def _renderers(browser: Browser) -> list[int]:
    session = await browser.new_browser_cdp_session()
    found = (await session.send("SystemInfo.getProcessInfo"))["processInfo"]
    await session.detach()
    return [one["id"] for one in found if one["type"] == "renderer"]


@pytest.mark.soak
@pytest.mark.timeout(1_500)
async def test_a_gigabyte_goes_up_through_a_server_that_dies(
    own_place: Place, open_screen: OpenScreen, browser: Browser, tmp_path: Path
) -> None:
    server, file = own_place.server, tmp_path / "shop.tar.gz"
    sha256 = _write(file)
    screen = await open_screen(server.url)
    screen.forgiven += ["ERR_", "WebSocket connection to"]
    await screen.enter(own_place.operator.person, "/releases/new")
    page = screen.page
    offsets: list[int] = []

    def asked(request: Request) -> None:
        if request.method == "PATCH":
            offsets.append(int(request.headers["upload-offset"]))

    page.on("request", asked)
    tabs = {pid: resident_mib(pid) for pid in await _renderers(browser)}
    for pid in (*tabs, server.pid):
        forget_peak(pid)
    server_before = resident_mib(server.pid)
    await page.get_by_label("The archive").set_input_files(file)
    upload = page.get_by_test_id("upload")
    await expect(upload).to_contain_text(CUT_AT, timeout=PATIENCE_MS)
    server_grew = resident_mib(server.pid, peak=True) - server_before
    await server.kill()
    await expect(upload).to_have_attribute("data-phase", "waiting")
    before = len(offsets)
    await server.start()
    server_before = resident_mib(server.pid)
    await expect(upload).to_have_attribute("data-phase", "done", timeout=PATIENCE_MS)
    await expect(upload).to_contain_text(sha256)
    server_grew = max(server_grew, resident_mib(server.pid, peak=True) - server_before)
    tab_grew = max(resident_mib(pid, peak=True) - grown for pid, grown in tabs.items())

    kept = await own_place.operator.client.get(f"/artifacts/{sha256}/content", headers={"Range": "bytes=-8192"})
    assert kept.content == file.read_bytes()[-8192:], "what the server keeps under the hash ends as the file does"
    assert min(offsets[before:]) >= 300 * MIB, "what was there before the cut is not sent again"
    print(json.dumps({"server MiB": round(server_grew), "tab MiB": round(tab_grew), "pieces": len(offsets)}))
    assert server_grew < SERVER_GROWS_MIB
    assert tab_grew < PAGE_GROWS_MIB
