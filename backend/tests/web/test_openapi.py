"""The whole API, as its OpenAPI document describes it, asked with hostile values by nobody and by every role.

Whatever is sent: no server error, no answer that the document does not promise, every refusal a whole problem.
"""

from typing import Any

import httpx2
import pytest

from app.accounts.permissions import PUBLIC, Role
from tests.support.node import Lines, RunningNode, Serve
from tests.support.openapi import Operation, Wild
from tests.support.operators import Operator
from tests.support.releases import envelope, manifest
from tests.support.server import Browse, MakePerson
from tests.support.stock import ACTION, stock

SCHEDULE = {
    "name": "wild",
    "cron": "30 2 * * *",
    "action": {"kind": "run", "request": {**ACTION, "targets": {"selector": "role=nothing-has-this"}}},
}
STEERED = ("pause", "resume", "abort", "rollback")
DEPLOYMENT = {"release": "web@1.0", "targets": {"selector": "*"}, "strategy": {"waves": ["1", "100%"]}}
BODIES: dict[tuple[str, str], Any] = {
    ("post", "auth/login"): {"email": "nobody@example.test", "password": "wrong"},
    ("post", "auth/login/second-factor"): {"challenge": "wrong", "code": "123456"},
    ("post", "auth/proof"): {"password": "wrong"},
    ("post", "auth/two-factor/confirm"): {"code": "123456"},
    ("post", "auth/two-factor/off"): {"password": "wrong", "code": "123456"},
    ("post", "auth/invitation"): {"token": "wrong"},
    ("post", "auth/invitation/accept"): {"token": "wrong", "password": "a good new password"},
    ("patch", "users/{user_id}"): {"disabled": False},
    ("post", "invitations"): {"email": "wild@example.test"},
    ("post", "auth/password"): {"current": "wrong", "new": "a good new password"},
    ("post", "api-tokens"): {"name": "wild", "expires_in_s": 60, "scopes": ["read"]},
    ("patch", "devices/{device_id}"): {"device_name": "wild", "tags": {"a": "b"}},
    ("post", "claims/{claim_id}/accept"): {"merge_history": True},
    ("post", "enrollment-tokens"): {"name": "wild"},
    ("post", "groups"): {"name": "wild", "selector": "*"},
    ("patch", "groups/{group_id}"): {"name": "wild"},
    ("put", "groups/{group_id}/members"): {"email": "nobody@example.test", "role": "viewer"},
    ("post", "runs"): {**ACTION, "targets": {"selector": "role=nothing-has-this"}},
    ("post", "runs/preview"): {**ACTION, "targets": {"selector": "*"}},
    ("post", "runs/{run_id}/retry"): {"states": ["failed"]},
    ("post", "deployments"): DEPLOYMENT,
    ("post", "deployments/preview"): DEPLOYMENT,
    **{("post", f"deployments/{{deployment_id}}/{one}"): {"note": "wild"} for one in STEERED},
    ("post", "deployments/{deployment_id}/promote"): {"wave": 1},
    ("post", "deployments/{deployment_id}/retry"): {"states": ["failed"]},
    ("post", "deployments/{deployment_id}/approve"): {"plan_hash": "0" * 64},
    ("post", "deployments/{deployment_id}/reject"): {"plan_hash": "0" * 64, "note": "No."},
    ("post", "saved-commands"): {"name": "wild", "request": ACTION},
    ("post", "artifacts/uploads"): {"sha256": "0" * 64, "size": 3, "name": "wild"},
    ("post", "releases"): envelope(manifest("wild")),
    ("post", "releases/check"): envelope(manifest("wild")),
    ("post", "releases/{release_id}/signatures"): {"signatures": envelope(manifest(), Operator("wild"))["signatures"]},
    ("post", "schedules"): SCHEDULE,
    ("put", "schedules/{schedule_id}"): SCHEDULE,
    ("post", "schedules/preview"): {"cron": "30 2 * * *", "timezone": "Europe/Berlin"},
}
"""A body that is right, for each operation that takes one."""
NOWHERE = "00000000-0000-7000-8000-000000000000"
FOR_ADMINISTRATORS = frozenset({"PATCH /api/v1/users/{user_id}", "DELETE /api/v1/invitations/{invitation_id}"})
CATALOGUE = ("{release_id}", "{sha256}")
"""Releases and artifacts are shown to all who may see any: their own tests say who may change them."""
REFUSALS = frozenset({400, 401, 403, 404, 405, 409, 412, 413, 415, 416, 422, 429})
LAST = {"delete": 1, "post": 0, "put": 0, "patch": 0, "get": 0}
"""What is deleted is deleted last, so that the others meet something that is there."""


async def operations(node: RunningNode, client: httpx2.AsyncClient, ids: dict[str, Any]) -> list[Operation]:
    """Every operation of the server's document, with these ids."""
    document = (await client.get("/api/openapi.json")).json()
    known = set(BODIES)
    found = []
    for path, methods in document["paths"].items():
        for method in methods:
            short = (method, path.removeprefix("/api/v1/"))
            known.discard(short)
            own = dict(ids)
            if "{token_id}" in path:
                kind = path.split("/")[3]
                answer = await client.post(f"/api/v1/{kind}", json={"name": "to be deleted"})
                own["token_id"] = answer.json().get("id", "of-nobody")
            found.append(Operation(document, path, method, own, BODIES.get(short)))
    assert not known, "these are no operations any more"
    return sorted(found, key=lambda one: LAST[one.name.partition(" ")[0].lower()])


async def send(client: httpx2.AsyncClient, wild: Wild) -> httpx2.Response:
    """The answer, whole. The address goes out as it stands, and so do the headers."""
    url = httpx2.URL(str(client.base_url).rstrip("/") + "/").copy_with(raw_path=wild.path.encode())
    request = client.build_request(
        wild.method, url, headers=[(name.encode(), value) for name, value in wild.headers.items()], content=wild.content
    )
    return await client.send(request)


def complaint(operation: Operation, answer: httpx2.Response) -> str:
    """What is wrong with the answer; empty if nothing is."""
    status = answer.status_code
    if status >= 500:
        return f"answered {status}: {answer.text[:200]}"
    if not operation.takes(status):
        return f"{status} is not in the document"
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if status < 400:
        promised = operation.answers[str(status)].get("content", {})
        return "" if kind in promised or not (promised or answer.content) else f"{status} as {kind}"
    if status not in REFUSALS:
        return f"refused with {status}"
    if kind != "application/problem+json":
        return f"{status} as {kind}"
    problem = answer.json()
    whole = {"type", "title", "status", "detail", "code", "request_id"} <= set(problem)
    said = problem.get("detail", "").endswith(".") and problem["request_id"] == answer.headers["x-request-id"]
    return "" if whole and said and problem["status"] == status else f"no whole problem: {answer.text[:200]}"


async def walk(client: httpx2.AsyncClient, found: list[Operation], **thinned: Any) -> list[str]:
    """Ask each operation as it should be asked, and wildly; the complaints."""
    wrong = []
    for operation in found:
        for wild in (operation.plain(), *operation.wild(**thinned)):
            try:
                why = complaint(operation, await send(client, wild))
            except httpx2.TransportError as error:
                why = f"the answer broke off: {error!r}"
            if why:
                wrong.append(f"{wild.name}: {why}")
    return wrong


async def _everyone(every: int, serve: Serve, browse: Browse, person: MakePerson, lines: Lines) -> None:
    node = await serve()
    for number, role in enumerate(Role):
        somebody = await person(f"{role}@example.test", role)
        client = browse(node, somebody.bearer)
        found = await operations(node, client, await stock(node, client, somebody))
        assert await walk(client, found, every=every, start=number, sharp=role is Role.ADMIN) == []
    assert not [line for line in lines() if "Traceback" in line or "[ERROR]" in line]


@pytest.mark.databases("postgresql")  # the one that takes less; `make soak` has both
async def test_no_role_gets_a_server_error_or_an_answer_that_is_not_promised(
    serve: Serve, browse: Browse, person: MakePerson, lines: Lines
) -> None:
    await _everyone(40, serve, browse, person, lines)


@pytest.mark.soak
async def test_no_role_gets_one_whatever_it_sends(
    serve: Serve, browse: Browse, person: MakePerson, lines: Lines
) -> None:
    await _everyone(1, serve, browse, person, lines)


@pytest.mark.databases("sqlite")
async def test_nobody_gets_past_401_whatever_is_sent(serve: Serve, browse: Browse, lines: Lines) -> None:
    node = await serve()
    client = browse(node)
    names = (
        "deployment_id",
        "task_id",
        "run_id",
        "session_id",
        "group_id",
        "saved_id",
        "invitation_id",
        "schedule_id",
        "release_id",
        "upload_id",
        "sha256",
    )
    ids = dict.fromkeys(("device_id", "claim_id", "user_id"), 1) | dict.fromkeys(names, "of-nobody")
    for operation in await operations(node, client, ids):
        for wild in (operation.plain(), *operation.wild(20)):
            answer = await send(client, wild)
            assert not complaint(operation, answer), wild.name
            if (wild.method, wild.path) not in PUBLIC:
                # What is no request at all is refused as that; nothing else comes before asking who sent it.
                assert answer.status_code in (400, 401, 404, 405), wild.name
    assert await node.devices() == []
    assert not [line for line in lines() if "Traceback" in line or "[ERROR]" in line]


async def test_threat_12_every_id_of_someone_else_is_answered_as_one_that_is_not_there(
    serve: Serve, browse: Browse, person: MakePerson
) -> None:
    node = await serve()
    olga = await person("olga@example.test", Role.OPERATOR)
    hers = browse(node, olga.bearer)
    ids = await stock(node, hers, olga)
    found = [one for one in await operations(node, hers, ids) if "{" in one.name]
    theirs = [one for one in found if not any(name in one.name for name in CATALOGUE)]
    nobodys = {name: 2_000_000 if isinstance(value, int) else NOWHERE for name, value in ids.items()}
    assert len(theirs) > 25
    seen = await _all_reads(hers, theirs)
    assert set(seen.values()) == {200}
    for role in (Role.VIEWER, Role.OPERATOR):
        client = browse(node, (await person(f"{role}@example.test", role)).bearer)
        for operation in theirs:
            foreign = await send(client, operation.plain())
            missing = await send(client, operation.plain(nobodys | {"token_id": NOWHERE}))
            hidden = (404,) if role is Role.OPERATOR and operation.name not in FOR_ADMINISTRATORS else (403, 404)
            assert foreign.status_code in hidden, f"{role} {operation.name}"
            told = [{**answer.json(), "request_id": ""} for answer in (foreign, missing)]
            assert told[0] == told[1], f"{role} {operation.name}"
        assert await _all_reads(hers, theirs) == seen


async def _all_reads(client: httpx2.AsyncClient, found: list[Operation]) -> dict[str, int]:
    reads = [one for one in found if one.name.startswith("GET ")]
    return {one.name: (await send(client, one.plain())).status_code for one in reads}
