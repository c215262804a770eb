"""A rogue agent writes script into everything that it controls; a page that shows it runs none of it."""

from playwright.async_api import expect

from deployx_protocol import events
from tests.conftest import StartServer
from tests.e2e.conftest import OpenScreen
from tests.support import people
from tests.support.machines import AgentPeer, Machine
from tests.support.server_process import ADMIN

FIRE = "window.__fired=1"
PAYLOADS = (
    f"<script>{FIRE}</script>",
    f'"><img src=x onerror="{FIRE}">',
    f"<svg/onload={FIRE}>",
    f"javascript:{FIRE}",
    f"{{{{constructor.constructor('{FIRE}')()}}}}",
)


async def test_threat_08_script_in_every_field_stays_text(
    sqlite_url: str, start_server: StartServer, open_screen: OpenScreen
) -> None:
    server = await start_server(sqlite_url, enrollment="approval")
    screen = await open_screen(server.url)
    await screen.enter(await people.signed_in(server.db, ADMIN))
    page = screen.page
    rogues = []
    for payload in PAYLOADS:
        machine = Machine(hostname=f"h {payload}", agent_id=f"a {payload}", machine_id=f"m {payload}")
        rogue = AgentPeer(server.url, machine)
        rogues.append(rogue)
        await rogue.start(
            platform=f"p {payload}",
            agent_version=f"v {payload}"[:64],
            facts={f"f{payload}"[:32]: f"fact {payload}", "os": payload, "kernel": payload},
        )
    # somebody else names the same ids: a claim with script in it
    claimant = AgentPeer(
        server.url,
        Machine(**{name: getattr(rogues[0].machine, name) for name in ("hostname", "agent_id", "machine_id")}),
    )
    rogues.append(claimant)
    await claimant.start(platform=f"p {PAYLOADS[1]}")
    await expect(page.get_by_test_id("claim")).to_have_count(1)
    await expect(page.get_by_test_id("device-row")).to_have_count(len(PAYLOADS))
    await page.get_by_role("button", name="Show").first.click()
    for row in await server.rows():
        await expect(screen.row(row.id)).to_contain_text(row.hostname)
        await screen.goto(f"/devices/{row.id}")
        await expect(page.get_by_test_id("device-name")).to_have_text(row.hostname)
        assert await page.evaluate("() => window.__fired") is None
        await expect(page.get_by_text(row.facts["os"], exact=True).first).to_be_attached()
    for rogue, payload in zip(rogues, PAYLOADS, strict=False):
        await rogue.call(events.AGENT_LEAVING, {"reason": payload})
        await rogue.close()
    await claimant.close()
    await screen.counts(offline=len(PAYLOADS))
    await page.keyboard.press("Control+k")
    await page.get_by_placeholder("Find a device, page or action").fill("script")
    await expect(page.get_by_role("dialog").get_by_text("<script>").first).to_be_visible()
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Notifications").click()
    await expect(page.get_by_test_id("notice-list")).to_contain_text("went offline")
    assert await page.evaluate("() => window.__fired") is None
    assert await page.locator("img[src=x], svg[onload], script:not([src]):not([nonce])").count() == 0
