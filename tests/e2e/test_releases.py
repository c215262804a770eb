"""Releases in a browser: a file is uploaded over a line that breaks, a release made of it, looked at and deleted."""

import base64
import hashlib
import re

from playwright.async_api import Route, expect

from app.accounts.permissions import Role
from deployx_protocol import releases as manifests
from tests.e2e.conftest import OpenScreen, Place
from tests.support import releases
from tests.support.browser import Screen

CONTENT = bytes(range(256)) * 12_000
"""3 MB: several pieces."""
SHA256 = hashlib.sha256(CONTENT).hexdigest()


async def test_a_file_arrives_over_a_line_that_breaks_and_becomes_a_release(place: Place, screen: Screen) -> None:
    page = screen.page
    screen.forgiven.append("ERR_")  # the line that breaks
    await page.get_by_role("link", name="Releases").click()
    await page.get_by_role("button", name="New release").click()
    await page.get_by_role("button", name="Make the release").click()
    await expect(page.get_by_role("alert").last).to_contain_text("A name has lower case letters")

    pieces: list[int] = []

    async def breaks_once(route: Route) -> None:
        piece = route.request.method == "PATCH"
        if piece:
            pieces.append(int(route.request.headers["upload-offset"]))
        if piece and len(pieces) == 2:
            await route.abort("connectionreset")
        else:
            await route.continue_()

    await page.route("**/artifacts/uploads/*", breaks_once)
    await page.get_by_label("Name", exact=True).fill(f"shop-{place.operator.person.id}")
    await page.get_by_label("Version", exact=True).fill("1.4.2")
    await page.get_by_label("The archive").set_input_files(
        {"name": "shop (final).tar.gz", "mimeType": "application/gzip", "buffer": CONTENT}
    )
    upload = page.get_by_test_id("upload")
    await expect(upload).to_have_attribute("data-phase", "done")
    await expect(upload).to_contain_text(SHA256)
    assert pieces[0] == 0
    assert min(pieces[1:]) > 0 and len(pieces) > 2, "the piece that was cut off is sent again, and none before it"
    await page.get_by_label("Becomes the folder").fill("/opt/shop")
    await page.get_by_label("Health", exact=True).fill("test -e /opt/shop/ready")
    await page.get_by_role("button", name="Make the release").click()

    await expect(page.get_by_test_id("release-title")).to_have_text(f"shop-{place.operator.person.id} 1.4.2")
    await expect(page.get_by_test_id("artifacts")).to_contain_text(SHA256)
    await expect(page.get_by_test_id("manifest")).to_contain_text("test -e /opt/shop/ready")
    await expect(page.get_by_test_id("signatures")).to_contain_text("The server cannot vouch for a signature")
    release = page.url.rpartition("/")[2]
    detail = await place.operator.ask("GET", f"/releases/{release}")
    manifest = manifests.parse(base64.b64decode(detail["payload"]))
    assert manifest.archive
    assert (manifest.number, manifest.archive.into) == (1, "/opt/shop")
    assert [(one.name, one.sha256, one.size) for one in manifest.artifacts] == [
        ("shop-final-.tar.gz", SHA256, len(CONTENT))
    ]
    async with page.expect_download() as download:
        await page.get_by_role("link", name="shop-final-.tar.gz").click()
    assert hashlib.sha256((await (await download.value).path()).read_bytes()).hexdigest() == SHA256

    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete release").click()
    await expect(page).to_have_url(re.compile("/releases$"))


async def test_the_next_version_goes_back_to_the_one_before(place: Place, screen: Screen) -> None:
    page, name = screen.page, f"kiosk-{place.operator.person.id}"
    before = releases.manifest(name, number=4)
    made = await place.operator.ask("POST", "/releases", releases.envelope(before))
    await screen.goto("/releases/new")
    await screen.live()
    await page.get_by_label("Name", exact=True).fill(name)
    await expect(page.get_by_text("The newest is 1.4.")).to_be_visible()
    await page.get_by_label("Version", exact=True).fill("2.0")
    await page.get_by_role("radiogroup", name="Kind of release").get_by_text("Package").click()
    await page.get_by_label("Package", exact=True).last.fill("kiosk")
    await page.get_by_role("button", name="Make the release").click()
    await expect(page.get_by_test_id("release-title")).to_have_text(f"{name} 2.0")
    detail = await place.operator.ask("GET", f"/releases/{page.url.rpartition('/')[2]}")
    assert detail["number"] == 5
    assert detail["previous"]["id"] == made["id"]
    await page.get_by_role("link", name="Releases").first.click()
    await page.get_by_label("Search the releases").fill(name)
    await expect(page.get_by_test_id("release-row")).to_have_count(1)
    await page.get_by_role("button", name=f"1 older version of {name}").click()
    await expect(page.get_by_test_id("release-row").get_by_role("link")).to_have_count(2)


async def test_axe_finds_nothing_and_a_viewer_makes_nothing(place: Place, open_screen: OpenScreen) -> None:
    named = f"seen-{place.operator.person.id}"
    manifest = releases.manifest(named, description="What is new: much.")
    made = await place.operator.ask("POST", "/releases", releases.envelope(manifest))
    viewer = await place.newcomer(Role.VIEWER)
    screen = await open_screen(place.server.url)
    page = screen.page
    await screen.enter(viewer, "/releases")
    await expect(page.get_by_role("button", name="New release")).to_have_attribute("aria-disabled", "true")
    for path, shown in (
        ("/releases", "release-list"),
        ("/releases/new", "new-release"),
        (f"/releases/{made['id']}", "manifest"),
        (f"/releases/{named}@1.1", "manifest"),
    ):
        await screen.goto(path)
        await screen.live()
        await screen.stands_every_look(page.get_by_test_id(shown))
