"""A real browser at the dashboard: a screen for each person, which remembers all that it was sent and said."""

import contextlib
import re
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    ViewportSize,
    WebSocket,
    expect,
)

from app.accounts.auth import COOKIE
from tests.support.server import PASSWORD, Person

PATIENCE_MS = 45_000
"""Long: a machine that is busy with other tests is no failure."""
LOOKS: tuple[tuple[Literal["light", "dark"], ViewportSize], ...] = (
    ("light", {"width": 1280, "height": 900}),
    ("dark", {"width": 390, "height": 844}),
)
"""Both schemes of colours, and a desk and a phone."""
AXE = Path(__file__).parents[2] / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
_AT_REST = """() => document.getAnimations().every(
    (one) => one.playState !== "running" || one.effect.getComputedTiming().iterations === Infinity
)"""

expect.set_options(timeout=PATIENCE_MS)

_WATCHED = """
  window.__violations = [];
  document.addEventListener("securitypolicyviolation", (event) =>
    window.__violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""
_TWO_FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
_OBSERVE = """() => {
  window.__seen = [];
  const note = (row) => window.__seen.push({
    id: Number(row.dataset.deviceId), status: row.dataset.status, at: performance.timeOrigin + performance.now(),
  });
  new MutationObserver((changes) => {
    for (const { target, addedNodes } of changes) {
      if (target.dataset?.deviceId) note(target);
      for (const node of addedNodes) if (node.dataset?.deviceId) note(node);
    }
  }).observe(document.body, { subtree: true, childList: true, attributes: true, attributeFilter: ["data-status"] });
}"""


@dataclass
class Screen:
    """One page in a context, and cookie jar, of its own."""

    context: BrowserContext
    page: Page
    url: str = ""
    said: list[str] = field(default_factory=list)
    """What stands in its console, each line after its level: ``debug: [INFO] …``."""
    received: list[str] = field(default_factory=list)
    """Every websocket frame and every body that the server sent."""
    keeps_bodies: bool = True
    """Off where they are too large to be kept."""
    hosts: set[str] = field(default_factory=set)
    """The origins it asked for anything."""
    forgiven: list[str] = field(default_factory=list)
    """Patterns of complaints in the console that the test provokes."""

    @classmethod
    async def open(cls, context: BrowserContext) -> "Screen":
        """A blank page that listens to itself."""
        screen = cls(context, await context.new_page())
        page = screen.page
        await page.add_init_script(_WATCHED)
        page.on("console", screen._heard)
        page.on("pageerror", lambda error: screen.said.append(f"pageerror: {error}"))
        page.on("request", screen._asked)
        page.on("websocket", screen._joined)
        return screen

    def begin(self, url: str) -> None:
        """From now on it is for the server at ``url``, and knows of nothing before."""
        self.url, self.said, self.received, self.hosts, self.forgiven = url, [], [], set(), []
        self.keeps_bodies = True

    async def leave(self) -> None:
        """Be a blank page again, in an empty cookie jar, with nothing to go back to."""
        for other in self.context.pages:
            if other is not self.page:
                await other.close()
        await self.page.unroute_all()
        await self.page.goto("about:blank")
        await self.context.clear_cookies()
        tools = await self.context.new_cdp_session(self.page)
        kinds = "local_storage,session_storage"
        await tools.send("Storage.clearDataForOrigin", {"origin": self.url, "storageTypes": kinds})
        await tools.send("Page.resetNavigationHistory")
        await tools.detach()

    def _heard(self, message: ConsoleMessage) -> None:
        self.said.append(f"{message.type}: {message.text}")

    def _joined(self, socket: WebSocket) -> None:
        received = self.received
        self.hosts.add("/".join(socket.url.replace("ws", "http", 1).split("/")[:3]))
        socket.on("framereceived", lambda payload: received.append(str(payload)))

    def _asked(self, request: Request) -> Coroutine[Any, Any, None] | None:
        self.hosts.add("/".join(request.url.split("/")[:3]))
        return _keep(request, self.received) if "/api/" in request.url and self.keeps_bodies else None

    def complaints(self) -> list[str]:
        """Errors and warnings in the console that nobody forgave."""
        wrong = [line for line in self.said if line.startswith(("error:", "warning:", "pageerror:"))]
        return [line for line in wrong if not any(re.search(pattern, line) for pattern in self.forgiven)]

    async def violations(self) -> list[str]:
        """What the page's Content-Security-Policy stopped."""
        found: list[str] = await self.page.evaluate("() => window.__violations")
        return found

    # ------------------------------------------------------------ what a person does

    async def goto(self, path: str = "/") -> None:
        """Open an address of the dashboard."""
        await self.page.goto(self.url + path)

    async def fill_sign_in(self, email: str, password: str = PASSWORD) -> None:
        """Fill the form that is on the screen, and send it."""
        await self.page.get_by_label("E-mail").fill(email)
        self.said = [line for line in self.said if "401 (Unauthorized)" not in line]  # nobody was signed in so far
        await self.page.locator("input[name=password]").fill(password)
        await self.page.get_by_role("button", name="Sign in").click()

    async def sign_in(self, person: Person, path: str = "/") -> None:
        """Open ``path`` as this person, and wait until what it shows is live."""
        await self.goto(path)
        await self.fill_sign_in(person.email)
        await self.live()

    async def enter(self, person: Person, path: str = "/") -> None:
        """Open ``path`` as this person, who has signed in before, and wait until what it shows is live."""
        origin = self.url.replace("http", "https", 1)  # or Playwright would make no cookie for secure connections of it
        await self.context.add_cookies([{"name": COOKIE, "value": person.cookie, "url": origin, "httpOnly": True}])
        await self.goto(path)
        await self.live()

    async def resize(self, viewport: ViewportSize) -> None:
        """Another size of the page, and wait until it is laid out for it."""
        await self.page.set_viewport_size(viewport)
        await self.page.evaluate(_TWO_FRAMES)

    async def live(self) -> None:
        """Wait until the link is live."""
        await expect(self.page.locator('[data-testid="link-state"][data-state="live"]')).to_be_attached()

    # ------------------------------------------------------------ what a person sees

    def row(self, device_id: int) -> Locator:
        """The device's row in the list."""
        return self.page.locator(f'[data-testid="device-row"][data-device-id="{device_id}"]')

    async def shows(self, device_id: int, status: str) -> None:
        """Wait until the device's row has this status."""
        await expect(self.row(device_id)).to_have_attribute("data-status", status)

    async def counts(self, **numbers: int) -> None:
        """Wait until these counters show these numbers."""
        for name, number in numbers.items():
            await expect(self.page.get_by_test_id(f"count-{name}")).to_have_text(str(number))

    async def observe(self) -> None:
        """From now on, keep when each row changed its status, on this machine's clock."""
        await self.page.evaluate(_OBSERVE)

    async def seen(self, status: str) -> dict[int, float]:
        """Device id → when its row first had this status, in seconds since the epoch."""
        found: list[dict[str, Any]] = await self.page.evaluate("() => window.__seen")
        first: dict[int, float] = {}
        for one in found:
            if one["status"] == status:
                first.setdefault(one["id"], one["at"] / 1000)
        return first

    async def axe(self) -> list[str]:
        """What axe finds wrong on what is shown now."""
        if not await self.page.evaluate("() => typeof window.axe === 'object'"):
            await self.page.evaluate(AXE.read_text(encoding="utf-8"))
        await self.page.wait_for_function(_AT_REST)  # colours on their way from one look to another are neither
        found: list[dict[str, Any]] = await self.page.evaluate(
            "async () => (await axe.run(document, { resultTypes: ['violations'] })).violations"
        )
        return [f"{one['id']}: {node['target']} {node['failureSummary']}" for one in found for node in one["nodes"]]

    async def stands_every_look(self, shown: Locator) -> None:
        """In each look ``shown`` is there, axe finds nothing, and nothing scrolls sideways."""
        for scheme, viewport in LOOKS:
            await self.page.emulate_media(color_scheme=scheme)
            await expect(self.page.locator("html")).to_have_attribute("data-mantine-color-scheme", scheme)
            await self.resize(viewport)
            await expect(shown.first).to_be_visible()
            assert await self.axe() == [], (self.page.url, scheme, viewport)
            width = await self.page.evaluate("() => document.documentElement.scrollWidth")
            assert width <= viewport["width"], (self.page.url, viewport)


async def _keep(request: Request, received: list[str]) -> None:
    try:
        response = await request.response()
        if response:
            received.append(await response.text())
    except Exception as error:  # the page left before the body came
        received.append(f"unread: {type(error).__name__}")


class Screens:
    """The screens of a browser. One that was left is taken again: what it has loaded and compiled of the dashboard is
    most of what a first page costs."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._free: list[tuple[dict[str, Any], Screen]] = []

    @contextlib.asynccontextmanager
    async def taken(self, url: str, *, fresh: bool = False, **options: Any) -> AsyncIterator[Screen]:
        """A blank one, whose context has these options, for the server at ``url``; ``fresh`` if nothing may be in its
        process that a page before it left: memory or frames are measured."""
        found = None if fresh else next((one for one in self._free if one[0] == options), None)
        if found:
            self._free.remove(found)
            screen = found[1]
        else:
            context = await self._browser.new_context(reduced_motion="reduce", **options)
            context.set_default_timeout(PATIENCE_MS)
            screen = await Screen.open(context)
        screen.begin(url)
        try:
            yield screen
            await screen.leave()
        except BaseException:
            await screen.context.close()
            raise
        if fresh:
            await screen.context.close()
        else:
            self._free.append((options, screen))
