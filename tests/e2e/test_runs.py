"""Runs in a browser, with real agents: preview, start, follow the output, cancel, retry, group what is equal."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Page, expect

from app.accounts.permissions import Role
from tests.e2e.conftest import OpenScreen, Place
from tests.support.browser import Screen

COLOURS = r"printf '\033[31mred\033[0m <b>bold</b>\n'; printf 'a warning\n' >&2"
SLOW = "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo line $i; sleep 0.01; done"

StartRun = Callable[..., Awaitable[str]]


@pytest.fixture
def start_run(place: Place) -> StartRun:
    """``await start_run(shell="…")`` on every device, or on those of ``device_ids``: the run's id."""

    async def start(shell: str, device_ids: list[int] | None = None, **more: Any) -> str:
        targets = {"device_ids": device_ids} if device_ids else {"selector": "*"}
        run = await place.operator.ask("POST", "/runs", {"shell": shell, "targets": targets, **more})
        return str(run["id"])

    return start


async def compose(page: Page, kind: str, label: str, text: str) -> None:
    """Type what to run."""
    await page.get_by_role("radiogroup", name="What to run").get_by_text(kind, exact=True).click()
    await page.get_by_role("textbox", name=label, exact=True).fill(text)


async def test_a_run_is_previewed_started_and_its_output_read(place: Place, screen: Screen) -> None:
    page = screen.page
    first, second = await place.device(1), await place.device(2)
    await place.fleet.kill(2)
    await place.operator.until(1, id=second, status="offline")
    await page.get_by_role("link", name="Runs").click()
    await expect(page.get_by_test_id("first-run")).to_be_visible()
    await page.get_by_role("button", name="Run a command").click()

    await compose(page, "Command", "Command", "echo hello | cat")
    await expect(page.get_by_test_id("shell-hint")).to_contain_text("|")
    await page.get_by_role("button", name="Make it a shell line").click()
    await page.get_by_role("textbox", name="Line for the shell").fill(COLOURS)
    await page.get_by_label("Selector").fill("*,platfrom=linux")
    await expect(page.get_by_text(re.compile("Mend the selector"))).to_be_visible()
    await expect(page.get_by_test_id("selector-place").locator("mark")).to_be_visible()
    await page.get_by_label("Selector").fill("*")
    preview = page.get_by_test_id("preview")
    await expect(preview).to_contain_text("This will run on 2 devices: 1 online, 1 gets it on return")
    await page.get_by_role("button", name="Run on 2 devices").click()

    await expect(page.get_by_test_id("count-succeeded")).to_contain_text("1")
    await expect(page.get_by_test_id("run-progress")).to_have_text("1 of 2 done")
    waiting = page.get_by_test_id("task-row").filter(has_text="offline since")
    await expect(waiting).to_contain_text("sent when it is back")
    await page.get_by_test_id("count-succeeded").click()
    await expect(page.get_by_test_id("task-row")).to_have_count(1)
    await page.get_by_test_id("task-row").get_by_role("link").click()
    output = page.get_by_test_id("output")
    await expect(output).to_contain_text("red <b>bold</b>")
    await expect(output.locator("b")).to_have_count(0)
    await expect(output.locator("[data-stream='2']")).to_have_text("a warning")
    coloured = output.get_by_text("red", exact=True)
    assert await coloured.evaluate("(element) => getComputedStyle(element).color") == "rgb(255, 123, 114)"

    await place.fleet.start(2)
    await expect(page.get_by_test_id("run-progress")).to_contain_text("All done")
    await page.get_by_role("link", name="Runs", exact=True).first.click()
    await expect(page.get_by_test_id("run-row")).to_contain_text("2 succeeded")
    await screen.goto(f"/devices/{first}")
    await screen.live()
    await page.get_by_role("tab", name="Runs").click()
    await expect(page.get_by_test_id("device-tasks").get_by_role("listitem")).to_contain_text("Succeeded")


async def test_output_is_followed_paused_and_cancelled(place: Place, screen: Screen, start_run: StartRun) -> None:
    page, device = screen.page, await place.device(1)
    run = await start_run(SLOW, [device])
    await screen.goto(f"/runs/{run}")
    output = page.get_by_test_id("output")
    await expect(output).to_have_attribute("data-following", "true")
    await expect(output).to_contain_text(re.compile(r"line (1[2-9]\d|[2-9]\d\d|\d{4})"))  # of those from 120 on
    await output.hover()
    await page.mouse.wheel(0, -600)
    await expect(output).not_to_have_attribute("data-following", "true")
    kept = await output.evaluate("(box) => box.scrollTop")
    before = await page.get_by_test_id("task-panel").inner_text()
    await expect(page.get_by_test_id("task-panel")).not_to_have_text(before)  # more came
    assert await output.evaluate("(box) => box.scrollTop") == kept
    await page.get_by_role("button", name="Follow").click()
    await expect(output).to_have_attribute("data-following", "true")

    await page.get_by_test_id("task-panel").get_by_role("button", name="Cancel", exact=True).click()
    await page.get_by_role("dialog").get_by_role("button", name="Cancel it here").click()
    await expect(page.get_by_test_id("task-state")).to_have_attribute("data-state", "cancelled")
    await expect(page.get_by_test_id("run-progress")).to_contain_text("All done")


async def test_what_failed_is_run_again(place: Place, screen: Screen, start_run: StartRun) -> None:
    page = screen.page
    for number in (1, 2):
        await place.device(number)
    run = await start_run(
        f"test ! -e {place.fleet.folder}/failed && mkdir {place.fleet.folder}/failed && exit 3; echo fine"
    )
    await screen.goto(f"/runs/{run}")
    await expect(page.get_by_test_id("run-progress")).to_contain_text("All done")
    await expect(page.get_by_test_id("count-failed")).to_contain_text("1")
    await page.get_by_role("button", name="Retry 1").click()
    await page.get_by_role("dialog").get_by_role("button", name="Run again on 1 device").click()
    await expect(page).not_to_have_url(re.compile(run))
    await expect(page.get_by_text("repeats an earlier run")).to_be_visible()
    await expect(page.get_by_test_id("count-succeeded")).to_contain_text("1")


async def test_equal_outputs_stand_together(place: Place, screen: Screen, start_run: StartRun) -> None:
    page = screen.page
    for number in (1, 2, 3):
        await place.device(number)
    run = await start_run(f"mkdir {place.fleet.folder}/once 2>/dev/null && echo odd || echo even")
    await screen.goto(f"/runs/{run}?view=outputs")
    groups = page.get_by_test_id("output-group")
    await expect(groups).to_have_count(2)
    await expect(groups.nth(0)).to_contain_text("2 devices")
    await expect(groups.nth(0)).to_contain_text("even")
    await expect(groups.nth(1)).to_contain_text("odd")
    await groups.nth(0).get_by_role("button", name="Show the 2").click()
    await expect(page.get_by_test_id("task-row")).to_have_count(2)
    await page.get_by_role("button", name="With one output only: show all").click()
    await expect(page.get_by_test_id("task-row")).to_have_count(3)


async def test_a_huge_output_is_read_in_parts(place: Place, fresh_screen: Screen, start_run: StartRun) -> None:
    page, device = fresh_screen.page, await place.device(1)
    run = await start_run("seq -f 'number %08g of a million and more' 1 300000", [device])  # 11 MB
    await fresh_screen.goto(f"/runs/{run}")
    await expect(page.get_by_test_id("task-state")).to_have_attribute("data-state", "succeeded")
    output, place_shown = page.get_by_test_id("output"), page.get_by_test_id("output-place")
    await expect(place_shown).to_contain_text("of 11 MiB")
    await fresh_screen.goto(f"/runs/{run}")
    await expect(output).to_contain_text("number 00000001")
    await page.get_by_role("button", name="To the end").click()
    await expect(output).to_contain_text("number 00300000")
    assert await output.locator("[data-index]").count() < 200
    await page.get_by_role("button", name="Start", exact=True).click()
    await expect(output).to_contain_text("number 00000001")
    await page.get_by_label("Search the output").fill("00250000")
    await page.get_by_role("button", name="Next match").click()
    await expect(output.locator("mark")).to_have_text("00250000")
    held = await page.evaluate("() => performance.memory.usedJSHeapSize")
    assert held < 150_000_000


async def test_a_run_that_ends_elsewhere_is_told(place: Place, screen: Screen) -> None:
    page, device = screen.page, await place.device(1)
    await screen.goto(f"/runs/new?device={device}")
    go = place.fleet.folder / "go"
    line = f"until [ -e {go} ]; do sleep 0.05; done; exit 4"
    await compose(page, "Shell line", "Line for the shell", line)
    await page.get_by_role("button", name="Run on 1 device").click()
    await expect(page.get_by_test_id("run-title")).to_have_text(line)
    await page.get_by_role("link", name="Devices", exact=True).click()
    await expect(screen.row(device)).to_be_visible()
    go.touch()
    toast = page.get_by_test_id("toast").filter(has_text="is over: 1 failed")
    await toast.get_by_role("link").click()
    await expect(page.get_by_test_id("run-title")).to_have_text(line)


async def test_more_than_twenty_are_confirmed_by_their_number(place: Place, screen: Screen) -> None:
    page = screen.page
    await place.stock([f"web-{number:02}" for number in range(1, 23)])
    await screen.goto("/runs/new")
    await screen.live()
    await compose(page, "Command", "Command", "uptime")
    await page.get_by_label("Selector").fill("name=web-*")
    await page.get_by_role("button", name="Run on 22 devices").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_role("button", name="Run on 22 devices")).to_be_disabled()
    await dialog.get_by_label("Type 22 to confirm").fill("22")
    await dialog.get_by_role("button", name="Run on 22 devices").click()
    await expect(page.get_by_test_id("count-queued")).to_contain_text("22")
    await page.get_by_role("button", name="Cancel", exact=True).click()
    await page.get_by_role("dialog").get_by_label("Type 22 to confirm").fill("22")
    await page.get_by_role("dialog").get_by_role("button", name="Cancel on 22 devices").click()
    await expect(page.get_by_test_id("count-cancelled")).to_contain_text("22")


async def test_a_command_is_saved_taken_and_forgotten(place: Place, screen: Screen) -> None:
    page = screen.page
    await screen.goto("/runs/new")
    await screen.live()
    await compose(page, "Shell line", "Line for the shell", "df -h | tail -3")
    await page.get_by_role("button", name="Saved").click()
    await expect(page.get_by_text("Nothing is saved yet.")).to_be_visible()
    await page.get_by_label("Save what is typed as").fill("disks")
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.get_by_role("button", name="disks df -h | tail -3")).to_be_visible()
    await page.keyboard.press("Escape")
    await page.get_by_role("textbox", name="Line for the shell").fill("")
    await page.get_by_role("button", name="Saved").click()
    await page.get_by_role("button", name="disks df -h | tail -3").click()
    await expect(page.get_by_role("textbox", name="Line for the shell")).to_have_value("df -h | tail -3")
    await page.get_by_role("button", name="Saved").click()
    await page.get_by_role("button", name="Forget disks").click()
    await expect(page.get_by_text("Nothing is saved yet.")).to_be_visible()


async def test_a_selection_is_run_on_and_a_viewer_may_not(
    place: Place, screen: Screen, open_screen: OpenScreen
) -> None:
    page, device = screen.page, await place.device(1)
    await screen.row(device).get_by_role("checkbox").check()
    await page.get_by_role("button", name="Run…").first.click()
    await expect(page.get_by_test_id("picked-count")).to_have_text("1 picked")
    await expect(page.get_by_test_id("preview")).to_contain_text("This will run on 1 device, online.")
    await page.keyboard.press("Control+k")
    await page.get_by_placeholder("Find a device, page or action").fill("run a command")
    await expect(page.get_by_role("dialog").get_by_role("button")).to_have_count(1)
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{screen.url}/runs/new")

    viewer = await open_screen(place.server.url)
    await viewer.enter(await place.newcomer(Role.VIEWER), "/runs")
    await expect(viewer.page.get_by_role("button", name="Run a command")).to_have_attribute("aria-disabled", "true")


async def test_axe_finds_nothing_and_nothing_scrolls_sideways(
    place: Place, open_screen: OpenScreen, start_run: StartRun
) -> None:
    await place.device(1)
    await place.device(2)
    run = await start_run(COLOURS)
    [task, _] = (await place.operator.ask("GET", f"/runs/{run}/tasks"))["items"]
    screen = await open_screen(place.server.url)
    screen.forgiven.append("404")  # a run that is not there is asked for
    page = screen.page
    await screen.enter(place.operator.person, "/runs")
    await expect(page.get_by_test_id("run-row")).to_contain_text("2 succeeded")
    for path, shown in (
        ("/runs", "run-list"),
        ("/runs?q=nothing-like-it", "link-state"),
        ("/runs/new", "start-run"),
        (f"/runs/{run}", "task-row"),
        (f"/runs/{run}?view=outputs", "output-group"),
        (f"/runs/{run}?task={task['id']}", "output"),
        ("/runs/00000000-0000-7000-8000-000000000000", "link-state"),
    ):
        await screen.goto(path)
        await screen.live()
        if path.endswith("/new"):
            await page.get_by_label("Selector").fill("*")
            await expect(page.get_by_test_id("reached")).to_be_visible()
        await screen.stands_every_look(page.get_by_test_id(shown))
