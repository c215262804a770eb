"""What is recorded: each thing that a person can do, by whom, from where, and nothing that is secret."""

import hashlib
import json
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.routing import iter_route_contexts

from app.accounts import totp
from app.accounts.permissions import Role
from app.accounts.service import AccountService
from app.audit.actions import Action, Actor
from app.audit.models import AuditEntry
from app.clock import utcnow
from app.db import Database
from app.main import create_app
from app.settings import Settings
from app.tasks.models import Task, TaskOutput
from deployx_protocol.states import Trust
from tests.support import rows
from tests.support.machines import Machine, MakeAgent
from tests.support.node import RunningNode, Serve
from tests.support.operators import Operator
from tests.support.releases import envelope, manifest
from tests.support.server import PASSWORD, Browse, MakePerson, Person
from tests.support.work import queue

# One database: nothing here depends on which it is.
pytestmark = pytest.mark.databases("sqlite")

A = Action
CHANGES: dict[tuple[str, str], Action] = {
    ("POST", "auth/login"): A.USER_SIGNED_IN,
    ("POST", "auth/login/second-factor"): A.USER_SIGNED_IN,
    ("POST", "auth/logout"): A.USER_SIGNED_OUT,
    ("DELETE", "auth/sessions/{session_id}"): A.USER_SESSION_ENDED,
    ("POST", "auth/password"): A.USER_PASSWORD_CHANGED,
    ("POST", "auth/proof"): A.USER_PROVEN,
    ("POST", "auth/two-factor/confirm"): A.TWO_FACTOR_ENABLED,
    ("POST", "auth/two-factor/recovery-codes"): A.RECOVERY_CODES_MADE,
    ("POST", "auth/two-factor/off"): A.TWO_FACTOR_DISABLED,
    ("POST", "api-tokens"): A.API_TOKEN_CREATED,
    ("DELETE", "api-tokens/{token_id}"): A.API_TOKEN_DELETED,
    ("PATCH", "devices/{device_id}"): A.DEVICE_CHANGED,
    ("DELETE", "devices/{device_id}"): A.DEVICE_DELETED,
    ("POST", "devices/{device_id}/accept"): A.DEVICE_ACCEPTED,
    ("POST", "devices/{device_id}/reject"): A.DEVICE_REJECTED,
    ("POST", "claims/{claim_id}/accept"): A.CLAIM_ANSWERED,
    ("POST", "claims/{claim_id}/reject"): A.CLAIM_ANSWERED,
    ("POST", "claims/{claim_id}/moved"): A.CLAIM_ANSWERED,
    ("POST", "claims/{claim_id}/split"): A.CLAIM_ANSWERED,
    ("POST", "enrollment-tokens"): A.ENROLLMENT_TOKEN_CREATED,
    ("DELETE", "enrollment-tokens/{token_id}"): A.ENROLLMENT_TOKEN_REVOKED,
    ("POST", "groups"): A.GROUP_CREATED,
    ("PATCH", "groups/{group_id}"): A.GROUP_CHANGED,
    ("DELETE", "groups/{group_id}"): A.GROUP_DELETED,
    ("PUT", "groups/{group_id}/members"): A.GROUP_MEMBER_ADDED,
    ("DELETE", "groups/{group_id}/members/{user_id}"): A.GROUP_MEMBER_REMOVED,
    ("DELETE", "shares/{group_id}"): A.GROUP_LEFT,
    ("PATCH", "users/{user_id}"): A.USER_ROLE_CHANGED,
    ("POST", "invitations"): A.INVITATION_CREATED,
    ("DELETE", "invitations/{invitation_id}"): A.INVITATION_REVOKED,
    ("POST", "runs"): A.RUN_STARTED,
    ("POST", "runs/{run_id}/retry"): A.RUN_STARTED,
    ("POST", "runs/{run_id}/cancel"): A.RUN_CANCELLED,
    ("POST", "tasks/{task_id}/cancel"): A.TASK_CANCELLED,
    ("POST", "saved-commands"): A.SAVED_COMMAND_CREATED,
    ("DELETE", "saved-commands/{saved_id}"): A.SAVED_COMMAND_DELETED,
    ("PATCH", "artifacts/uploads/{upload_id}"): A.ARTIFACT_UPLOADED,
    ("DELETE", "artifacts/{sha256}"): A.ARTIFACT_DELETED,
    ("POST", "releases"): A.RELEASE_CREATED,
    ("POST", "releases/{release_id}/signatures"): A.RELEASE_SIGNED,
    ("DELETE", "releases/{release_id}"): A.RELEASE_DELETED,
    ("POST", "schedules"): A.SCHEDULE_CREATED,
    ("PUT", "schedules/{schedule_id}"): A.SCHEDULE_CHANGED,
    ("POST", "schedules/{schedule_id}/pause"): A.SCHEDULE_PAUSED,
    ("POST", "schedules/{schedule_id}/resume"): A.SCHEDULE_RESUMED,
    ("POST", "schedules/{schedule_id}/start"): A.SCHEDULE_STARTED_BY_HAND,
    ("DELETE", "schedules/{schedule_id}"): A.SCHEDULE_DELETED,
}
BY_NOBODY = {("POST", "auth/invitation/accept")}
"""Recorded as done by somebody who is not signed in yet: ``test_invitations``."""
ELSEWHERE = {
    ("POST", path.format("deployments/{deployment_id}"))
    for path in (
        *("deployments", "{}/pause", "{}/resume", "{}/abort", "{}/rollback", "{}/promote", "{}/retry"),
        *("{}/approve", "{}/reject"),
    )
}
"""The controller speaks in between: ``deployments/test_rollout`` and ``test_routes``."""
CHANGES_NOTHING = {
    ("POST", "deployments/preview"),
    ("POST", "runs/preview"),
    ("POST", "artifacts/uploads"),
    ("DELETE", "artifacts/uploads/{upload_id}"),
    ("POST", "releases/check"),
    ("POST", "schedules/preview"),
    ("POST", "auth/two-factor"),
    ("POST", "auth/invitation"),
}
"""Nothing that counts: what is begun there counts when it is confirmed."""


def test_every_route_that_changes_something_is_in_the_table() -> None:
    app = create_app(Settings(database_url="sqlite+aiosqlite:///:memory:"))
    found = {
        (method, str(route.path).removeprefix("/api/v1/"))
        for route in iter_route_contexts(app.routes)
        for method in route.methods or ()
        if method not in ("GET", "HEAD") and str(route.path).startswith("/api/v1/")
    }
    assert found == set(CHANGES) | BY_NOBODY | ELSEWHERE | CHANGES_NOTHING


class Walk:
    """Makes requests that change something, and reads what each left in the record."""

    def __init__(self, node: RunningNode) -> None:
        self._node = node
        self.seen: set[tuple[str, str]] = set()

    async def newest(self) -> AuditEntry:
        """The last entry."""
        async with self._node.db.read() as session:
            return (await session.scalars(sa.select(AuditEntry).order_by(AuditEntry.seq.desc()).limit(1))).one()

    async def did(self, client: Any, method: str, path: str, body: Any = None, **ids: Any) -> tuple[Any, AuditEntry]:
        """What was answered, and the entry, which is the only new one."""
        before = (await self.newest()).seq
        answer = await client.request(method, f"/api/v1/{path.format(**ids)}", json=body)
        assert answer.is_success, f"{method} {path}: {answer.text}"
        entry = await self.newest()
        assert (entry.seq, entry.action) == (before + 1, CHANGES[method, path])
        assert (entry.actor_kind, entry.actor, entry.source_ip) == ("user", "ada@example.test", "127.0.0.1")
        assert entry.object_kind == entry.action.partition(".")[0]
        self.seen.add((method, path))
        return answer.json() if answer.content else None, entry


async def test_each_change_is_recorded_with_who_made_it(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    ada, bob = await person(), await person("bob@example.test", Role.VIEWER)
    device, copied, moved, claimed = (rows.device(number) for number in range(1, 5))
    waiting, unwanted = (rows.device(number, trust=Trust.PENDING) for number in (5, 6))
    async with node.db.write() as session:
        session.add_all([device, copied, moved, claimed, waiting, unwanted])
    reinstalled, impostor = rows.claim(claimed), rows.claim(claimed)
    cloned, rehoused = rows.claim(copied, kind="cloned"), rows.claim(moved, kind="moved")
    async with node.db.write() as session:
        session.add_all([reinstalled, impostor, cloned, rehoused])
    walk, client = Walk(node), browse(node, ada.bearer)

    _, entry = await walk.did(browse(node), "POST", "auth/login", {"email": ada.email, "password": PASSWORD})
    assert (entry.object_id, entry.via.partition(" ")[0]) == (str(ada.id), "session")
    sessions = (await browse(node, ada.browser).get("/api/v1/auth/sessions")).json()["items"]
    other = next(one["id"] for one in sessions if not one["current"])
    await walk.did(browse(node, ada.browser), "DELETE", "auth/sessions/{session_id}", session_id=other)
    passwords = {"current": PASSWORD, "new": "quite another password"}
    await walk.did(browse(node, ada.browser), "POST", "auth/password", passwords)
    recovery_codes = await _second_factor(node, walk, browse, ada, passwords["new"])
    await walk.did(browse(node, ada.browser), "POST", "auth/logout")
    token, entry = await walk.did(client, "POST", "api-tokens", {"name": "mine", "expires_in_s": 60})
    assert (entry.object_id, entry.object_name, entry.details) == (
        token["id"],
        "mine",
        '{"expires_in_s":60,"scopes":null}',
    )
    _, entry = await walk.did(client, "DELETE", "api-tokens/{token_id}", token_id=token["id"])
    assert (entry.object_id, entry.object_name, entry.via.partition(" ")[0]) == (token["id"], "mine", "token")

    changes = {"device_name": "renamed", "tags": {"role": "web"}}
    _, entry = await walk.did(client, "PATCH", "devices/{device_id}", changes, device_id=device.id)
    assert (entry.object_id, entry.object_name) == (str(device.id), "renamed")
    assert entry.details == '{"device_name":["device-00001","renamed"],"tags":[{},{"role":"web"}]}'
    await walk.did(client, "POST", "devices/{device_id}/accept", device_id=waiting.id)
    await walk.did(client, "POST", "devices/{device_id}/reject", device_id=unwanted.id)
    for claim, answer in ((reinstalled, "accept"), (impostor, "reject"), (cloned, "split"), (rehoused, "moved")):
        _, entry = await walk.did(client, "POST", f"claims/{{claim_id}}/{answer}", claim_id=claim.id)
        assert f'"answer":"{answer}","device_id":{claim.device_id}' in entry.details

    token, entry = await walk.did(client, "POST", "enrollment-tokens", {"name": "spare", "max_uses": 3})
    assert '"max_uses":3' in entry.details
    await walk.did(client, "DELETE", "enrollment-tokens/{token_id}", token_id=token["id"])
    group, _ = await walk.did(client, "POST", "groups", {"name": "web", "selector": "role=web"})
    _, entry = await walk.did(client, "PATCH", "groups/{group_id}", {"device_ids": [device.id]}, group_id=group["id"])
    assert entry.details == f'{{"devices":"{device.id}","selector":null}}'
    await _people(walk, client, browse(node, bob.bearer), ada, bob, group["id"])
    await walk.did(client, "DELETE", "groups/{group_id}", group_id=group["id"])

    wanted = {"command": ["echo", "hi"], "env": {"PASSWORD": "hunter2"}, "targets": {"selector": "*"}}
    run, entry = await walk.did(client, "POST", "runs", wanted)
    assert (entry.object_id, entry.object_name) == (run["id"], "echo hi")
    assert '"devices":"1,' in entry.details
    tasks = (await client.get(f"/api/v1/runs/{run['id']}/tasks")).json()["items"]
    _, entry = await walk.did(client, "POST", "tasks/{task_id}/cancel", task_id=tasks[0]["id"])
    assert (entry.object_id, entry.details) == (tasks[0]["id"], f'{{"run_id":"{run["id"]}"}}')
    await walk.did(client, "POST", "runs/{run_id}/cancel", run_id=run["id"])
    _, entry = await walk.did(client, "POST", "runs/{run_id}/retry", {"states": ["cancelled"]}, run_id=run["id"])
    assert f'"retry_of":"{run["id"]}"' in entry.details
    saved, _ = await walk.did(client, "POST", "saved-commands", {"name": "mine", "request": {"command": ["echo"]}})
    await walk.did(client, "DELETE", "saved-commands/{saved_id}", saved_id=saved["id"])
    await _artifacts(walk, client)
    await _releases(walk, client)
    await _schedules(walk, client, {"command": ["echo"], "targets": {"selector": "*"}})
    await walk.did(client, "DELETE", "devices/{device_id}", device_id=device.id)
    assert walk.seen == set(CHANGES)

    everything = "".join(entry.details + entry.object_name + entry.via for entry in await entries(node))
    for secret in (ada.token, ada.cookie, PASSWORD, token["token"], "hunter2", *recovery_codes):
        assert secret not in everything


async def _people(walk: Walk, client: Any, as_bob: Any, ada: Person, bob: Person, group_id: str) -> None:
    """What is done about others: sharing, roles, invitations."""
    members = "groups/{group_id}/members"
    share = {"email": bob.email, "role": "operator"}
    _, entry = await walk.did(client, "PUT", members, share, group_id=group_id)
    assert (entry.object_name, entry.details) == ("web", f'{{"role":"operator","user":"{bob.email}"}}')
    _, entry = await walk.did(client, "DELETE", members + "/{user_id}", group_id=group_id, user_id=bob.id)
    assert entry.details == f'{{"user":"{bob.email}"}}'
    theirs = (await as_bob.post("/api/v1/groups", json={"name": "his", "selector": "*"})).json()["id"]
    shared = {"email": ada.email, "role": "viewer"}
    assert (await as_bob.put(f"/api/v1/groups/{theirs}/members", json=shared)).is_success
    await walk.did(client, "DELETE", "shares/{group_id}", group_id=theirs)
    _, entry = await walk.did(client, "PATCH", "users/{user_id}", {"role": "operator"}, user_id=bob.id)
    assert entry.details == '{"role":["viewer","operator"]}'
    made, entry = await walk.did(client, "POST", "invitations", {"email": "eve@example.test", "role": "viewer"})
    assert entry.details == '{"expires_in_s":604800,"role":"viewer"}'
    await walk.did(client, "DELETE", "invitations/{invitation_id}", invitation_id=made["id"])


async def _schedules(walk: Walk, client: Any, request: Any) -> None:
    """What is done about schedules."""
    wanted = {"name": "nightly", "cron": "30 2 * * *", "action": {"kind": "run", "request": request}}
    made, entry = await walk.did(client, "POST", "schedules", wanted)
    assert (entry.object_id, entry.object_name) == (made["id"], "nightly")
    assert entry.details == '{"at":null,"cron":"30 2 * * *","timezone":"UTC","what":"echo"}'
    named = {"schedule_id": made["id"]}
    await walk.did(client, "PUT", "schedules/{schedule_id}", wanted, **named)
    await walk.did(client, "POST", "schedules/{schedule_id}/pause", **named)
    await walk.did(client, "POST", "schedules/{schedule_id}/resume", **named)
    started = await client.post(f"/api/v1/schedules/{made['id']}/start")
    assert (await walk.newest()).via == f"schedule {made['id']}"  # the run's entry, after that of whoever started it
    walk.seen.add(("POST", "schedules/{schedule_id}/start"))
    assert started.json()["state"] == "started"
    await walk.did(client, "DELETE", "schedules/{schedule_id}", **named)


async def _artifacts(walk: Walk, client: Any) -> None:
    """What is done about artifacts: this one has no bytes."""
    sha256 = hashlib.sha256().hexdigest()
    announced = {"sha256": sha256, "size": 0, "name": "empty.txt"}
    begun = (await client.post("/api/v1/artifacts/uploads", json=announced)).json()
    _, entry = await walk.did(client, "PATCH", "artifacts/uploads/{upload_id}", upload_id=begun["id"])
    assert (entry.object_id, entry.object_name, entry.details) == (sha256, "empty.txt", '{"size":0}')
    _, entry = await walk.did(client, "DELETE", "artifacts/{sha256}", sha256=sha256)
    assert (entry.object_id, entry.object_name) == (sha256, "empty.txt")


async def _releases(walk: Walk, client: Any) -> None:
    """What is done about releases."""
    made, entry = await walk.did(client, "POST", "releases", envelope(manifest()))
    assert (entry.object_id, entry.object_name) == (made["id"], "web@1.1")
    signatures = {"signatures": envelope(manifest(), operator := Operator("ada"))["signatures"]}
    _, entry = await walk.did(client, "POST", "releases/{release_id}/signatures", signatures, release_id=made["id"])
    assert entry.details == f'{{"keys":["{operator.key_id}"]}}'
    await walk.did(client, "DELETE", "releases/{release_id}", release_id=made["id"])


async def _second_factor(node: RunningNode, walk: Walk, browse: Browse, ada: Person, password: str) -> list[str]:
    """From the first code to the last; the recovery codes."""
    here = browse(node, ada.browser)
    secret = (await here.post("/api/v1/auth/two-factor")).json()["secret"]
    first = totp.code_at(secret, totp.step_of(utcnow()))
    made, entry = await walk.did(here, "POST", "auth/two-factor/confirm", {"code": first})
    assert entry.details == '{"sessions_ended":0}'
    step = await browse(node).post("/api/v1/auth/login", json={"email": ada.email, "password": password})
    answer = {"challenge": step.json()["challenge"], "code": made["codes"][0]}
    _, entry = await walk.did(browse(node), "POST", "auth/login/second-factor", answer)
    assert '"second_factor":"recovery code"' in entry.details
    _, entry = await walk.did(here, "POST", "auth/proof", {"code": made["codes"][1]})
    assert entry.details == '{"second_factor":"recovery code"}'
    renewed, _ = await walk.did(here, "POST", "auth/two-factor/recovery-codes")
    await walk.did(here, "POST", "auth/two-factor/off", {"password": password, "code": renewed["codes"][0]})
    return [*made["codes"], *renewed["codes"], secret]


async def entries(node: RunningNode) -> list[AuditEntry]:
    """All of them, oldest first."""
    async with node.db.read() as session:
        return list(await session.scalars(sa.select(AuditEntry).order_by(AuditEntry.seq)))


async def test_refusals_are_recorded(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    bob = await person("bob@example.test", Role.VIEWER)
    client = browse(node, bob.bearer)
    for _ in range(3):
        assert (await client.get("/api/v1/users")).status_code == 403
    assert (await client.delete("/api/v1/devices/4711")).status_code == 403
    for email in ("BOB@example.test", "nobody@example.test", "my-password-by-mistake"):
        refused = await browse(node).post("/api/v1/auth/login", json={"email": email, "password": "wrong password"})
        assert refused.status_code == 401
    found = [(entry.action, entry.actor, entry.object_id, entry.object_name) for entry in (await entries(node))[-5:]]
    assert found == [
        (Action.REQUEST_REFUSED, "bob@example.test", "", "GET /api/v1/users"),
        (Action.REQUEST_REFUSED, "bob@example.test", "", "DELETE /api/v1/devices/4711"),
        (Action.USER_SIGN_IN_REFUSED, "bob@example.test", str(bob.id), "bob@example.test"),
        (Action.USER_SIGN_IN_REFUSED, "nobody@example.test", "", ""),
        (Action.USER_SIGN_IN_REFUSED, "", "", ""),
    ]


async def test_who_reads_output_is_recorded_once_an_hour(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    ada = await person()
    async with node.db.write() as session:
        session.add(rows.device(1))
    [task_id] = await queue(node.db, [1])
    async with node.db.write() as session:
        await session.execute(sa.update(Task).values(state="running", output_next_seq=1))
        session.add(TaskOutput(task_id=task_id, seq=0, stream=1, data=b"x"))
    client = browse(node, ada.bearer)
    run_id = (await client.get(f"/api/v1/tasks/{task_id}")).json()["run_id"]
    for _ in range(2):
        for path in (f"tasks/{task_id}/output", f"tasks/{task_id}/output/stdout", f"runs/{run_id}/output.zip"):
            assert (await client.get(f"/api/v1/{path}")).is_success
    assert (await browse(node, ada.browser).get(f"/api/v1/tasks/{task_id}/output")).is_success
    found = [(entry.action, entry.object_id, entry.via.partition(" ")[0]) for entry in (await entries(node))[-3:]]
    assert found == [
        (Action.OUTPUT_READ, run_id, "token"),
        (Action.OUTPUT_DOWNLOADED, run_id, "token"),
        (Action.OUTPUT_READ, run_id, "session"),
    ]


async def test_an_administrator_reads_filters_and_exports(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    ada, bob = await person(), await person("bob@example.test", Role.OPERATOR)
    as_bob, client = browse(node, bob.bearer), browse(node, ada.bearer)
    for name in ("one", "two", "three"):
        await as_bob.post("/api/v1/groups", json={"name": name, "selector": "*"})
    assert (await as_bob.get("/api/v1/audit")).status_code == 403
    pages: list[str] = []
    query: dict[str, Any] = {"actor": bob.email, "action": "group", "limit": 2}
    while True:
        page = (await client.get("/api/v1/audit", params=query)).json()
        pages.append(",".join(item["object_name"] for item in page["items"]))
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert pages == ["three,two", "one"]
    newest = (await client.get("/api/v1/audit", params={"limit": 1})).json()["items"][0]
    assert (newest["action"], newest["actor"], newest["details"]["permission"]) == (
        Action.REQUEST_REFUSED,
        bob.email,
        "audit:read",
    )
    assert (await client.get("/api/v1/audit/head")).json() == {"seq": newest["seq"], "hash": newest["hash"]}
    later = {"since": newest["at"]}
    assert [one["seq"] for one in (await client.get("/api/v1/audit", params=later)).json()["items"]] == [newest["seq"]]
    assert (await client.get("/api/v1/audit", params={"until": newest["at"], "object_id": "x"})).json()["items"] == []
    exported = (await client.get("/api/v1/audit/export", params={"action": "group.created"})).text.splitlines()
    assert [json.loads(line)["object_name"] for line in exported] == ["one", "two", "three"]
    for wrong in ({"cursor": "x"}, {"since": "yesterday"}, {"since": "2026-01-01T00:00:00"}, {"limit": 501}):
        assert (await client.get("/api/v1/audit", params=wrong)).status_code == 422, wrong


async def test_agents_enrol_and_are_set_apart_on_record(serve: Serve, agent: MakeAgent) -> None:
    node = await serve(enrollment="approval")
    machine = Machine()
    first = agent(node, machine)
    await first.start()
    await first.close()
    await agent(node, machine).start()  # nothing new about it
    stranger = agent(node, Machine(agent_id=machine.agent_id, machine_id=machine.machine_id))
    await stranger.connect()
    await stranger.register()
    device = await node.device(machine.agent_id)
    assert [(entry.action, entry.actor_kind, entry.object_id) for entry in await entries(node)] == [
        (Action.DEVICE_ENROLLED, "agent", str(device.id)),
        (Action.DEVICE_CLAIMED, "agent", str(device.id)),
    ]


async def test_what_the_command_line_does_to_people_is_recorded(accounts: AccountService, db: Database) -> None:
    actor, email = Actor.command_line(), "eve@example.test"
    await accounts.create_user(email, PASSWORD, Role.VIEWER, by=actor)
    await accounts.set_role(email, Role.ADMIN, by=actor)
    await accounts.reset_password(email, "another good password", by=actor)
    await accounts.disable(email, by=actor)
    await accounts.enable(email, by=actor)
    async with db.read() as session:
        found = list(await session.scalars(sa.select(AuditEntry).order_by(AuditEntry.seq)))
    assert {(entry.actor_kind, entry.actor, entry.object_name) for entry in found} == {
        ("command line", actor.name, email)
    }
    assert [(entry.action, entry.details) for entry in found] == [
        (Action.USER_CREATED, '{"role":"viewer"}'),
        (Action.USER_ROLE_CHANGED, '{"role":["viewer","admin"]}'),
        (Action.USER_PASSWORD_RESET, "{}"),
        (Action.USER_DISABLED, "{}"),
        (Action.USER_ENABLED, "{}"),
    ]
