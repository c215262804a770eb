"""Deployments in a browser: the wizard, the live page, and all that people do with one, on simulated devices."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, Route, expect

from app.accounts.permissions import Role
from deployx_protocol.messages import TAKES_RELEASES
from tests.e2e.conftest import SHARED, OpenScreen, running
from tests.support import people, releases, rows, simulated
from tests.support.browser import Screen
from tests.support.server import Person
from tests.support.server_process import ADMIN, Operator, ServerProcess
from tests.support.zygote import Zygotes

AGENTS = 14
APPROVED_ABOVE = 10
WHERE = "platform=linux"
IN_FLIGHT = '[data-rollout="downloading"], [data-rollout="installing"], [data-rollout="verifying"]'


@dataclass
class Shop:
    """A server with simulated devices and some releases; deployments to more than ten devices need a second person."""

    server: ServerProcess
    operator: Operator
    other: Person
    linux: int
    """How many of the devices take its releases."""

    async def start(self, release: str, where: str = WHERE, **strategy: Any) -> dict[str, Any]:
        """A deployment that somebody approved, if it needs that."""
        asked = {"release": release, "targets": {"selector": where}, "strategy": strategy}
        made: dict[str, Any] = await self.operator.ask("POST", "/deployments", asked)
        if made["state"] == "awaiting_approval":
            approver = Operator(self.server, self.other)
            await approver.ask("POST", f"/deployments/{made['id']}/approve", {"plan_hash": made["plan_hash"]})
            await approver.client.aclose()
        return made


@pytest_asyncio.fixture(scope="module", loop_scope=SHARED)
async def shop(tmp_path_factory: pytest.TempPathFactory, zygotes: Zygotes) -> AsyncIterator[Shop]:
    """One for all tests of this file: what each deploys has a name of its own, as one of a name is done at a time."""
    folder = tmp_path_factory.mktemp("shop")
    async with running(folder, zygote=zygotes.of("server"), approve_above=APPROVED_ABOVE) as server:
        operator = Operator(server, await people.signed_in(server.db, ADMIN))
        other = await people.newcomer(server.db, "grace@example.test", Role.ADMIN)
        for name, words in (
            ("quick", "sim:seconds=0.2"),
            ("slow", "sim:seconds=600"),
            ("sick", "sim:seconds=0.2 sim:unhealthy=1"),
            ("plain", "sim:seconds=0.2"),
            ("steered", "sim:seconds=0.2"),
            ("looked-at", "sim:seconds=0.2 sim:unhealthy=1"),
            ("thought-of", "sim:seconds=0.2"),
            ("many", "sim:seconds=0.2"),
            ("nightly", "sim:seconds=0.2"),
        ):
            await operator.ask("POST", "/releases", releases.envelope(releases.manifest(name, description=words)))
        token = await operator.enrollment_token(max_uses=AGENTS)
        async with simulated.idle(server.url, token, AGENTS):
            devices = await operator.until(AGENTS, status="online")
            linux = sum(one["platform"] == "linux" for one in devices)
            assert APPROVED_ABOVE < linux < AGENTS
            yield Shop(server, operator, other, linux)
        await operator.client.aclose()


@pytest_asyncio.fixture(loop_scope=SHARED)
async def screen(shop: Shop, open_screen: OpenScreen) -> Screen:
    """The screen of the administrator, live."""
    shown = await open_screen(shop.server.url)
    await shown.enter(shop.operator.person)
    return shown


def state(page: Page) -> Locator:
    """The state of the deployment that is shown."""
    return page.get_by_test_id("deployment-state")


async def act(page: Page, button: str, words: re.Pattern[str], does: str) -> None:
    """Press ``button``, read what will happen, and confirm it."""
    await page.get_by_role("group", name="What can be done").get_by_role("button", name=button).click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_test_id("steer-words")).to_have_text(words)
    await dialog.get_by_role("button", name=does, exact=True).click()
    await expect(dialog).to_have_count(0)


async def test_a_release_goes_out_in_waves_by_the_wizard(shop: Shop, screen: Screen) -> None:
    page, linux = screen.page, shop.linux
    await page.get_by_role("link", name="Deployments").click()
    await page.get_by_role("button", name="Deploy a release").click()
    await page.get_by_role("button", name="Next").click()
    await expect(page.get_by_role("alert")).to_have_text("Choose a release.")
    await page.get_by_role("radio", name="quick 1.1").check()
    await page.get_by_role("button", name="Next").click()
    await page.get_by_label("Selector").fill("platfrom=linux")
    await expect(page.get_by_test_id("selector-place").locator("mark")).to_be_visible()
    await page.get_by_label("Selector").fill("*")
    await expect(page.get_by_test_id("preview")).to_contain_text(f"It reaches {linux} devices, all online.")
    await page.get_by_role("button", name="Next").click()
    await page.get_by_label("Waves", exact=True).fill("1, 50%")
    await page.get_by_role("button", name="Next").click()
    await expect(page.get_by_role("alert")).to_contain_text("The last wave has to be 100%")
    await page.get_by_label("Waves", exact=True).fill("1, 50%, 100%")
    await page.get_by_label("Soak").fill("0 s")
    await page.get_by_role("button", name="Next").click()

    sentence = page.get_by_test_id("sentence")
    half = linux // 2 + linux % 2
    await expect(sentence).to_have_text(
        f"This installs quick 1.1 on {linux} devices in 3 waves: 1, {half - 1} and {linux - half}."
    )
    await expect(page.get_by_test_id("left-out")).to_contain_text("the release is for linux")
    await page.go_back()
    await expect(page.get_by_label("Waves", exact=True)).to_have_value("1, 50%, 100%")
    await page.reload()
    await expect(page.get_by_label("Soak")).to_have_value("0 s")
    await page.get_by_role("button", name="Next").click()
    await expect(page.get_by_test_id("needs-approval")).to_contain_text(f"more than {APPROVED_ABOVE} devices")
    await page.get_by_test_id("start-deployment").click()
    await expect(state(page)).to_have_attribute("data-state", "awaiting_approval")


async def test_a_second_person_approves_exactly_that(shop: Shop, screen: Screen, open_screen: OpenScreen) -> None:
    page = screen.page
    asked = {"release": "plain@1.1", "targets": {"selector": WHERE}, "strategy": {"waves": ["1", "50%", "100%"]}}
    made = await shop.operator.ask("POST", "/deployments", asked)
    await screen.goto(f"/deployments/{made['id']}")
    await expect(page.get_by_role("button", name="Approve")).to_have_attribute("aria-disabled", "true")

    second = await open_screen(shop.server.url)
    await second.enter(shop.other, "/deployments?state=waiting")
    await second.page.get_by_role("link", name="plain 1.1").click()
    await expect(second.page.get_by_test_id("approval")).to_contain_text(made["plan_hash"][:12])
    await second.page.get_by_role("button", name="Approve").click()
    dialog = second.page.get_by_role("dialog")
    await dialog.get_by_label("Why").fill("looked at it")
    await dialog.get_by_role("button", name=f"Approve for {shop.linux} devices").click()

    await expect(page.get_by_test_id("approval")).to_contain_text("looked at it")
    await expect(state(page)).to_have_attribute("data-state", "succeeded")
    lanes = page.get_by_test_id("lane")
    await expect(lanes).to_have_count(3)
    await expect(page.locator('[data-testid="lane"][data-state="done"]')).to_have_count(3)
    await expect(page.locator('[data-testid="cell"][data-rollout="succeeded"]')).to_have_count(shop.linux)
    await lanes.nth(0).get_by_role("link", name="1 succeeded").click()
    await expect(page.get_by_test_id("target-row")).to_have_count(1)
    await page.get_by_role("button", name="Of wave 1 only: show all waves").click()
    await expect(page.get_by_test_id("target-row")).to_have_count(shop.linux)

    await page.get_by_test_id("cell").nth(0).focus()
    await page.keyboard.press("ArrowRight")  # cells are one stop of the Tab key, and arrows go within
    await page.get_by_test_id("cell").nth(1).focus()
    await page.keyboard.press("Enter")
    panel = page.get_by_test_id("target-panel")
    await expect(panel.get_by_test_id("target-state")).to_have_attribute("data-state", "succeeded")
    await expect(panel).to_contain_text("installed")
    await panel.get_by_role("link").click()
    await page.get_by_role("tab", name="Deployments").click()
    await expect(page.get_by_test_id("device-deployments").get_by_role("listitem").first).to_contain_text("plain 1.1")


async def test_it_is_paused_resumed_promoted_and_rolled_back(shop: Shop, screen: Screen) -> None:
    page = screen.page
    screen.forgiven.append("409")  # one that is refused on purpose
    made = await shop.start("steered@1.1", waves=["2", "100%"], soak_s=3600)
    await screen.goto(f"/deployments/{made['id']}")
    gate = page.get_by_test_id("gate")
    await expect(gate).to_contain_text("of soak left")
    await expect(gate).to_contain_text("2 of 2")

    held: asyncio.Future[Route] = asyncio.get_running_loop().create_future()

    async def hold(route: Route) -> None:
        held.set_result(route)

    await page.route("**/pause", hold, times=1)
    await act(page, "Pause", re.compile(rf"{shop.linux - 2} devices wait"), "Pause")
    await expect(state(page)).to_have_attribute("data-asked", "true")
    await expect(state(page)).to_have_attribute("data-state", "paused")  # shown before the server has answered
    refusal = {"status": 409, "code": "cannot", "title": "Conflict", "detail": "Somebody else is at it."}
    await (await held).fulfill(status=409, json=refusal, content_type="application/problem+json")
    await expect(page.get_by_role("alert")).to_contain_text("It was not paused.")
    await expect(page.get_by_role("alert")).to_contain_text("Somebody else is at it.")
    await expect(state(page)).to_have_attribute("data-state", "running")

    await act(page, "Pause", re.compile("Nothing new starts"), "Pause")
    await expect(state(page)).not_to_have_attribute("data-asked", "true")
    await expect(state(page)).to_have_attribute("data-state", "paused")
    await act(page, "Resume", re.compile(rf"{shop.linux - 2} devices that wait"), "Resume")
    await expect(state(page)).not_to_have_attribute("data-asked", "true")
    rest = f"{shop.linux - 2} devices"
    await act(page, "Promote", re.compile(rf"Wave 2 with {rest} begins now"), f"Open it for {rest}")
    await expect(state(page)).to_have_attribute("data-state", "succeeded")
    await expect(gate).to_contain_text(f"opened early by {ADMIN}")

    back = f"Roll back {shop.linux} devices"
    await act(page, "Roll back", re.compile(rf"{shop.linux} devices that have it"), back)
    await expect(state(page)).to_have_attribute("data-state", "rolled_back")
    await expect(page.locator('[data-testid="cell"][data-rollout="rolled_back"]')).to_have_count(shop.linux)
    await expect(page.get_by_role("button", name="Pause")).to_have_attribute("aria-disabled", "true")
    await page.get_by_role("radiogroup", name="What is shown").get_by_text("Log").click()
    log = page.get_by_test_id("decision-log").get_by_role("listitem")
    for kind in ("promoted", "paused", "resumed", "rolling_back", "ended"):
        await expect(page.locator(f'[data-kind="{kind}"]').first).to_be_visible()
    await expect(log.filter(has_text=ADMIN).first).to_be_visible()


async def test_one_is_aborted_while_devices_are_at_it(shop: Shop, screen: Screen) -> None:
    page = screen.page
    made = await shop.start("slow@1.1", waves=["3", "100%"])
    await screen.goto(f"/deployments/{made['id']}")
    await expect(page.get_by_test_id("cell").and_(page.locator(IN_FLIGHT))).to_have_count(3)
    row = page.get_by_test_id("target-row").first
    await expect(row.get_by_role("progressbar")).to_be_visible()
    in_flight = re.compile(rf"3 devices in flight end.*{shop.linux - 3} devices that wait are left out")
    await act(page, "Abort", in_flight, f"Abort for {shop.linux} devices")
    await expect(state(page)).to_have_attribute("data-state", re.compile("abort"))
    await expect(page.get_by_test_id("count-skipped")).to_contain_text(str(shop.linux - 3))


async def test_a_sick_release_stops_by_itself(shop: Shop, screen: Screen) -> None:
    page = screen.page
    made = await shop.start("sick@1.1", waves=["2", "100%"])
    await screen.goto("/deployments")
    shown = page.locator(f'[data-deployment-id="{made["id"]}"]')
    await expect(shown).to_have_attribute("data-state", "paused")
    await shown.get_by_role("link").click()
    await expect(page.get_by_test_id("deployment-reason")).to_contain_text("failed")
    await expect(page.get_by_test_id("count-pending")).to_contain_text(str(shop.linux - 2))
    await page.get_by_role("group", name="What can be done").get_by_role("button", name="Retry").click()
    await expect(page.get_by_role("dialog").get_by_role("checkbox", name="Rolled back (2)")).to_be_checked()
    await page.get_by_role("dialog").get_by_role("button", name="Try again on 2 devices").click()
    await page.get_by_role("radiogroup", name="What is shown").get_by_text("Log").click()
    await expect(page.locator('[data-kind="retried"]')).to_be_visible()


async def test_one_that_a_schedule_starts_is_told_of_and_its_release_says_who_has_it(
    shop: Shop, screen: Screen
) -> None:
    page = screen.page
    await screen.goto("/schedules/new")
    await screen.live()
    await page.get_by_text("Deploy a release").click()
    await page.get_by_role("textbox", name="Name", exact=True).fill("every night")
    await page.get_by_role("button", name="every day at 2:30").click()
    await page.get_by_role("button", name="Make the schedule").click()
    await expect(page.get_by_role("alert")).to_contain_text("Choose a release.")
    await page.get_by_role("radio", name="nightly 1.1").check()
    await page.get_by_label("Selector").fill(WHERE)
    await page.get_by_label("Waves", exact=True).fill("1, 100%")
    await page.get_by_label("Soak").fill("0 s")
    await expect(page.get_by_test_id("preview")).to_contain_text(f"{shop.linux} devices")
    await expect(page.get_by_test_id("preview")).to_contain_text("Each time it waits until a second person")
    await page.get_by_role("button", name="Make the schedule").click()
    await expect(page.get_by_role("heading", name="every night")).to_be_visible()
    await page.get_by_role("button", name="Start now").click()
    await page.get_by_test_id("firings").get_by_role("link", name="Its deployment").click()
    await expect(state(page)).to_have_attribute("data-state", "awaiting_approval")
    deployment = page.url.rpartition("/")[2].partition("?")[0]
    plan = (await shop.operator.ask("GET", f"/deployments/{deployment}"))["plan_hash"]

    await page.get_by_role("link", name="Schedules").first.click()
    approver = Operator(shop.server, shop.other)
    await approver.ask("POST", f"/deployments/{deployment}/approve", {"plan_hash": plan})
    await approver.client.aclose()
    toast = page.get_by_test_id("toast").filter(has_text="nightly 1.1 succeeded")
    await toast.get_by_role("link").click()
    await expect(state(page)).to_have_attribute("data-state", "succeeded")

    release = (await shop.operator.ask("GET", "/releases?name=nightly"))["items"][0]["id"]
    await screen.goto(f"/releases/{release}")
    await screen.live()
    await page.get_by_test_id("standing-exact").click()
    having = page.get_by_test_id("compliance").get_by_role("listitem")
    await expect(having).to_have_count(shop.linux)
    await expect(having.first).to_contain_text("Has it")
    await page.get_by_test_id("standing-unfit").click()
    await expect(having).to_have_count(AGENTS - shop.linux)
    assert await screen.axe() == []


@pytest.mark.parametrize(
    ("scheme", "width"), [("dark", 390), pytest.param("light", 1280, marks=pytest.mark.soak)], ids=["phone", "desk"]
)
async def test_axe_finds_nothing_and_nothing_scrolls_sideways(
    shop: Shop, open_screen: OpenScreen, scheme: str, width: int
) -> None:
    made = await shop.start("looked-at@1.1", waves=["2", "50%", "100%"])
    one = f"/deployments/{made['id']}"
    chosen = "/deployments/new?release=thought-of@1.1&on=*"
    elsewhere = (
        ("/deployments/new", "release-choice"),
        (f"{chosen}&step=targets", "left-out"),
        (f"{one}?view=plan", "plan"),
        ("/schedules/new?kind=deployment&release=thought-of@1.1&on=*", "planned-waves"),
        ("/deployments/00000000-0000-7000-8000-000000000000", "link-state"),
    )
    screen = await open_screen(
        shop.server.url, color_scheme=scheme, viewport={"width": width, "height": 844}, is_mobile=width < 500
    )
    screen.forgiven.append("404")  # a deployment that is not there is asked for
    page = screen.page
    await screen.enter(shop.operator.person, "/deployments")
    for path, shown in (
        ("/deployments", "deployment-list"),
        (f"{chosen}&step=waves", "planned-waves"),
        (f"{chosen}&step=confirm", "sentence"),
        (one, "target-row"),
        (f"{one}?view=log", "decision-log"),
        *(elsewhere if scheme == "light" else ()),
    ):
        await screen.goto(path)
        await screen.live()
        await expect(page.get_by_test_id(shown).first).to_be_visible()
        assert await screen.axe() == [], (path, scheme, width)
        assert await page.evaluate("() => document.documentElement.scrollWidth") <= width, (path, width)


async def test_more_than_five_hundred_are_bars_and_a_selection_is_deployed_to(shop: Shop, screen: Screen) -> None:
    page, count = screen.page, 520
    stocked = [
        rows.device(10_000 + n, device_name=f"till-{n:03}", user_id=shop.operator.person.id, facts=dict(TAKES_RELEASES))
        for n in range(count)
    ]
    for one in stocked:
        one.platform = "linux"
    async with shop.server.db.write() as session:
        session.add_all(stocked)
    made = await shop.start("many@1.1", where="name=till-*", waves=["10", "100%"])
    await screen.goto(f"/deployments/{made['id']}")
    await expect(page.get_by_test_id("lane")).to_have_count(2)
    await expect(page.get_by_test_id("cell")).to_have_count(0)
    await expect(page.get_by_test_id("count-pending")).to_contain_text(str(count))
    assert await page.get_by_test_id("target-row").count() < 60
    await page.get_by_test_id("lane").nth(0).get_by_role("link", name="10 pending").click()
    await expect(page.get_by_test_id("target-row")).to_have_count(10)
    await page.get_by_role("group", name="What can be done").get_by_role("button", name="Abort").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_role("button", name=f"Abort for {count} devices")).to_be_disabled()
    await dialog.get_by_label(f"Type {count} to confirm").fill(str(count))
    await dialog.get_by_role("button", name=f"Abort for {count} devices").click()
    await expect(state(page)).to_have_attribute("data-state", "aborted")

    await screen.goto("/?q=till-00")
    await screen.live()
    await page.get_by_test_id("device-row").nth(0).get_by_role("checkbox").check()
    await page.get_by_role("region", name="Selection").get_by_role("button", name="Deploy…").click()
    await page.get_by_role("radio", name="many 1.1").check()
    await page.get_by_role("button", name="Next").click()
    await expect(page.get_by_test_id("picked-count")).to_have_text("1 picked")
    await expect(page.get_by_test_id("preview")).to_contain_text("It reaches 1 device: 0 online, 1 offline.")
