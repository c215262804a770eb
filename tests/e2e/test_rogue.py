"""A rogue agent writes script and terminal sequences into everything that it controls; no page that shows it obeys.

Whatever a page's Content-Security-Policy stops is a failure as well, which ``open_screen`` sees to: nothing may come so
far as to be stopped.
"""

import pytest
from playwright.async_api import Page, expect

from deployx_protocol import events, limits
from tests.conftest import Operate, StartServer
from tests.e2e.conftest import OpenScreen
from tests.support import people
from tests.support.machines import AgentPeer, Machine
from tests.support.server_process import ADMIN, ServerProcess
from tests.support.work import WorkPeer, digest, trust

FIRE = "window.__fired=1"
PAYLOADS = (
    f"<script>{FIRE}</script>",
    f'"><img src=x onerror="{FIRE}">',
    f"<svg/onload={FIRE}>",
    f"javascript:{FIRE}",
    f"{{{{constructor.constructor('{FIRE}')()}}}}",
)
SEQUENCES = (
    b"\x1b]0;title\x07\x1b]52;c;aGk=\x07\x1b[2J\x1b[8mhidden\x1b[0m\x1b[1;1H",
    b"\x1b]8;;javascript:window.__fired=1\x07link\x1b]8;;\x07\x1b[38;2;1;2;3mcolour\x1b[0m",
    b"\x9b31m\x00\xff\xfe\xe2\x80\xae\xed\xa0\x80\r\x08\x0c",
)
"""What terminals obey: titles, clipboards, links, cursors, hidden text; and bytes that are no text."""
STRANGE = "script:not([src]):not([nonce]), img[src=x], svg[onload], iframe, object, embed, a[href^='javascript'], u"


async def nothing_fired(page: Page) -> None:
    """No payload ran, and none became a part of the page."""
    assert await page.evaluate("() => window.__fired") is None, page.url
    strange = await page.locator(STRANGE).evaluate_all("(found) => found.map((one) => one.outerHTML.slice(0, 200))")
    assert strange == [], page.url
    assert await page.evaluate("() => document.title") not in ("title", "")


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
    await nothing_fired(page)


async def rogue_tasks(server: ServerProcess, rogues: list[WorkPeer], run_id: str) -> dict[str, str]:
    """Let each rogue do its task of the run, with a payload in whatever it says of it; task id → the payload."""
    said = {}
    for number, (rogue, payload) in enumerate(zip(rogues, PAYLOADS, strict=True)):
        (told,) = await rogue.assigned()
        task_id = told["task_id"]
        out = f"{payload}\n".encode() + SEQUENCES[number % len(SEQUENCES)] + f"\n<u>{payload}</u>\n".encode()
        err = SEQUENCES[-1] + payload.encode()
        await rogue.report(task_id, "accepted")
        if number == 0:  # its machine's policy refuses, in words of its own
            await rogue.report(task_id, "failed", code="policy", message=payload[: limits.TASK_MESSAGE_MAX])
        else:
            await rogue.report(task_id, "running")
            await rogue.write(task_id, (0, 1, out), (1, 2, err))
            sizes = {"chunks": 2, "stdout_bytes": len(out), "stderr_bytes": len(err), "digest": digest(out, err)}
            state, word = ("failed", payload[: limits.TASK_CODE_MAX]) if number == 1 else ("succeeded", "")
            await rogue.report(task_id, state, code=word, message=payload if word else "", exit_code=number, **sizes)
        said[task_id] = payload
    return said


@pytest.mark.timeout(300)
async def test_threat_08_script_and_terminal_sequences_in_what_runs_print_stay_text(
    sqlite_url: str, start_server: StartServer, open_screen: OpenScreen, operate: Operate
) -> None:
    server = await start_server(sqlite_url, enrollment="approval")
    admin = await people.signed_in(server.db, ADMIN)
    operator = await operate(server, admin)
    rogues = [WorkPeer(server.url, Machine(hostname=f"h {payload}")) for payload in PAYLOADS]
    for rogue, payload in zip(rogues, PAYLOADS, strict=True):
        tags = {payload[: limits.TAG_NAME_MAX]: payload[: limits.TAG_VALUE_MAX], "role": "rogue"}
        await rogue.start(tags=tags)
        await rogue.close()
        await trust(server.db, rogue.machine.agent_id)
    rogues = [WorkPeer(server.url, rogue.machine) for rogue in rogues]
    for rogue, payload in zip(rogues, PAYLOADS, strict=True):
        tags = {payload[: limits.TAG_NAME_MAX]: payload[: limits.TAG_VALUE_MAX], "role": "rogue"}
        await rogue.start(tags=tags)
    await operator.ask("POST", "/groups", {"name": "rogues", "selector": "role=rogue"})
    run = await operator.ask("POST", "/runs", {"shell": "cat /etc/motd", "targets": {"selector": "role=rogue"}})
    said = await rogue_tasks(server, rogues, run["id"])
    devices = [row.id for row in await server.rows()]
    # one device speaks for another, which is on record under the name that it gave itself
    stolen = {"task_id": list(said)[-1], "state": "failed"}
    await rogues[0].call(events.TASK_UPDATES, {"updates": [stolen]})
    await rogues[0].payload(events.TASK_ACKNOWLEDGED, where=lambda told: stolen["task_id"] in told["unknown"])

    screen = await open_screen(server.url)
    page = screen.page
    await screen.enter(admin, f"/runs/{run['id']}")
    await expect(page.get_by_test_id("task-row")).to_have_count(len(PAYLOADS))
    await expect(page.get_by_test_id("run-progress")).to_contain_text("All done")
    await nothing_fired(page)
    for number, (task_id, payload) in enumerate(said.items()):
        await screen.goto(f"/runs/{run['id']}?task={task_id}")
        await expect(page.get_by_test_id("task-device")).to_have_text(f"h {payload}")
        if number == 0:
            await expect(page.get_by_test_id("task-reason")).to_contain_text(payload)
        else:
            await expect(page.get_by_test_id("output")).to_contain_text(payload)
            await expect(page.get_by_test_id("output")).to_contain_text(f"<u>{payload}</u>")
        await nothing_fired(page)
    for path, shown in (
        (f"/runs/{run['id']}?view=outputs", "output-group"),
        ("/runs", "run-row"),
        *((f"/devices/{device}", "device-name") for device in devices),
        ("/settings", "sessions"),
        ("/audit", "audit-entry"),
    ):
        await screen.goto(path)
        await screen.live()
        await expect(page.get_by_test_id(shown).first).to_be_visible()
        if "/devices/" in path:
            await page.get_by_role("tab", name="Runs").click()
            await expect(page.get_by_test_id("device-tasks").get_by_role("listitem")).to_have_count(1)
        await nothing_fired(page)
    entries = page.get_by_test_id("audit-entry")
    await entries.locator("details").evaluate_all("(all) => all.forEach((one) => { one.open = true; })")
    await expect(entries.filter(has_text="a report of another device's task")).to_contain_text("<script>")
    await nothing_fired(page)
    await screen.goto("/runs/new")
    await screen.live()
    await page.get_by_label("Selector").fill('group="rogues"')
    await expect(page.get_by_test_id("preview")).to_contain_text(f"{len(PAYLOADS)} devices")
    await page.get_by_role("button", name="Groups").click()
    await expect(page.get_by_test_id("group")).to_contain_text("rogues")
    await nothing_fired(page)
    for rogue in rogues:
        await rogue.close()
    assert "\x1b]" not in server.log
    assert "\x1b[2J" not in server.log
