"""Reports of software: what agents may post, what is stored of it, and who sees which devices have it."""

import gzip
import hashlib
import json
from datetime import timedelta
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from app.accounts.hashing import secret_hash
from app.accounts.permissions import Role
from app.db import Database
from app.errors import TooManyAttempts
from app.software.intake import PAUSE, UNUSED, Intake
from app.software.models import DeviceSoftware, Inventory, Software
from deployx_protocol.software import NAME_MAX, PACKAGES_MAX, POST_MAX_BYTES, REPORT_MAX_BYTES
from deployx_protocol.states import Trust
from tests.support import rows
from tests.support.node import RunningNode, Serve
from tests.support.server import Browse, MakePerson, ManualClock

AGENT = "/api/agent/v1/software"
SOFTWARE = "/api/v1/software"
DEBIAN = [["bash", "5.2.15-2+b7", "amd64", "dpkg"], ["openssl", "3.0.11-1~deb12u2", "amd64", "dpkg"]]
NEWER = [["bash", "5.2.15-2+b7", "amd64", "dpkg"], ["openssl", "3.0.15-1~deb12u1", "amd64", "dpkg"]]
REDHAT = [["bash", "5.1.8-9.el9", "x86_64", "rpm"], ["openssl", "1:3.0.7-27.el9", "x86_64", "rpm"]]


def report(packages: list[list[str]], **fields: Any) -> bytes:
    said = {"sources": sorted({one[3] for one in packages if len(one) == 4}), "packages": packages} | fields
    return gzip.compress(json.dumps(said).encode())


@pytest.fixture
async def node(serve: Serve) -> RunningNode:
    return await serve()


async def machine(node: RunningNode, number: int, **values: Any) -> dict[str, str]:
    """The headers of the agent of a new device, whose id is its number."""
    token = f"agent-token-{number}"
    async with node.db.write() as session:
        session.add(rows.device(number, id=number, http_token_hash=secret_hash(token), **values))
    return {"authorization": f"Bearer {token}"}


async def posted(node: RunningNode, browse: Browse, number: int, packages: list[list[str]], **values: Any) -> None:
    client = browse(node, await machine(node, number, **values))
    answer = await client.post(AGENT, content=report(packages))
    assert answer.status_code == 200, answer.text


async def names(client: httpx2.AsyncClient, q: str) -> list[str]:
    answer = await client.get(f"{SOFTWARE}/devices", params={"q": q})
    assert answer.status_code == 200, answer.text
    return [one["device_name"] for one in answer.json()["items"]]


async def test_who_has_openssl_below(node: RunningNode, browse: Browse, person: MakePerson) -> None:
    client = browse(node, (await person()).bearer)
    await posted(node, browse, 1, DEBIAN)
    await posted(node, browse, 2, NEWER)
    await posted(node, browse, 3, REDHAT)
    await machine(node, 4)
    assert await names(client, "openssl<3.0.13") == ["device-00001", "device-00003"]
    assert await names(client, "openssl") == ["device-00001", "device-00002", "device-00003"]
    assert await names(client, "openssl>=3.0.15") == ["device-00002"]
    assert await names(client, "open*<3.0.8") == ["device-00003"]
    assert await names(client, "nothing") == []
    page = (await client.get(SOFTWARE, params={"q": "openssl<3.0.13"})).json()
    assert [(one["version"], one["source"], one["devices"]) for one in page["items"]] == [
        ("3.0.11-1~deb12u2", "dpkg", 1),
        ("1:3.0.7-27.el9", "rpm", 1),
    ]
    assert (page["devices"], page["reporting"], page["total"]) == (2, 3, 4)
    everything = (await client.get(SOFTWARE)).json()
    assert [(one["name"], one["devices"]) for one in everything["items"][:2]] == [("bash", 2), ("bash", 1)]
    assert len(await node.rows(Software)) == 5, "what two devices have stands once"
    found = (await client.get(f"{SOFTWARE}/devices", params={"q": "openssl<3.0.13", "limit": 1})).json()
    assert found["items"][0]["found"] == ["openssl 3.0.11-1~deb12u2 (amd64)"]
    more = {"q": "openssl<3.0.13", "limit": 1, "cursor": found["next_cursor"]}
    again = (await client.get(f"{SOFTWARE}/devices", params=more)).json()
    assert [one["device_id"] for one in again["items"]] == [3]
    refused = await client.get(f"{SOFTWARE}/devices", params={"q": "openssl<"})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_query")


async def test_a_device_shows_what_it_has_and_how_old_that_is(
    node: RunningNode, browse: Browse, person: MakePerson
) -> None:
    client = browse(node, (await person()).bearer)
    many = [[f"lib{number:03}", "1", "amd64", "dpkg"] for number in range(25)]
    await posted(node, browse, 1, [*DEBIAN, *many])
    await machine(node, 2)
    seen, cursor = [], None
    while True:
        query = {"limit": 10} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/api/v1/devices/1/software", params=query)).json()
        seen += [one["name"] for one in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == sorted([one[0] for one in (*DEBIAN, *many)])
    assert (page["packages"], page["sources"]) == (27, ["dpkg"])
    assert page["received_at"] == page["confirmed_at"] is not None
    some = (await client.get("/api/v1/devices/1/software", params={"q": "SSL"})).json()
    assert [one["name"] for one in some["items"]] == ["openssl"]
    literal = (await client.get("/api/v1/devices/1/software", params={"q": "l_b%"})).json()
    assert literal["items"] == []
    silent = (await client.get("/api/v1/devices/2/software")).json()
    assert (silent["items"], silent["packages"], silent["received_at"]) == ([], 0, None)


async def test_a_report_replaces_the_one_before(db: Database, clock: ManualClock) -> None:
    async with db.write() as session:
        session.add(rows.device(1, id=1))
    intake = Intake(db, clock)
    assert await intake.take(1, report(DEBIAN)) == 2
    with pytest.raises(TooManyAttempts):
        await intake.take(1, report(NEWER))
    clock.advance(seconds=PAUSE.total_seconds())
    assert await intake.take(1, report([*NEWER, NEWER[0]])) == 2
    async with db.read() as session:
        having = sa.select(Software.version).join(DeviceSoftware, DeviceSoftware.software_id == Software.id)
        assert sorted(await session.scalars(having)) == ["3.0.15-1~deb12u1", "5.2.15-2+b7"]
        inventory = (await session.scalars(sa.select(Inventory))).one()
    raw = gzip.decompress(report([*NEWER, NEWER[0]]))
    assert (inventory.sha256, inventory.packages) == (hashlib.sha256(raw).hexdigest(), 2)
    assert await intake.still_holds(1, "0" * 64) is False
    clock.advance(days=1)
    assert await intake.still_holds(1, inventory.sha256) is True
    async with db.read() as session:
        confirmed = (await session.scalars(sa.select(Inventory))).one()
    assert confirmed.confirmed_at - confirmed.received_at == timedelta(days=1)
    await intake.prune()
    async with db.read() as session:
        assert sorted(await session.scalars(sa.select(Software.version))) == ["3.0.15-1~deb12u1", "5.2.15-2+b7"]
    assert timedelta(days=1) > UNUSED


async def test_what_goes_with_a_device(node: RunningNode, browse: Browse, person: MakePerson) -> None:
    client = browse(node, (await person()).bearer)
    await posted(node, browse, 1, DEBIAN)
    assert (await client.delete("/api/v1/devices/1")).status_code == 204
    async with node.db.read() as session:
        assert await session.scalar(sa.select(sa.func.count()).select_from(DeviceSoftware)) == 0
        assert await session.scalar(sa.select(sa.func.count()).select_from(Inventory)) == 0


@pytest.mark.databases("sqlite")
async def test_threat_12_software_of_devices_that_one_does_not_see(
    node: RunningNode, browse: Browse, person: MakePerson
) -> None:
    bob, eve = await person("bob@example.test", Role.OPERATOR), await person("eve@example.test", Role.VIEWER)
    await posted(node, browse, 1, DEBIAN, user_id=bob.id)
    await posted(node, browse, 2, DEBIAN, user_id=eve.id)
    await posted(node, browse, 3, [["secret-project", "1", "", "dpkg"]], user_id=bob.id)
    client = browse(node, eve.bearer)
    page = (await client.get(SOFTWARE)).json()
    assert [(one["name"], one["devices"]) for one in page["items"]] == [("bash", 1), ("openssl", 1)]
    assert (page["devices"], page["reporting"], page["total"]) == (1, 1, 1)
    found = (await client.get(SOFTWARE, params={"q": "secret-project"})).json()
    assert (found["items"], found["devices"]) == ([], 0)
    assert await names(client, "openssl") == ["device-00002"]
    assert await names(client, "secret-project") == []
    assert (await client.get("/api/v1/devices/3/software")).status_code == 404
    assert (await client.get("/api/v1/devices/2/software")).status_code == 200
    limited = await browse(node, bob.bearer).post("/api/v1/api-tokens", json={"name": "t", "scopes": ["read"]})
    token = {"authorization": f"Bearer {limited.json()['token']}"}
    assert await names(browse(node, token), "openssl") == ["device-00001"]


NOT_TAKEN: list[tuple[str, bytes]] = [
    ("nothing", b""),
    ("no gzip", b"{}"),
    ("cut", report(DEBIAN)[:-9]),
    ("two", report(DEBIAN) + report(DEBIAN)),
    ("no JSON", gzip.compress(b"{")),
    ("a list", gzip.compress(b"[]")),
    ("no sources", gzip.compress(b'{"packages":[]}')),
    ("another source", report([["a", "1", "", "brew"]])),
    ("a source that is not named", report([["a", "1", "", "dpkg"]], sources=["rpm"])),
    ("too few parts", report([["a", "1", ""]], sources=["dpkg"])),
    ("no name", report([["", "1", "", "dpkg"]])),
    ("no version", report([["a", "", "", "dpkg"]])),
    ("a long name", report([["a" * (NAME_MAX + 1), "1", "", "dpkg"]])),
    ("a number", report([[1, "1", "", "dpkg"]])),  # type: ignore[list-item]
    ("NUL", report([["a\0", "1", "", "dpkg"]])),
    ("half a pair", gzip.compress(b'{"sources":["dpkg"],"packages":[["\\ud800","1","","dpkg"]]}')),
    ("a line", report([["a\nb", "1", "", "dpkg"]])),
    ("a turned text", report([["a\u202eb", "1", "", "dpkg"]])),
    ("white space", report([[" a", "1", "", "dpkg"]])),
    ("too many", report([[str(number), "1", "", "dpkg"] for number in range(PACKAGES_MAX + 1)])),
    ("a bomb", gzip.compress(b" " * (REPORT_MAX_BYTES + 1))),
]


@pytest.mark.databases("sqlite")
async def test_threat_08_a_rogue_report_is_refused_whole(node: RunningNode, browse: Browse) -> None:
    client = browse(node, await machine(node, 1))
    for what, body in NOT_TAKEN:
        answer = await client.post(AGENT, content=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_report"), what
    assert (await client.post(AGENT, content=b"x" * (POST_MAX_BYTES + 1))).status_code == 413
    assert await node.rows(Software) == []
    script = [["<script>alert(1)</script>", "1'; DROP TABLE software; --", "", "windows"]]
    assert (await client.post(AGENT, content=report(script))).status_code == 200
    [row] = await node.rows(Software)
    assert [row.name, row.version, row.arch, row.source] == script[0]


@pytest.mark.databases("sqlite")
async def test_only_trusted_devices_are_asked(node: RunningNode, browse: Browse) -> None:
    trusted = browse(node, await machine(node, 1))
    pending = browse(node, await machine(node, 2, trust=Trust.PENDING))
    sha256 = {"sha256": "0" * 64}
    assert (await trusted.post(AGENT, params=sha256)).json() == {"wanted": True}
    assert (await pending.post(AGENT, params=sha256)).status_code == 404
    assert (await pending.post(AGENT, content=report(DEBIAN))).status_code == 404
    assert (await browse(node).post(AGENT, content=report(DEBIAN))).status_code == 401
    assert (await trusted.post(AGENT, params={"sha256": "x"})).status_code == 422
