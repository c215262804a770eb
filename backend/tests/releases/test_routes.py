"""Releases over the API: what is kept, what is refused, who may, and what devices get."""

import asyncio
import base64
import hashlib
from typing import Any

import httpx2
import msgspec
import pytest
import sqlalchemy as sa

from app.accounts.hashing import secret_hash
from app.accounts.permissions import Role
from app.artifacts.models import Artifact, ArtifactUse
from app.audit.models import AuditEntry
from app.clock import utcnow
from app.db import Database, UtcTimestamp
from app.deployments.models import Deployment
from app.devices.models import Device
from app.releases.access import may_fetch
from deployx_protocol.policy import PolicyReport, parse
from deployx_protocol.releases import PAYLOAD_TYPE, Manifest, payload_of
from deployx_protocol.states import Trust
from tests.support import rows
from tests.support.node import RunningNode, Serve
from tests.support.operators import Operator
from tests.support.releases import STEP, artifact, envelope, manifest, previous
from tests.support.server import Browse, MakePerson, Person
from tests.support.work import queue

RELEASES = "/api/v1/releases"
ADA, BOB, EVE = Operator("ada"), Operator("bob"), Operator("eve")
Client = httpx2.AsyncClient


@pytest.fixture
async def node(serve: Serve) -> RunningNode:
    return await serve()


@pytest.fixture
async def ada(person: MakePerson) -> Person:
    return await person("ada@example.test", Role.OPERATOR)


@pytest.fixture
def client(node: RunningNode, browse: Browse, ada: Person) -> Client:
    return browse(node, ada.bearer)


async def store(db: Database, content: bytes) -> dict[str, Any]:
    """An artifact in the store, as a manifest names it."""
    said = artifact("tool", content)
    now = utcnow()
    async with db.write() as session:
        session.add(
            Artifact(
                sha256=said["sha256"],
                size=said["size"],
                name="tool",
                place=said["sha256"],
                user_id=None,
                created_at=now,
                wanted_at=now,
            )
        )
    return said


async def keep(client: Client, made: Manifest, *operators: Operator) -> dict[str, Any]:
    answer = await client.post(RELEASES, json=envelope(made, *operators))
    assert answer.status_code == 201, answer.text
    kept: dict[str, Any] = answer.json()
    return kept


async def refusal(client: Client, body: dict[str, Any]) -> tuple[int, str, str]:
    answer = await client.post(RELEASES, json=body)
    problem = answer.json()
    return answer.status_code, problem.get("code", ""), problem.get("detail", "")


def sha256_of(made: Manifest) -> str:
    return hashlib.sha256(payload_of(made)).hexdigest()


async def demand(db: Database, owner: Person, *operators: Operator) -> None:
    """A device of ``owner`` whose policy names these operators."""
    named = [{"name": one.name, "key": one.public_key} for one in operators]
    rules = parse({"releases": "signed", "operator": named})
    policy = msgspec.json.encode(PolicyReport(file="/etc/p", sha256="a" * 64, user="root", rules=rules)).decode()
    async with db.write() as session:
        session.add(rows.device(1, user_id=owner.id, policy=policy))


async def test_what_is_sent_is_kept_as_it_was_signed(node: RunningNode, client: Client, ada: Person) -> None:
    tool = await store(node.db, b"tool")
    first = await keep(client, manifest())
    made = manifest(number=2, artifacts=[tool], previous=previous(manifest()), description="two")
    kept = await keep(client, made, ADA)
    assert {name: kept[name] for name in ("name", "version", "number", "kind", "platforms", "description")} == {
        "name": "web", "version": "1.2", "number": 2, "kind": "script", "platforms": ["linux"], "description": "two",
    }  # fmt: skip
    assert kept["sha256"] == sha256_of(made)
    assert base64.b64decode(kept["payload"]) == payload_of(made)
    assert (kept["payloadType"], kept["signatures"]) == (PAYLOAD_TYPE, envelope(made, ADA)["signatures"])
    assert kept["manifest"] == msgspec.to_builtins(made)
    assert kept["previous"] == {"id": first["id"], "version": "1.1", "number": 1}
    assert (kept["artifacts_bytes"], kept["created_by"], kept["deployments"]) == (4, ada.email, 0)
    assert kept["signers"] == [{"key_id": ADA.key_id, "name": "", "good": None}]
    assert (await client.get(f"{RELEASES}/{kept['id']}")).json() == kept
    async with node.db.read() as session:
        assert set(await session.scalars(sa.select(ArtifactUse.sha256))) == {tool["sha256"]}
        found = await session.execute(sa.select(AuditEntry.action, AuditEntry.object_name))
        recorded = [tuple(row) for row in found if row.action.startswith("release.")]
    assert recorded == [("release.created", "web@1.1"), ("release.created", "web@1.2")]
    again = await client.post(RELEASES, json=envelope(made))
    assert (again.status_code, again.json()) == (200, kept)  # the same payload is the same release
    more = await client.post(RELEASES, json=envelope(made, ADA, BOB))
    assert more.status_code == 200
    assert {one["key_id"] for one in more.json()["signers"]} == {ADA.key_id, BOB.key_id}


async def test_a_list_is_newest_first_and_in_pages(client: Client) -> None:
    for number in (1, 2, 5):
        await keep(client, manifest(number=number))
    await keep(client, manifest("db"))
    seen, cursor = [], None
    while True:
        query = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        page = (await client.get(RELEASES, params=query)).json()
        seen += [f"{one['name']}@{one['version']}" for one in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ["db@1.1", "web@1.5", "web@1.2", "web@1.1"]
    named = (await client.get(RELEASES, params={"name": "web", "version": "1.2"})).json()["items"]
    assert [one["number"] for one in named] == [2]
    assert [one["name"] for one in (await client.get(RELEASES, params={"q": "D"})).json()["items"]] == ["db"]
    assert (await client.get(RELEASES, params={"q": "%"})).json()["items"] == []
    assert (await client.get(RELEASES, params={"cursor": "x"})).status_code == 422


@pytest.mark.databases("sqlite")
async def test_a_name_belongs_to_who_used_it_first_and_its_numbers_grow(
    node: RunningNode, client: Client, browse: Browse, person: MakePerson
) -> None:
    first = await keep(client, manifest())
    bob = browse(node, (await person("bob@example.test", Role.OPERATOR)).bearer)
    assert (await refusal(bob, envelope(manifest(number=2))))[:2] == (403, "name_taken")
    assert (await bob.delete(f"{RELEASES}/{first['id']}")).status_code == 403
    assert (await bob.get(f"{RELEASES}/{first['id']}")).json() == first  # a catalogue for all who may look
    root = browse(node, (await person("root@example.test", Role.ADMIN)).bearer)
    await keep(root, manifest(number=2))
    assert (await refusal(client, envelope(manifest(number=3))))[1] == "name_taken"  # not hers alone any more
    viewer = browse(node, (await person("vic@example.test", Role.VIEWER)).bearer)
    assert (await viewer.get(f"{RELEASES}/{first['id']}")).status_code == 200
    assert (await refusal(viewer, envelope(manifest("vic"))))[:2] == (403, "forbidden")
    await keep(client, manifest("shop", number=5))
    for number in (1, 4, 5):
        status, code, why = await refusal(client, envelope(manifest("shop", number=number, version=f"2.{number}")))
        assert (status, code) == (409, "number_taken")
        assert "greater" in why
    assert (await refusal(client, envelope(manifest("shop", number=6, version="1.5"))))[:2] == (409, "version_taken")
    await keep(client, manifest("db", number=1))
    await keep(client, manifest("shop", number=6))


@pytest.mark.databases("sqlite")
async def test_what_it_needs_has_to_be_there(node: RunningNode, client: Client) -> None:
    tool, absent = await store(node.db, b"tool"), artifact("absent", b"absent")
    assert (await refusal(client, envelope(manifest(artifacts=[absent]))))[:2] == (422, "artifact_missing")
    assert (await refusal(client, envelope(manifest(artifacts=[{**tool, "size": 5}]))))[:2] == (422, "artifact_size")
    nowhere = manifest(number=2, previous=previous(manifest()))
    assert (await refusal(client, envelope(nowhere)))[:2] == (422, "previous_unknown")
    await keep(client, manifest("db"))
    of_db = manifest(number=2, previous={**previous(manifest("db")), "version": "1.1"})
    assert (await refusal(client, envelope(of_db)))[:2] == (422, "previous_unknown")
    first = await keep(client, manifest())
    renamed = manifest(number=2, previous={**previous(manifest()), "version": "0.9"})
    assert (await refusal(client, envelope(renamed)))[:2] == (422, "previous_unknown")
    async with node.db.read() as session:
        assert list(await session.scalars(sa.select(ArtifactUse.sha256))) == []

    async def check(body: dict[str, Any]) -> Any:
        answer = await client.post(f"{RELEASES}/check", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    made = manifest(number=9, artifacts=[tool, absent])
    assert await check(envelope(made)) == {
        "sha256": sha256_of(made), "exists": None, "missing": [absent], "problem": None,
    }  # fmt: skip
    assert (await check(envelope(manifest())))["exists"] == first["id"]
    assert (await check(envelope(manifest(version="2"))))["problem"]["code"] == "number_taken"
    assert (await client.post(f"{RELEASES}/check", json=envelope(b"{}"))).json()["code"] == "release_unusable"
    assert len((await client.get(RELEASES)).json()["items"]) == 2


@pytest.mark.databases("sqlite")
async def test_no_client_is_trusted_with_a_payload(client: Client) -> None:
    payload = payload_of(manifest())
    bad: list[bytes] = [
        b"",
        b"{}",
        payload + b"\n",
        payload.replace(b'"number":1', b'"number":1,"number":1'),
        payload.replace(b'"number":1', b'"number":0'),
        payload.replace(b'"script"', b'"rootkit"'),
        payload.replace(b'"linux"', b'"amiga"'),
        payload.replace(b'"name":"web"', b'"name":"../web"'),
        payload.replace(b'["true"]', b'["tr\\u0000ue"]'),
        payload[:-1] + b',"zone":1}',
        payload_of(manifest(timeout_s=60.0)),
        b"[" * 100_000,
        b"\xff" * 100,
    ]
    for one in bad:
        assert (await refusal(client, envelope(one)))[:2] == (422, "release_unusable"), one[:80]
    assert (await refusal(client, {**envelope(manifest()), "payloadType": "x"}))[1] == "release_unusable"
    assert (await refusal(client, {**envelope(manifest()), "payload": "?"}))[1] == "release_unusable"
    assert (await refusal(client, {**envelope(manifest()), "more": 1}))[0] == 422
    huge = envelope(b"x" * 300_000)
    assert (await refusal(client, huge))[0] == 422
    assert (await refusal(client, envelope(b"x" * 900_000)))[0] == 413
    assert (await client.get(RELEASES)).json()["items"] == []


@pytest.mark.databases("sqlite")
async def test_what_cannot_be_a_signature_is_refused(client: Client) -> None:
    made = manifest()
    good = envelope(made, ADA)["signatures"][0]
    for bad in (
        {**good, "keyid": "ada"},
        {**good, "keyid": ADA.key_id.upper()},
        {**good, "sig": "?"},
        {**good, "sig": base64.b64encode(b"x" * 63).decode()},
        {**good, "sig": good["sig"].rstrip("=")},
    ):
        assert (await refusal(client, {**envelope(made), "signatures": [bad]}))[:2] == (422, "signature_unusable")
    assert (await refusal(client, {**envelope(made), "signatures": [good, good]}))[1] == "signature_unusable"
    many = [{**good, "keyid": f"{n:032x}"} for n in range(17)]
    assert (await refusal(client, {**envelope(made), "signatures": many}))[0] == 422


@pytest.mark.databases("sqlite")
async def test_who_signed_is_shown_by_the_names_of_devices_policies(
    node: RunningNode, client: Client, ada: Person, browse: Browse, person: MakePerson
) -> None:
    await demand(node.db, ada, ADA)
    made = manifest()
    kept = await keep(client, made, ADA, BOB)
    assert kept["signers"] == [
        {"key_id": ADA.key_id, "name": "ada", "good": True},
        {"key_id": BOB.key_id, "name": "", "good": None},
    ]
    eve = browse(node, (await person("eve@example.test", Role.OPERATOR)).bearer)
    theirs = (await eve.get(f"{RELEASES}/{kept['id']}")).json()["signers"]
    assert [one["name"] for one in theirs] == ["", ""]  # what somebody else's devices say is not hers to read
    forged = {"sig": EVE.sign(payload_of(made), PAYLOAD_TYPE).sig, "keyid": ADA.key_id}
    body = {**envelope(manifest(number=2)), "signatures": [forged]}
    assert (await refusal(client, body))[:2] == (422, "signature_bad")


@pytest.mark.databases("sqlite")
async def test_signatures_are_added_one_by_one(node: RunningNode, client: Client, ada: Person) -> None:
    made = manifest()
    kept = await keep(client, made)
    at = f"{RELEASES}/{kept['id']}/signatures"

    async def sign(*signatures: dict[str, str]) -> httpx2.Response:
        return await client.post(at, json={"signatures": list(signatures)})

    adas, bobs = envelope(made, ADA, BOB)["signatures"]
    junk = {"sig": EVE.sign(b"something else", PAYLOAD_TYPE).sig, "keyid": ADA.key_id}
    assert (await sign(junk)).status_code == 200  # the server cannot know
    assert (await sign(adas)).json()["code"] == "signed_already"
    await demand(node.db, ada, ADA)
    assert (await sign(junk)).json()["code"] == "signature_bad"
    assert (await sign(adas, bobs)).json()["signatures"] == [adas, bobs]
    assert (await sign(adas)).json()["signatures"] == [adas, bobs]
    more = [{**bobs, "keyid": f"{n:032x}"} for n in range(16)]
    assert (await sign(*more)).json()["code"] == "too_many_signatures"
    assert (await client.post(f"{RELEASES}/none/signatures", json={"signatures": [adas]})).status_code == 404
    async with node.db.read() as session:
        entries = await session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "release.signed"))
        assert len(list(entries)) == 2


def deployment(of: Manifest, owner: int) -> Deployment:
    """One that is over. Releases read what is said here, and nothing else of it."""

    def empty(kind: Any) -> Any:
        return utcnow() if isinstance(kind, UtcTimestamp) else {} if isinstance(kind, sa.JSON) else kind.python_type()

    said: dict[str, Any] = {
        "id": f"d-{owner}",
        "user_id": owner,
        "created_by": "ada@example.test",
        "state": "succeeded",
        "release_sha256": sha256_of(of),
    }
    needed = [one for one in Deployment.__table__.columns if not one.nullable and one.default is None]
    return Deployment(**{one.name: empty(one.type) for one in needed} | said)


async def test_what_is_needed_is_not_deleted(
    node: RunningNode, client: Client, ada: Person, browse: Browse, person: MakePerson
) -> None:
    tool = await store(node.db, b"tool")
    before, after = manifest(artifacts=[tool]), manifest(number=2, previous=previous(manifest(artifacts=[tool])))
    first, second = await keep(client, before), await keep(client, after)
    eve = await person("eve@example.test", Role.OPERATOR)
    async with node.db.write() as session:
        session.add_all([deployment(after, ada.id), deployment(after, eve.id)])
    shown = (await client.get(f"{RELEASES}/{second['id']}")).json()
    assert (shown["deployments"], [one["id"] for one in shown["used_by"]]) == (1, [f"d-{ada.id}"])
    assert (await client.delete(f"{RELEASES}/{first['id']}")).json()["code"] == "release_needed"
    assert (await client.delete(f"{RELEASES}/{second['id']}")).json()["code"] == "release_deployed"
    async with node.db.write() as session:
        await session.execute(sa.delete(Deployment))
    assert (await client.delete(f"{RELEASES}/{second['id']}")).status_code == 204
    assert (await client.delete(f"{RELEASES}/{first['id']}")).status_code == 204
    assert (await client.delete(f"{RELEASES}/{first['id']}")).status_code == 404
    async with node.db.read() as session:
        assert list(await session.scalars(sa.select(ArtifactUse.sha256))) == []
        assert list(await session.scalars(sa.select(Artifact.sha256))) == [tool["sha256"]]  # collected later


async def test_a_device_gets_what_its_tasks_name_and_nothing_else(
    node: RunningNode, client: Client, browse: Browse
) -> None:
    old, new, other = await store(node.db, b"old"), await store(node.db, b"new"), await store(node.db, b"other")
    before = manifest(artifacts=[old])
    after = manifest(number=2, artifacts=[new], previous=previous(before))
    elsewhere = manifest("db", artifacts=[other])
    for one in (before, after, elsewhere):
        await keep(client, one)
    async with node.db.write() as session:
        for number, trust in ((1, Trust.TRUSTED), (2, Trust.TRUSTED), (3, Trust.QUARANTINED)):
            session.add(rows.device(number, trust=trust, http_token_hash=secret_hash(f"token-{number}")))
    async with node.db.read() as session:
        ids = list(await session.scalars(sa.select(Device.id).order_by(Device.id)))
    named = {"kind": "deployment", "release": {}, "release_sha256": sha256_of(after)}
    await queue(node.db, [ids[0], ids[2]], **named)
    agents = {number: browse(node, {"authorization": f"Bearer token-{number}"}) for number in (1, 2, 3)}

    async def fetch(number: int, made: Manifest, **headers: str) -> httpx2.Response:
        return await agents[number].get(f"/api/agent/v1/releases/{sha256_of(made)}", headers=headers)

    answer = await fetch(1, after)
    assert (answer.status_code, answer.content) == (200, payload_of(after))
    assert answer.headers["etag"] == f'"{sha256_of(after)}"'
    assert (await fetch(1, after, **{"if-none-match": answer.headers["etag"]})).status_code == 304
    assert (await fetch(1, before)).content == payload_of(before)
    refused = [(1, elsewhere), (2, after), (2, before), (3, after), (3, before)]
    assert [(await fetch(number, made)).status_code for number, made in refused] == [404] * 5
    nobody = await browse(node).get(f"/api/agent/v1/releases/{sha256_of(after)}")
    assert nobody.status_code == 401
    person = await client.get(f"/api/agent/v1/releases/{sha256_of(after)}")
    assert person.status_code == 401
    async with node.db.read() as session:
        may = [[await may_fetch(session, device_id, one["sha256"]) for one in (old, new, other)] for device_id in ids]
    assert may == [[True, True, False], [False] * 3, [False] * 3]


async def test_of_two_that_come_at_once_one_is_kept(client: Client) -> None:
    bodies = [envelope(manifest(number=1, version=f"1.{n}", install={**STEP, "timeout_s": 9.0 + n})) for n in range(6)]
    answers = await asyncio.gather(*(client.post(RELEASES, json=body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409, 409]
    same = await asyncio.gather(*(client.post(RELEASES, json=envelope(manifest("db"))) for _ in range(6)))
    assert sorted(answer.status_code for answer in same) == [200, 200, 200, 200, 200, 201]
    assert len({answer.json()["id"] for answer in same}) == 1
