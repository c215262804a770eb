"""The routes about groups and selectors: what they answer, what they refuse, and to whom."""

import asyncio
from typing import Any

import httpx2
import pytest

from app.accounts.permissions import Role
from app.groups import service
from app.groups.models import Group, GroupDevice
from tests.support import rows
from tests.support.node import RunningNode, Serve
from tests.support.server import Browse, MakePerson

GROUPS = "/api/v1/groups"
CHECK = "/api/v1/selectors/check"


async def put(node: RunningNode, *made: Any) -> None:
    """Write rows."""
    async with node.db.write() as session:
        session.add_all(made)


async def make(client: httpx2.AsyncClient, name: str, **what: Any) -> dict[str, Any]:
    """A group."""
    answer = await client.post(GROUPS, json={"name": name, **what})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def names(client: httpx2.AsyncClient, selector: str) -> list[str]:
    """The devices of a selector, by name, as the list and the check agree on."""
    listed = await client.get("/api/v1/devices", params={"selector": selector})
    assert listed.status_code == 200, listed.text
    found = [device["device_name"] for device in listed.json()["items"]]
    checked = (await client.get(CHECK, params={"selector": selector})).json()
    assert (checked["names"], checked["count"]) == (found, len(found))
    return found


async def test_the_life_of_a_dynamic_group(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    ada = await person(role=Role.VIEWER)
    await put(node, rows.device(1, tags={"role": "web"}, user_id=ada.id), rows.device(2, user_id=ada.id))
    await put(node, rows.device(3, agent_tags={"role": "web"}))
    client = browse(node, ada.bearer)
    made = await make(client, "web servers", selector=" role  in ( web,db ) ")
    assert (made["selector"], made["device_ids"], made["total"]) == ("role in (web,db)", None, 1)
    assert (await client.get(f"{GROUPS}/{made['id']}")).json() == made
    listed = (await client.get(GROUPS)).json()["items"]
    assert listed == [{name: value for name, value in made.items() if name != "device_ids"}]
    assert await names(client, 'group="web servers"') == ["device-00001"]
    assert await names(client, 'group!="web servers"') == ["device-00002"]
    changed = await client.patch(f"{GROUPS}/{made['id']}", json={"name": "web", "selector": "!role"})
    assert (changed.status_code, changed.json()["selector"]) == (200, "!role")
    assert await names(client, "group=web") == ["device-00002"]
    assert (await client.delete(f"{GROUPS}/{made['id']}")).status_code == 204
    assert (await client.get(GROUPS)).json() == {"items": []}
    gone = await client.get("/api/v1/devices", params={"selector": "group=web"})
    assert (gone.status_code, gone.json()["code"]) == (422, "unknown_group")


async def test_the_life_of_a_static_group(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    ada = await person(role=Role.OPERATOR)
    await put(node, *(rows.device(number, user_id=ada.id) for number in range(1, 5)))
    first, second, third, _ = [device.id for device in await node.devices()]
    client = browse(node, ada.bearer)
    made = await make(client, "pets", device_ids=[third, first, third])
    assert (made["device_ids"], made["total"], made["selector"]) == ([first, third], 2, None)
    assert await names(client, "group=pets") == ["device-00001", "device-00003"]
    assert await names(client, f"group=pets,id!={first}") == ["device-00003"]
    path = f"{GROUPS}/{made['id']}"
    assert (await client.patch(path, json={"name": "pets"})).json() == made
    assert (await client.patch(path, json={"device_ids": [second]})).json()["device_ids"] == [second]
    assert (await client.delete(f"/api/v1/devices/{second}")).status_code == 204
    assert (await client.get(path)).json()["device_ids"] == []
    await client.patch(path, json={"device_ids": [first]})
    dynamic = (await client.patch(path, json={"selector": "*"})).json()
    assert (dynamic["device_ids"], dynamic["total"]) == (None, 3)
    assert await rows_of_members(node) == 0
    assert (await client.patch(path, json={"device_ids": []})).json()["device_ids"] == []
    await client.patch(path, json={"device_ids": [first]})
    assert (await client.delete(path)).status_code == 204
    assert await rows_of_members(node) == 0


async def rows_of_members(node: RunningNode) -> int:
    """How many rows `group_devices` has."""
    async with node.db.read() as session:
        return len((await session.execute(GroupDevice.__table__.select())).all())


async def test_threat_12_groups_are_their_owners_and_show_no_foreign_device(
    serve: Serve, browse: Browse, person: MakePerson
) -> None:
    node = await serve()
    ada, bob = await person("ada@example.test", Role.OPERATOR), await person("bob@example.test", Role.OPERATOR)
    root = await person("root@example.test", Role.ADMIN)
    hers, his = rows.device(1, user_id=ada.id), rows.device(2, user_id=bob.id, tags={"secret": "his"})
    await put(node, hers, his)
    as_ada, as_bob, as_root = (browse(node, somebody.bearer) for somebody in (ada, bob, root))
    group = await make(as_ada, "mine", device_ids=[hers.id])
    path = f"{GROUPS}/{group['id']}"
    for client in (as_bob, as_root):
        assert (await client.get(GROUPS)).json() == {"items": []}
        for method, body in (("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)):
            answer = await client.request(method, path, json=body)
            assert (answer.status_code, answer.json()["detail"]) == (404, "There is no such group.")
        assert (await client.get(CHECK, params={"selector": "group=mine"})).json()["fault"]["code"] == "unknown_group"
    refusals = [await as_ada.post(GROUPS, json={"name": "x", "device_ids": [hers.id, n]}) for n in (his.id, 4711)]
    refusals += [await as_ada.patch(path, json={"device_ids": [n]}) for n in (his.id, 4711)]
    assert {answer.status_code for answer in refusals} == {422}
    assert {answer.json()["code"] for answer in refusals} == {"unknown_device"}
    assert (await as_ada.get(path)).json() == group
    for text in ("*", "secret", "secret=h*", f"id={his.id}", "owner=bob@example.test", "name=*2", "group!=mine", "!x"):
        checked = (await as_ada.get(CHECK, params={"selector": text})).json()
        assert set(checked["names"]) <= {"device-00001"}, text
        assert checked["count"] == len(checked["names"])
    assert (await as_ada.get(CHECK, params={"selector": "secret"})).json()["warnings"] != []

    await make(as_root, "all", device_ids=[hers.id, his.id])
    taken = await as_root.patch(f"/api/v1/devices/{hers.id}", json={"user_id": bob.id})
    assert taken.status_code == 200
    left = (await as_ada.get(path)).json()
    assert (left["device_ids"], left["total"]) == ([], 0)
    assert (await as_ada.get(CHECK, params={"selector": "group=mine"})).json()["count"] == 0


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"name": "x"}, "either a `selector` or `device_ids`"),
        ({"name": "x", "selector": "*", "device_ids": []}, "either a `selector` or `device_ids`"),
        ({"selector": "*"}, "name"),
        ({"name": "", "selector": "*"}, "name"),
        ({"name": "a\nb", "selector": "*"}, "name"),
        ({"name": "a\x00", "selector": "*"}, "name"),
        ({"name": "x" * 101, "selector": "*"}, "name"),
        ({"name": "x", "selector": ""}, "empty"),
        ({"name": "x", "selector": "a=\x00"}, "NUL"),
        ({"name": "x", "selector": "plattform=linux"}, "did you mean platform"),
        ({"name": "x", "selector": "a" * 4_001}, "4000"),
        ({"name": "x", "selector": "group=x"}, "In the group x: The group x would contain itself: x → x."),
        ({"name": "x", "selector": "group=nobody"}, "In the group x: You have no group named nobody."),
        ({"name": "x", "device_ids": [0]}, "device_ids"),
        ({"name": "x", "device_ids": ["1"] * 5_001}, "device_ids"),
        ({"name": "x", "device_ids": [1], "color": "red"}, "color"),
    ],
)
async def test_what_cannot_be_a_group(
    body: dict[str, Any], says: str, serve: Serve, browse: Browse, person: MakePerson
) -> None:
    node = await serve()
    client = browse(node, (await person()).bearer)
    answer = await client.post(GROUPS, json=body)
    assert (answer.status_code, says in answer.text) == (422, True), answer.text
    assert await node.rows(Group) == []


async def test_groups_keep_each_other_whole(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    client = browse(node, (await person()).bearer)
    inner = await make(client, "inner", selector="role=web")
    outer = await make(client, "outer", selector="group=inner,status=online")

    async def refused(method: str, group: dict[str, Any], body: Any = None) -> tuple[int, str]:
        answer = await client.request(method, f"{GROUPS}/{group['id']}", json=body)
        return answer.status_code, answer.json()["code"]

    assert await refused("DELETE", inner) == (409, "group_in_use")
    assert await refused("PATCH", inner, {"name": "other"}) == (409, "group_in_use")
    assert await refused("PATCH", inner, {"selector": "group=outer"}) == (422, "group_contains_itself")
    assert await refused("PATCH", inner, {"name": "outer"}) == (409, "group_in_use")
    assert await refused("PATCH", outer, {"name": "inner"}) == (409, "name_taken")
    assert await refused("PATCH", outer, {"selector": "*", "device_ids": []}) == (422, "invalid_input")
    assert (await client.post(GROUPS, json={"name": "inner", "selector": "*"})).json()["code"] == "name_taken"
    # the group itself stays within the bounds, and the one around it would not
    many = f"t in ({','.join(str(number) for number in range(495))})"
    assert await refused("PATCH", inner, {"selector": many}) == (422, "invalid_selector")
    assert (await client.get(f"{GROUPS}/{inner['id']}")).json() == inner
    assert (await client.delete(f"{GROUPS}/{outer['id']}")).status_code == 204
    assert (await client.delete(f"{GROUPS}/{inner['id']}")).status_code == 204


async def test_groups_are_counted(
    serve: Serve, browse: Browse, person: MakePerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "GROUPS_MAX", 2)
    node = await serve()
    client = browse(node, (await person()).bearer)
    await make(client, "b", selector="*")
    await make(client, "a", device_ids=[])
    answer = await client.post(GROUPS, json={"name": "c", "selector": "*"})
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_groups")
    assert [group["name"] for group in (await client.get(GROUPS)).json()["items"]] == ["a", "b"]


async def test_a_check_says_what_is_reached(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    [lease] = await node.nodes()
    there = {"status": "online", "node_id": lease.id}
    await put(node, *(rows.device(number, **(there if number % 2 else {})) for number in range(60)))
    client = browse(node, (await person()).bearer)
    checked = (await client.get(CHECK, params={"selector": " name = device-* , env!=prod"})).json()
    assert checked == {
        "selector": "name=device-*,env!=prod",
        "count": 60,
        "online": 30,
        "names": [f"device-{number:05}" for number in range(50)],
        "warnings": ["No device has the tag env."],
        "fault": None,
    }
    slip = await client.get(CHECK, params={"selector": "role=web,status=up"})
    fault = {
        "code": "invalid_selector",
        "message": "status is one of online, offline, unknown (character 17).",
        "position": 17,
    }
    nothing = {"count": 0, "online": 0, "names": [], "warnings": []}
    assert (slip.status_code, slip.json()) == (200, {"selector": "role=web,status=up", **nothing, "fault": fault})
    assert (await client.get(CHECK)).status_code == 422
    assert (await client.get(CHECK, params={"selector": "x" * 4_001})).status_code == 422


async def test_a_list_narrowed_by_a_selector_has_pages(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    made = [rows.device(number, tags={"odd": ""} if number % 2 else {}) for number in range(10)]
    await put(node, *made)
    client = browse(node, (await person()).bearer)
    query = {"selector": "odd", "limit": "2", "platform": "Linux-6.1-x86_64", "sort": "-name"}
    found: list[str] = []
    while True:
        page = (await client.get("/api/v1/devices", params=query)).json()
        found += [device["device_name"] for device in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert found == [f"device-{number:05}" for number in (9, 7, 5, 3, 1)]
    bad = await client.get("/api/v1/devices", params={"selector": "odd="})
    assert (bad.status_code, bad.json()["position"]) == (422, 5)


async def test_two_changes_at_once_make_no_circle(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    client = browse(node, (await person()).bearer)
    a, b = await make(client, "a", selector="x"), await make(client, "b", selector="x")
    for _ in range(10):
        answers = await asyncio.gather(
            client.patch(f"{GROUPS}/{a['id']}", json={"selector": "group=b"}),
            client.patch(f"{GROUPS}/{b['id']}", json={"selector": "group=a"}),
        )
        assert sorted(answer.status_code for answer in answers) == [200, 422]
        for group in (a, b):
            reset = await client.patch(f"{GROUPS}/{group['id']}", json={"selector": "x"})
            assert reset.status_code == 200, reset.text
