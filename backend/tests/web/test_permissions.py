"""Who may call what: the table of routes and roles, and that no route stands outside it."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.routing import iter_route_contexts

from app.accounts.auth import COOKIE, Requires
from app.accounts.models import User
from app.accounts.permissions import PUBLIC, Permission, Role
from app.accounts.service import AccountService
from app.clock import utcnow
from app.db import Database
from app.main import create_app
from app.settings import Settings
from app.tasks.agent_access import AgentAccess
from tests.support.node import Serve
from tests.support.server import PASSWORD, Browse, MakePerson, Person

# One database: nothing here depends on which it is.
pytestmark = pytest.mark.databases("sqlite")


VIEWER, OPERATOR, ADMIN = frozenset(Role), frozenset({Role.OPERATOR, Role.ADMIN}), frozenset({Role.ADMIN})
ALLOWED: dict[tuple[str, str], frozenset[Role]] = {
    ("POST", "/api/v1/auth/logout"): VIEWER,
    ("GET", "/api/v1/auth/me"): VIEWER,
    ("GET", "/api/v1/auth/sessions"): VIEWER,
    ("DELETE", "/api/v1/auth/sessions/{session_id}"): VIEWER,
    ("POST", "/api/v1/auth/password"): VIEWER,
    ("POST", "/api/v1/auth/proof"): VIEWER,
    ("GET", "/api/v1/auth/two-factor"): VIEWER,
    ("POST", "/api/v1/auth/two-factor"): VIEWER,
    ("POST", "/api/v1/auth/two-factor/confirm"): VIEWER,
    ("POST", "/api/v1/auth/two-factor/recovery-codes"): VIEWER,
    ("POST", "/api/v1/auth/two-factor/off"): VIEWER,
    ("POST", "/api/v1/api-tokens"): VIEWER,
    ("GET", "/api/v1/api-tokens"): VIEWER,
    ("DELETE", "/api/v1/api-tokens/{token_id}"): VIEWER,
    ("GET", "/api/v1/users"): ADMIN,
    ("PATCH", "/api/v1/users/{user_id}"): ADMIN,
    ("POST", "/api/v1/invitations"): ADMIN,
    ("GET", "/api/v1/invitations"): ADMIN,
    ("DELETE", "/api/v1/invitations/{invitation_id}"): ADMIN,
    ("GET", "/api/v1/audit"): ADMIN,
    ("GET", "/api/v1/audit/head"): ADMIN,
    ("GET", "/api/v1/audit/export"): ADMIN,
    ("GET", "/api/v1/devices"): VIEWER,
    ("GET", "/api/v1/devices/{device_id}"): VIEWER,
    ("GET", "/api/v1/devices/{device_id}/policy"): VIEWER,
    ("PATCH", "/api/v1/devices/{device_id}"): OPERATOR,
    ("DELETE", "/api/v1/devices/{device_id}"): OPERATOR,
    ("GET", "/api/v1/devices/{device_id}/status-events"): VIEWER,
    ("POST", "/api/v1/devices/{device_id}/accept"): OPERATOR,
    ("POST", "/api/v1/devices/{device_id}/reject"): OPERATOR,
    ("GET", "/api/v1/claims"): VIEWER,
    ("POST", "/api/v1/claims/{claim_id}/accept"): OPERATOR,
    ("POST", "/api/v1/claims/{claim_id}/reject"): OPERATOR,
    ("POST", "/api/v1/claims/{claim_id}/moved"): OPERATOR,
    ("POST", "/api/v1/claims/{claim_id}/split"): OPERATOR,
    ("POST", "/api/v1/enrollment-tokens"): OPERATOR,
    ("GET", "/api/v1/enrollment-tokens"): OPERATOR,
    ("GET", "/api/v1/enrollment-tokens/{token_id}"): OPERATOR,
    ("DELETE", "/api/v1/enrollment-tokens/{token_id}"): OPERATOR,
    ("GET", "/api/v1/groups"): VIEWER,
    ("POST", "/api/v1/groups"): VIEWER,
    ("GET", "/api/v1/groups/{group_id}"): VIEWER,
    ("PATCH", "/api/v1/groups/{group_id}"): VIEWER,
    ("DELETE", "/api/v1/groups/{group_id}"): VIEWER,
    ("GET", "/api/v1/groups/{group_id}/members"): VIEWER,
    ("PUT", "/api/v1/groups/{group_id}/members"): VIEWER,
    ("DELETE", "/api/v1/groups/{group_id}/members/{user_id}"): VIEWER,
    ("GET", "/api/v1/shares"): VIEWER,
    ("DELETE", "/api/v1/shares/{group_id}"): VIEWER,
    ("GET", "/api/v1/devices/{device_id}/access"): VIEWER,
    ("GET", "/api/v1/selectors/check"): VIEWER,
    ("GET", "/api/v1/software"): VIEWER,
    ("GET", "/api/v1/software/devices"): VIEWER,
    ("GET", "/api/v1/devices/{device_id}/software"): VIEWER,
    ("GET", "/api/v1/schedules"): VIEWER,
    ("POST", "/api/v1/schedules"): OPERATOR,
    ("POST", "/api/v1/schedules/preview"): VIEWER,
    ("GET", "/api/v1/schedules/calendar"): VIEWER,
    ("GET", "/api/v1/schedules/{schedule_id}"): VIEWER,
    ("PUT", "/api/v1/schedules/{schedule_id}"): OPERATOR,
    ("DELETE", "/api/v1/schedules/{schedule_id}"): OPERATOR,
    ("POST", "/api/v1/schedules/{schedule_id}/pause"): OPERATOR,
    ("POST", "/api/v1/schedules/{schedule_id}/resume"): OPERATOR,
    ("POST", "/api/v1/schedules/{schedule_id}/start"): OPERATOR,
    ("GET", "/api/v1/schedules/{schedule_id}/next"): VIEWER,
    ("GET", "/api/v1/schedules/{schedule_id}/firings"): VIEWER,
    ("GET", "/api/v1/selectors/words"): VIEWER,
    ("GET", "/api/v1/stats"): VIEWER,
    ("GET", "/api/v1/stats/online"): VIEWER,
    ("POST", "/api/v1/runs"): OPERATOR,
    ("POST", "/api/v1/runs/preview"): OPERATOR,
    ("GET", "/api/v1/runs"): VIEWER,
    ("GET", "/api/v1/runs/{run_id}"): VIEWER,
    ("GET", "/api/v1/runs/{run_id}/tasks"): VIEWER,
    ("GET", "/api/v1/runs/{run_id}/outputs"): VIEWER,
    ("GET", "/api/v1/runs/{run_id}/output.zip"): VIEWER,
    ("POST", "/api/v1/runs/{run_id}/retry"): OPERATOR,
    ("POST", "/api/v1/runs/{run_id}/cancel"): OPERATOR,
    ("GET", "/api/v1/tasks/{task_id}"): VIEWER,
    ("POST", "/api/v1/tasks/{task_id}/cancel"): OPERATOR,
    ("GET", "/api/v1/tasks/{task_id}/output"): VIEWER,
    ("GET", "/api/v1/tasks/{task_id}/output/stdout"): VIEWER,
    ("GET", "/api/v1/tasks/{task_id}/output/stderr"): VIEWER,
    ("GET", "/api/v1/devices/{device_id}/tasks"): VIEWER,
    ("GET", "/api/v1/devices/{device_id}/deployments"): VIEWER,
    ("GET", "/api/v1/releases/{release_id}/compliance"): VIEWER,
    ("GET", "/api/v1/deployments"): VIEWER,
    ("POST", "/api/v1/deployments"): OPERATOR,
    ("POST", "/api/v1/deployments/preview"): OPERATOR,
    ("GET", "/api/v1/deployments/{deployment_id}"): VIEWER,
    ("GET", "/api/v1/deployments/{deployment_id}/targets"): VIEWER,
    ("GET", "/api/v1/deployments/{deployment_id}/log"): VIEWER,
    ("POST", "/api/v1/deployments/{deployment_id}/pause"): OPERATOR,
    ("POST", "/api/v1/deployments/{deployment_id}/resume"): OPERATOR,
    ("POST", "/api/v1/deployments/{deployment_id}/abort"): OPERATOR,
    ("POST", "/api/v1/deployments/{deployment_id}/rollback"): OPERATOR,
    ("POST", "/api/v1/deployments/{deployment_id}/promote"): OPERATOR,
    ("POST", "/api/v1/deployments/{deployment_id}/retry"): OPERATOR,
    ("POST", "/api/v1/deployments/{deployment_id}/approve"): OPERATOR,
    ("POST", "/api/v1/deployments/{deployment_id}/reject"): OPERATOR,
    ("GET", "/api/v1/artifacts"): VIEWER,
    ("GET", "/api/v1/artifacts/uploads"): OPERATOR,
    ("POST", "/api/v1/artifacts/uploads"): OPERATOR,
    ("GET", "/api/v1/artifacts/uploads/{upload_id}"): OPERATOR,
    ("PATCH", "/api/v1/artifacts/uploads/{upload_id}"): OPERATOR,
    ("DELETE", "/api/v1/artifacts/uploads/{upload_id}"): OPERATOR,
    ("GET", "/api/v1/artifacts/{sha256}"): VIEWER,
    ("DELETE", "/api/v1/artifacts/{sha256}"): OPERATOR,
    ("GET", "/api/v1/artifacts/{sha256}/content"): VIEWER,
    ("GET", "/api/v1/releases"): VIEWER,
    ("POST", "/api/v1/releases"): OPERATOR,
    ("POST", "/api/v1/releases/check"): OPERATOR,
    ("GET", "/api/v1/releases/{release_id}"): VIEWER,
    ("DELETE", "/api/v1/releases/{release_id}"): OPERATOR,
    ("POST", "/api/v1/releases/{release_id}/signatures"): OPERATOR,
    ("GET", "/api/v1/saved-commands"): VIEWER,
    ("POST", "/api/v1/saved-commands"): OPERATOR,
    ("GET", "/api/v1/saved-commands/{saved_id}"): VIEWER,
    ("DELETE", "/api/v1/saved-commands/{saved_id}"): OPERATOR,
    ("GET", "/metrics"): ADMIN,
}
"""Written down a second time, on purpose: a change of the permissions has to be meant."""
OUTSIDE_THE_API = {("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/{path:path}"), ("HEAD", "/{path:path}")}
IDS = {
    "device_id": "4711",
    "claim_id": "4711",
    "token_id": "no-such-token",
    "session_id": "no-such-session",
    "run_id": "no-such-run",
    "task_id": "no-such-task",
    "deployment_id": "no-such-deployment",
    "saved_id": "no-such-command",
    "release_id": "no-such-release",
    "schedule_id": "no-such-schedule",
    "upload_id": "no-such-upload",
    "sha256": "0" * 64,
    "group_id": "no-such-group",
    "user_id": "4711",
    "invitation_id": "no-such-invitation",
}
BODIES: dict[str, Any] = {"/api/v1/api-tokens": {"name": "mine"}, "/api/v1/enrollment-tokens": {"name": "mine"}}


def routes() -> Iterator[tuple[str, str, list[Requires]]]:
    """Method, path and guards of every HTTP route of the whole application, mounted sockets aside."""
    app = create_app(Settings(database_url="sqlite+aiosqlite:///:memory:"))
    for route in iter_route_contexts(app.routes):
        if str(route.path).startswith("/api/agent/"):
            continue
        for method in sorted(route.methods or ()):
            yield method, str(route.path), list(_guards(getattr(route, "dependant", None)))


def _guards(dependant: Any) -> Iterator[Requires]:
    for inner in dependant.dependencies if dependant else ():
        if isinstance(inner.call, Requires):
            yield inner.call
        yield from _guards(inner)


def test_every_route_of_the_api_asks_for_one_permission_or_is_public() -> None:
    found = [(method, path, guards) for method, path, guards in routes() if (method, path) not in OUTSIDE_THE_API]
    assert len(found) > 20
    for method, path, guards in found:
        if method == "HEAD":
            continue
        expected = 0 if (method, path) in PUBLIC else 1
        assert len({guard.permission for guard in guards}) == len(guards) == expected, f"{method} {path}"
    login = {("POST", "/api/v1/auth/login"), ("POST", "/api/v1/auth/login/second-factor")}
    invited = {("POST", "/api/v1/auth/invitation"), ("POST", "/api/v1/auth/invitation/accept")}
    assert login | invited | {("GET", "/api/docs"), ("GET", "/api/openapi.json")} == PUBLIC


def test_the_table_of_this_test_names_every_route() -> None:
    found = {(method, path) for method, path, _ in routes() if method != "HEAD"}
    assert found - PUBLIC - OUTSIDE_THE_API == set(ALLOWED)


@pytest.mark.parametrize("role", Role)
async def test_each_role_gets_the_answer_of_the_table(
    role: Role, serve: Serve, browse: Browse, person: MakePerson
) -> None:
    node = await serve()
    somebody = await person("ada@example.test", role)
    client = browse(node, somebody.bearer)
    wrong = []
    for (method, path), roles in ALLOWED.items():
        answer = await client.request(method, path.format(**IDS), json=BODIES.get(path) if method == "POST" else None)
        refused = answer.status_code == 403 and answer.json()["code"] != "session_needed"
        if refused is (role in roles) or answer.status_code in (401, 500):
            wrong.append(f"{method} {path}: {answer.status_code}")
        if refused:
            assert answer.json()["code"] == "forbidden"
    assert wrong == []


async def test_nobody_is_answered_401_everywhere_else(serve: Serve, browse: Browse) -> None:
    node = await serve()
    strangers: list[dict[str, str]] = [
        {},
        {"authorization": "Bearer dxp_wrong"},
        {"authorization": "Basic YWRhOnNlY3JldA=="},
        {"authorization": ""},
        {"cookie": f"{COOKIE}=wrong", "sec-fetch-site": "same-origin"},
    ]
    client = browse(node)
    for headers, (method, path) in itertools.product(strangers, ALLOWED):
        answer = await client.request(method, path.format(**IDS), headers=headers)
        assert answer.status_code == 401, f"{method} {path} {headers}"
        assert answer.json()["code"] == "unauthenticated"
        assert answer.headers["www-authenticate"] == "Bearer"
    for method, path in sorted(PUBLIC):
        assert (await client.request(method, path)).status_code in (200, 422)


UNREADABLE: tuple[tuple[bytes, dict[str, str]], ...] = (
    (b'{"name": ', {"content-type": "application/json"}),
    (b"\xff\xfe", {"content-type": "application/json"}),
    (b"x" * 100_000, {"content-type": "application/json"}),
    (b"--x\r\nbroken", {"content-type": "multipart/form-data; boundary=x"}),
)
"""Bodies of which nothing may be looked at before it is known who sends them; one is larger than most routes take."""
FOR_AGENTS = [
    ("POST", "/api/agent/v1/tasks/00000000-0000-0000-0000-000000000000/output"),
    ("GET", f"/api/agent/v1/scripts/{'0' * 64}"),
    ("GET", f"/api/agent/v1/releases/{'0' * 64}"),
    ("GET", f"/api/agent/v1/artifacts/{'0' * 64}"),
]


async def test_threat_20_no_body_is_read_before_it_is_known_who_sends_it(
    serve: Serve, browse: Browse, person: MakePerson
) -> None:
    node = await serve()
    nobody = browse(node)
    viewer = browse(node, (await person("vic@example.test", Role.VIEWER)).bearer)
    for (body, headers), (method, path) in itertools.product(UNREADABLE, [*ALLOWED, *FOR_AGENTS]):
        answer = await nobody.request(method, path.format(**IDS), content=body, headers=headers)
        assert answer.status_code == 401, f"{method} {path} {body[:10]!r}: {answer.text}"
        if Role.VIEWER not in ALLOWED.get((method, path), VIEWER):
            answer = await viewer.request(method, path.format(**IDS), content=body, headers=headers)
            assert answer.status_code == 403, f"{method} {path} {body[:10]!r}: {answer.text}"


FOREIGN = [
    {},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1"},
    {"origin": "http://localhost:5173"},
    {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
]


async def test_threat_07_no_other_site_changes_anything_with_the_session(
    serve: Serve, browse: Browse, person: MakePerson
) -> None:
    node = await serve()
    ada = await person()
    client = browse(node, {"cookie": f"{COOKIE}={ada.cookie}"})
    for headers, (method, path) in itertools.product(FOREIGN, ALLOWED):
        if method == "GET":
            continue
        answer = await client.request(method, path.format(**IDS), json=BODIES.get(path), headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_site"), f"{method} {path} {headers}"
    own = await browse(node, ada.browser).get("/api/v1/api-tokens")
    assert [token["name"] for token in own.json()["items"]] == ["tests"]


async def test_threat_07_no_other_site_signs_anyone_in(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    body = {"email": (await person()).email, "password": PASSWORD}
    for headers in filter(None, FOREIGN):
        answer = await browse(node, headers).post("/api/v1/auth/login", json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_site"), headers
        assert "set-cookie" not in answer.headers


async def test_threat_07_our_own_page_may(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve(public_url=["https://deployx.example.test"])
    ada = await person()
    for own in (
        {"sec-fetch-site": "same-origin"},
        {"origin": node.url},
        {"origin": "https://deployx.example.test"},
    ):
        client = browse(node, {"cookie": f"{COOKIE}={ada.cookie}", **own})
        assert (await client.post("/api/v1/api-tokens", json={"name": "mine"})).status_code == 201


async def test_threat_07_a_cross_site_page_cannot_send_json_by_a_form(
    serve: Serve, browse: Browse, person: MakePerson
) -> None:
    node = await serve()
    ada = await person()
    client = browse(node, ada.bearer)
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = await client.post("/api/v1/api-tokens", content='{"name": "mine"}', headers={"content-type": kind})
        assert answer.status_code == 422, kind


async def reads(browse: Browse, node: Any, somebody: Person) -> set[int]:
    """How the server answers both proofs of a user."""
    answers = [await browse(node, proof).get("/api/v1/devices") for proof in (somebody.bearer, somebody.browser)]
    return {answer.status_code for answer in answers}


@pytest.mark.parametrize("how", ["disable", "reset", "row"])
async def test_threat_15_a_disabled_user_is_cut_off_at_once(
    how: str, serve: Serve, browse: Browse, person: MakePerson, accounts: AccountService, db: Database
) -> None:
    node = await serve()
    ada, bob = await person("ada@example.test"), await person("bob@example.test")
    assert await reads(browse, node, bob) == {200}
    if how == "disable":
        await accounts.disable(bob.email)
    elif how == "reset":
        await accounts.reset_password(bob.email, "another good password")
    else:
        async with db.write() as session:
            await session.execute(sa.update(User).where(User.id == bob.id).values(disabled_at=utcnow()))
    assert await reads(browse, node, bob) == {401}
    assert await reads(browse, node, ada) == {200}
    old = await browse(node).post("/api/v1/auth/login", json={"email": bob.email, "password": PASSWORD})
    assert (old.status_code, old.json()["code"]) == (401, "invalid_credentials")


async def test_threat_15_a_demoted_user_loses_the_rights_at_once(
    serve: Serve, browse: Browse, person: MakePerson, db: Database
) -> None:
    node = await serve()
    bob = await person("bob@example.test", Role.ADMIN)
    client = browse(node, bob.bearer)
    assert (await client.get("/api/v1/users")).status_code == 200
    async with db.write() as session:
        await session.execute(sa.update(User).where(User.id == bob.id).values(role=Role.VIEWER))
    assert (await client.get("/api/v1/users")).status_code == 403
    assert (await client.post("/api/v1/enrollment-tokens", json={"name": "x"})).status_code == 403
    async with db.write() as session:
        await session.execute(sa.update(User).where(User.id == bob.id).values(role="nothing we know"))
    assert (await client.get("/api/v1/devices")).status_code == 403


async def test_threat_22_no_request_makes_an_administrator(serve: Serve, browse: Browse, db: Database) -> None:
    node = await serve()
    client = browse(node)
    user = {"email": "eve@example.test", "password": PASSWORD, "role": "admin"}
    for path in ("setup", "users", "auth/register", "auth/signup", "auth/setup", "admin", "accounts", "auth/login"):
        for method in ("POST", "PUT", "PATCH"):
            answer = await client.request(method, f"/api/v1/{path}", json=user)
            assert answer.status_code in (401, 404, 405, 422), f"{method} {path}"
    tried = 0
    for method, path, _ in routes():
        if method not in ("GET", "HEAD"):
            body = user | {"token": "dxi_x", "name": "x", "new": PASSWORD}
            answer = await client.request(method, path.format(**IDS), json=body)
            assert answer.status_code in (401, 404, 422), f"{method} {path}"
            tried += 1
    assert tried > 25
    async with db.read() as session:
        assert await session.scalar(sa.select(sa.func.count()).select_from(User)) == 0


async def test_threat_22_neither_does_an_administrators(
    serve: Serve, browse: Browse, person: MakePerson, db: Database
) -> None:
    node = await serve()
    client = browse(node, (await person()).bearer)
    for method, path in ALLOWED:
        body = {"email": "eve@example.test", "password": PASSWORD, "role": "admin", "name": "x"}
        await client.request(method, path.format(**IDS), json=None if method == "GET" else body)
    async with db.read() as session:
        assert list(await session.scalars(sa.select(User.email))) == ["ada@example.test"]


def test_permissions_have_names_that_the_routes_use() -> None:
    used = {guard.permission for _, _, guards in routes() for guard in guards}
    assert set(Permission) - used == {Permission.DEVICES_ALL, Permission.DEVICES_ASSIGN}


def test_every_route_for_agents_asks_which_device_speaks() -> None:
    app = create_app(Settings(database_url="sqlite+aiosqlite:///:memory:"))
    found = [route for route in iter_route_contexts(app.routes) if str(route.path).startswith("/api/agent/")]
    assert len(found) == 5
    for route in found:
        dependencies = getattr(route, "dependant", None)
        assert dependencies
        guards = [inner.call for inner in dependencies.dependencies if isinstance(inner.call, AgentAccess)]
        assert len(guards) == 1, route.path
