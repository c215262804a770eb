"""The list of devices: pages over many rows, what it can be narrowed to and sorted by, and nothing else."""

import base64
import json
import random
from datetime import timedelta
from typing import Any

import httpx2
import sqlalchemy as sa

from app.clock import utcnow
from app.devices.models import Device, Node
from app.devices.repository import SORTS
from deployx_protocol.states import DeviceStatus, Trust
from tests.support import rows
from tests.support.machines import Machine, MakeAgent
from tests.support.node import RunningNode, Serve
from tests.support.server import Browse, MakePerson

LIST = "/api/v1/devices"
MANY = 1_200


async def put(node: RunningNode, *made: Any) -> None:
    """Write rows."""
    async with node.db.write() as session:
        session.add_all(made)


async def names(client: httpx2.AsyncClient, **query: str) -> list[str]:
    """The names of the devices on the first page."""
    answer = await client.get(LIST, params=query)
    assert answer.status_code == 200, answer.text
    return [device["device_name"] for device in answer.json()["items"]]


def many() -> list[Any]:
    """Devices with plenty of equal values, and some that were never seen; and the server that those online are on.

    Without that server, the one under test would call them lost at its next look, five seconds later.
    """
    chance = random.Random(7)
    start = utcnow()
    another = Node(id="another", started_at=start, lease_expires_at=start + timedelta(hours=1))
    return [another] + [
        rows.device(
            number,
            device_name=f"name-{chance.randrange(40)}",
            hostname=chance.choice(["web", "Web", "db", "Ärger", "東京", "a b", "_", "%"]),
            platform=chance.choice(["Linux", "Windows", "macOS"]),
            last_seen=chance.choice([None, start, start - timedelta(seconds=chance.randrange(50))]),
            created_at=start - timedelta(microseconds=chance.randrange(50)),
            status=chance.choice(list(DeviceStatus)),
            node_id=another.id,
        )
        for number in range(MANY)
    ]


async def test_pages_give_each_row_once_in_every_order(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    await put(node, *many())
    client = browse(node, (await person()).bearer)
    orders: list[list[int]] = []
    for name in SORTS:
        for sort in (name, f"-{name}"):
            seen: list[int] = []
            query: dict[str, str] = {"limit": "500", "sort": sort}
            while True:
                page = (await client.get(LIST, params=query)).json()
                seen += [device["id"] for device in page["items"]]
                if page["next_cursor"] is None:
                    break
                assert len(page["items"]) == 500
                query["cursor"] = page["next_cursor"]
            assert len(seen) == len(set(seen)) == MANY, sort
            orders.append(seen)
        assert orders[-1] == orders[-2][::-1], name


async def test_pages_lose_no_row_while_rows_change(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    await put(node, *many())
    client = browse(node, (await person()).bearer)
    seen: list[int] = []
    query: dict[str, str] = {"limit": "100", "sort": "name"}
    for turn in range(MANY):
        page = (await client.get(LIST, params=query)).json()
        ids = [device["id"] for device in page["items"]]
        seen += ids
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
        # the row that the cursor names goes, or moves to the front, and a new one comes there
        async with node.db.write() as session:
            if turn % 2:
                await session.execute(sa.delete(Device).where(Device.id == ids[-1]))
            else:
                await session.execute(sa.update(Device).where(Device.id == ids[-1]).values(device_name="a"))
            session.add(rows.device(MANY + turn, device_name="a"))
    assert turn == MANY // 100 - 1
    assert len(seen) == len(set(seen)) == MANY


async def test_pages_by_creation_give_each_row_once_though_everything_else_changes(
    serve: Serve, browse: Browse, person: MakePerson
) -> None:
    """`name`, `status` and `last_seen` move a row past a page that is being read; `created_at` never does."""
    node = await serve()
    await put(node, *many())
    client = browse(node, (await person()).bearer)
    seen: dict[str, list[int]] = {}
    for sort in ("created_at", "-last_seen"):
        seen[sort] = []
        query: dict[str, str] = {"limit": "300", "sort": sort}
        while True:
            page = (await client.get(LIST, params=query)).json()
            seen[sort] += [device["id"] for device in page["items"]]
            if page["next_cursor"] is None:
                break
            query["cursor"] = page["next_cursor"]
            async with node.db.write() as session:  # half of them are heard of, go, and are renamed
                ids = list(await session.scalars(sa.select(Device.id).order_by(Device.id.desc()).limit(MANY // 2)))
                beat = {"last_seen": utcnow(), "status": DeviceStatus.OFFLINE, "device_name": "a"}
                await session.execute(sa.update(Device).where(Device.id.in_(ids)).values(beat))
    assert sorted(seen["created_at"]) == sorted(set(seen["created_at"]))
    assert len(seen["created_at"]) == MANY
    assert len(seen["-last_seen"]) < MANY, "the order is one that keeps still, so the promise need not name one"


async def test_pages_by_creation_give_two_agents_once_that_come_and_go_between_them(
    serve: Serve, browse: Browse, person: MakePerson, agent: MakeAgent
) -> None:
    node = await serve(enrollment="approval")
    await put(node, *(rows.device(number) for number in range(6)))
    machines = [Machine(), Machine()]
    links = [agent(node, machine) for machine in machines]
    await links[0].start()
    await links[1].start()
    await links[1].close()
    client = browse(node, (await person()).bearer)
    seen: list[int] = []
    statuses: set[tuple[str, ...]] = set()
    query: dict[str, str] = {"limit": "2", "sort": "created_at"}
    while True:
        statuses.add(tuple([(await node.device(machine.agent_id)).status for machine in machines]))
        page = (await client.get(LIST, params=query)).json()
        seen += [device["id"] for device in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
        for number, machine in enumerate(machines):  # who is here goes, who is away comes
            if links[number].open:
                await links[number].close()
                await node.status(machine.agent_id, "offline")
            else:
                links[number] = agent(node, machine)
                await links[number].start()
    assert sorted(seen) == [device.id for device in await node.devices()]
    assert statuses >= {("online", "offline"), ("offline", "online")}


async def test_pages_are_bounded(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    await put(node, *(rows.device(n) for n in range(3)))
    client = browse(node, (await person()).bearer)
    for limit in ("0", "-1", "501", "x", "1e3", "9" * 50):
        assert (await client.get(LIST, params={"limit": limit})).status_code == 422, limit
    page = (await client.get(LIST, params={"limit": "3"})).json()
    assert (len(page["items"]), page["next_cursor"]) == (3, None)
    assert set(page) == {"items", "next_cursor"}


async def test_what_a_list_is_narrowed_to(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    [lease] = await node.nodes()
    ada, bob = await person("ada@example.test"), await person("bob@example.test")
    dead = Node(id="dead", started_at=utcnow(), lease_expires_at=utcnow() - timedelta(hours=1))
    await put(
        node,
        dead,
        rows.device(1, device_name="one", status="online", node_id=lease.id, user_id=ada.id, platform="Linux"),
        rows.device(2, device_name="two", status="online", node_id="dead", user_id=bob.id, platform="Windows"),
        rows.device(3, device_name="three", trust=Trust.PENDING, platform="Linux"),
        rows.device(4, device_name="Büro Ä_4%", hostname="back\\slash", source_ip="203.0.113.9"),
    )
    client = browse(node, ada.bearer)
    assert await names(client, status="online") == ["one"]
    assert await names(client, status="unknown") == ["two"]
    assert sorted(await names(client, status="offline")) == ["Büro Ä_4%", "three"]
    assert await names(client, trust="pending") == ["three"]
    assert sorted(await names(client, platform="Linux")) == ["one", "three"]
    assert await names(client, owner="Bob@Example.Test") == ["two"]
    assert await names(client, owner="bob@example.test", status="online") == []
    for found in ("büro", "Büro", "BÜRO", "ä_4", "_4%", "K\\S", "203.0.113", "AGENT-00004"):
        assert await names(client, q=found) == ["Büro Ä_4%"], found
    for missing in ("__", "%%", "one%two", "' OR 1=1 --", "o_e"):
        assert await names(client, q=missing) == [], missing


async def test_threat_16_only_listed_columns_sort_and_filter(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    await put(node, rows.device(1), rows.device(2))
    client = browse(node, (await person()).bearer)
    columns = set(Device.__table__.columns.keys()) - set(SORTS)
    injected = {
        "name;drop table devices",
        "name desc",
        "(select 1)",
        "users.password_hash",
        "--name",
        "-",
        "",
        "name,id",
    }
    for sort in columns | injected | {"", "NAME", "\x00", "name\x00", "é", "x" * 21, "x" * 5000}:
        answer = await client.get(LIST, params={"sort": sort})
        assert answer.status_code == 422, sort
        assert answer.headers["content-type"] == "application/problem+json"
    everything = await names(client)
    for column in columns - {"status", "trust", "platform"}:
        assert await names(client, **{column: "x"}) == everything, f"{column} narrows the list"
    for query in ({"status": "up"}, {"trust": "root"}, {"q": "\x00"}, {"owner": "\x00"}, {"q": "x" * 201}):
        assert (await client.get(LIST, params=query)).status_code == 422, query
    surrogate = await client.get(f"{LIST}?q=%ed%a0%80&platform=%ff")
    assert surrogate.status_code in (200, 422)


def cursor_of(value: Any) -> str:
    """A cursor that says ``value``."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


async def test_threat_16_a_forged_cursor_is_refused(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    await put(node, *(rows.device(n) for n in range(3)))
    client = browse(node, (await person()).bearer)
    for value in (
        ["name", "a\x00b", 1],
        ["name", "\ud800", 1],
        ["name", "a", 2**31],
        ["name", "a", 10**30],
        ["name", "a", -1],
        ["name", "a", 1.5],
        ["name", "a", "1"],
        ["name", None, 1],
        ["name", {"a": 1}, 1],
        ["hostname", "a", 1],
        ["name", "a"],
        {"name": 1},
        7,
    ):
        answer = await client.get(LIST, params={"cursor": cursor_of(value)})
        assert answer.status_code == 422, value
    for moment in ("x", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "\x00", "1e9", ""):
        answer = await client.get(LIST, params={"sort": "last_seen", "cursor": cursor_of(["last_seen", moment, 1])})
        assert answer.status_code == 422, moment
    naive = await client.get(LIST, params={"sort": "last_seen", "cursor": cursor_of(["last_seen", "2020-01-01", 1])})
    assert naive.status_code in (200, 422)
    deep = base64.urlsafe_b64encode(b"[" * 740).decode()
    for cursor in ("x", "====", "é", "\x00", "x" * 1001, deep):
        assert (await client.get(LIST, params={"cursor": cursor})).status_code == 422, cursor
