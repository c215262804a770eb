"""What one's account is and what was done, in a browser: sessions, tokens, the password; then the record of it all."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from app.accounts.permissions import Role
from tests.e2e.conftest import OpenScreen, Place
from tests.support import secrets_made
from tests.support.server import PASSWORD

ANOTHER = "another good password"
DEPLOYX = str(Path(sys.executable).with_name("deployx"))


async def confirmed(page: Page, verb: str, name: str) -> None:
    """Press the button of one row, and the one that asks whether it is meant."""
    await page.get_by_role("button", name=f"{verb} {name}").click()
    await page.get_by_role("dialog").get_by_role("button", name=verb, exact=True).click()
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def verified(exported: Path) -> tuple[int | None, str]:
    """What `deployx audit verify` says of an export: its exit code, and its words."""
    process = await asyncio.create_subprocess_exec(
        DEPLOYX, "audit", "verify", str(exported), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


@pytest.mark.timeout(300)
async def test_an_account_is_minded_and_all_of_it_is_on_record(
    own_place: Place, open_screen: OpenScreen, tmp_path: Path
) -> None:
    place, server = own_place, own_place.server
    here, there = await open_screen(server.url), await open_screen(server.url)
    page = here.page
    await here.sign_in(place.operator.person, "/settings")
    await there.sign_in(place.operator.person, "/settings")

    # where they are signed in: the other browser is signed out, and shows it
    sessions = page.get_by_test_id("sessions")
    await here.goto("/settings")
    await here.live()
    await expect(sessions.get_by_test_id("token-row")).to_have_count(3)  # two browsers, and the place's operator
    await expect(sessions.get_by_text("this browser")).to_have_count(1)
    there.forgiven += ["401", "403"]
    await confirmed(page, "Sign out", "Chrome on Linux")
    await expect(sessions.get_by_test_id("token-row")).to_have_count(2)
    await expect(there.page.get_by_label("E-mail")).to_be_visible()

    # tokens: one that may only read is shown once, does that, and nothing else
    tokens = page.get_by_test_id("api-tokens")
    await tokens.get_by_label("Name of the token").fill("nightly report")
    await tokens.get_by_label("It may").select_option("only read")
    await tokens.get_by_role("button", name="Create token").click()
    token = secrets_made.keep(await page.get_by_test_id("api-token").inner_text())
    assert token.startswith("dxp_")
    await here.stands_every_look(page.get_by_test_id("api-token"))
    await tokens.get_by_role("button", name="I have copied it").click()
    await expect(page.get_by_text(token)).to_have_count(0)
    await expect(tokens.get_by_test_id("token-row").filter(has_text="nightly report")).to_contain_text("may only read")
    asked = place.operator.client
    bearer = {"authorization": f"Bearer {token}"}
    assert (await asked.get("/devices", headers=bearer)).status_code == 200
    assert (await asked.post("/enrollment-tokens", json={"name": "x"}, headers=bearer)).status_code == 403
    await confirmed(page, "Revoke", "nightly report")
    assert (await asked.get("/devices", headers=bearer)).status_code == 401

    # the password: not without the old one
    form = page.get_by_test_id("password-form")
    here.forgiven += ["401", "403", "422"]
    for current, wanted, said in (
        ("wrong password", ANOTHER, "The password is as it was."),
        (PASSWORD, ANOTHER, "The password is changed."),
    ):
        await form.get_by_label("Current password").fill(current)
        await form.get_by_label("New password").fill(wanted)
        await form.get_by_role("button", name="Change password").click()
        await expect(form).to_contain_text(said)
    await here.stands_every_look(form)
    await expect(sessions.get_by_test_id("token-row")).to_have_count(1)

    # the record: it holds all of that, is narrowed, opened and exported, and the export is whole
    await here.goto("/audit")
    await here.live()
    entries = page.get_by_test_id("audit-entry")
    for said in (
        "changed the password",
        "deleted the API token nightly report",
        "ended another session",
        "was refused",
    ):
        await expect(entries.filter(has_text=said).first).to_be_visible()
    await here.stands_every_look(entries)
    await page.get_by_label("What was done").select_option("API tokens")
    await expect(entries.filter(has_text="signed in")).to_have_count(0)
    await expect(entries.first).to_contain_text("deleted the API token nightly report")
    await entries.first.locator("summary").click()
    await expect(entries.first).to_contain_text("api_token.deleted")
    await here.stands_every_look(entries)
    await page.get_by_label("Who did it").fill("nobody@example.test")
    await expect(page.get_by_text("No entry matches.")).to_be_visible()
    await here.stands_every_look(page.get_by_text("No entry matches."))
    await page.get_by_role("button", name="Show everything").first.click()
    await expect(entries.filter(has_text="signed in").first).to_be_visible()
    async with page.expect_download() as downloading:
        await page.get_by_role("link", name="Export").click()
    exported = tmp_path / "audit.jsonl"
    await (await downloading.value).save_as(exported)
    lines = [json.loads(line) for line in exported.read_text(encoding="utf-8").splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert {"user.password_changed", "user.session_ended", "api_token.created", "audit.exported"} <= {
        line["action"] for line in lines
    }
    assert token not in exported.read_text(encoding="utf-8")
    assert (await verified(exported))[0] == 0
    exported.write_text(exported.read_text(encoding="utf-8").replace("nightly report", "weekly report"))
    code, said = await verified(exported)
    assert (code, "was changed" in said) == (1, True)

    # whoever is no administrator is told so
    viewer = await open_screen(server.url)
    viewer.forgiven.append("403")
    await viewer.enter(await place.newcomer(Role.OPERATOR), "/audit")
    await expect(viewer.page.get_by_text("The record cannot be shown.")).to_be_visible()
