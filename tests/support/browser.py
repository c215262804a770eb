"""A real browser at the dashboard: a screen for each person, which remembers all that it was sent and said."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import (
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Response,
    ViewportSize,
    WebSocket,
    expect,
)

from app.accounts.auth import COOKIE
from tests.support.server import PASSWORD, Person

PATIENCE_MS = 45_000
"""Long: a machine that is busy with other tests is no failure."""
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
    url: str
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
    async def open(cls, context: BrowserContext, url: str) -> "Screen":
        """A blank page that listens to itself."""
        context.set_default_timeout(PATIENCE_MS)
        await context.add_init_script(_WATCHED)
        screen = cls(context, await context.new_page(), url)
        page = screen.page
        page.on("console", screen._heard)
        page.on("pageerror", lambda error: screen.said.append(f"pageerror: {error}"))
        page.on("request", lambda request: screen.hosts.add("/".join(request.url.split("/")[:3])))
        page.on("websocket", screen._joined)
        page.on("response", screen._answered)
        return screen

    def _heard(self, message: ConsoleMessage) -> None:
        self.said.append(f"{message.type}: {message.text}")

    def _joined(self, socket: WebSocket) -> None:
        self.hosts.add("/".join(socket.url.replace("ws", "http", 1).split("/")[:3]))
        socket.on("framereceived", lambda payload: self.received.append(str(payload)))

    async def _answered(self, response: Response) -> None:
        if "/api/" in response.url and self.keeps_bodies:
            try:
                self.received.append(await response.text())
            except Exception as error:  # the page left before the body came
                self.received.append(f"unread: {type(error).__name__}")

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
