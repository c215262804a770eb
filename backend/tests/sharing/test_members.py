"""Sharing groups: what it opens, to whom, through which group, and how it ends."""

import pytest
import sqlalchemy as sa

from app.accounts.models import User
from app.audit.models import AuditEntry
from app.groups import sharing
from app.groups.models import GroupMember
from tests.sharing.conftest import House


async def test_a_member_sees_what_the_group_has_now(house: House) -> None:
    first, second, third, _ = (device.id for device in house.hers)
    picked = await house.group(house.ada, "picked", device_ids=[first, third])
    web = await house.group(house.ada, "web", selector="role=web")
    assert await house.sees(house.eve) == set()
    await house.share(house.ada, picked, house.eve)
    assert await house.sees(house.eve) == {first, third}
    await house.share(house.ada, web, house.eve, "operator")
    assert await house.sees(house.eve) == {first, second, third}
    assert await house.sees(house.eve, q="device-00001") == {second}
    ada = house.as_(house.ada)
    assert (await ada.patch(f"/api/v1/groups/{picked}", json={"device_ids": [first]})).status_code == 200
    assert await house.sees(house.eve) == {first, second}
    assert (await ada.patch(f"/api/v1/devices/{second}", json={"tags": {}})).status_code == 200
    assert await house.sees(house.eve) == {first}
    assert (await ada.patch(f"/api/v1/devices/{third}", json={"tags": {"role": "web"}})).status_code == 200
    assert await house.sees(house.eve) == {first, third}
    assert await house.sees(house.ada) == {device.id for device in house.hers}
    assert await house.sees(house.bob) == {house.his[0].id}


async def test_it_is_said_through_which_group_a_device_is_seen(house: House) -> None:
    first, second = house.hers[0].id, house.hers[2].id
    picked = await house.group(house.ada, "picked", device_ids=[first])
    web = await house.group(house.ada, "web", selector="role=web")
    await house.share(house.ada, picked, house.vic)
    await house.share(house.ada, web, house.vic, "operator")
    await house.share(house.ada, web, house.eve, "operator")
    seen = (await house.as_(house.vic).get(f"/api/v1/devices/{first}/access")).json()
    through = [(one["name"], one["role"]) for one in seen["through"]]
    assert (seen["owner"], seen["own"], through) == (
        house.ada.email,
        False,
        [("picked", "viewer"), ("web", "operator")],
    )
    assert (seen["may_run"], seen["may_change"], seen["members"]) == (False, False, [])  # a viewer runs nothing at all
    eves = (await house.as_(house.eve).get(f"/api/v1/devices/{first}/access")).json()
    assert (eves["may_run"], eves["may_change"]) == (True, False)
    for owner in (house.ada, house.root):
        told = (await house.as_(owner).get(f"/api/v1/devices/{first}/access")).json()
        members = {(one["name"], one["email"], one["role"]) for one in told["members"]}
        assert members == {
            ("picked", house.vic.email, "viewer"),
            ("web", house.vic.email, "operator"),
            ("web", house.eve.email, "operator"),
        }
        assert (told["own"], told["may_run"], told["may_change"]) == (owner is house.ada, True, True)
    assert (await house.as_(house.vic).get(f"/api/v1/devices/{second}/access")).status_code == 404
    shares = (await house.as_(house.vic).get("/api/v1/shares")).json()["items"]
    assert [(one["name"], one["owner"], one["role"], one["total"]) for one in shares] == [
        ("picked", house.ada.email, "viewer", 1),
        ("web", house.ada.email, "operator", 2),
    ]
    groups = (await house.as_(house.ada).get("/api/v1/groups")).json()["items"]
    assert [(group["name"], group["members"]) for group in groups] == [("picked", 1), ("web", 2)]


async def test_members_are_listed_changed_and_removed_and_all_of_it_is_recorded(house: House) -> None:
    group = await house.group(house.ada, "web", selector="role=web")
    path = f"/api/v1/groups/{group}/members"
    await house.share(house.ada, group, house.eve)
    await house.share(house.root, group, house.eve, "operator")
    await house.share(house.ada, group, house.eve, "operator")
    members = (await house.as_(house.ada).get(path)).json()["items"]
    assert [(one["email"], one["role"]) for one in members] == [(house.eve.email, "operator")]
    assert (await house.as_(house.eve).delete(f"/api/v1/shares/{group}")).status_code == 204
    assert (await house.as_(house.eve).delete(f"/api/v1/shares/{group}")).status_code == 404
    await house.share(house.ada, group, house.vic)
    await house.unshare(house.root, group, house.vic)
    assert (await house.as_(house.ada).delete(f"{path}/{house.vic.id}")).status_code == 404
    async with house.node.db.read() as session:
        query = sa.select(AuditEntry.action, AuditEntry.actor).where(AuditEntry.object_id == group)
        found = [(action, actor) for action, actor in await session.execute(query.order_by(AuditEntry.seq))]
        assert list(await session.scalars(sa.select(GroupMember))) == []
    assert found == [
        ("group.created", house.ada.email),
        ("group.member_added", house.ada.email),
        ("group.member_changed", house.root.email),
        ("group.left", house.eve.email),
        ("group.member_added", house.ada.email),
        ("group.member_removed", house.root.email),
    ]


async def test_who_cannot_be_a_member(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    group = await house.group(house.ada, "web", selector="role=web")
    other = await house.group(house.ada, "other", selector="*")
    ada = house.as_(house.ada)

    async def refused(email: str, role: str = "viewer", to: str = group) -> tuple[int, str]:
        answer = await ada.put(f"/api/v1/groups/{to}/members", json={"email": email, "role": role})
        return answer.status_code, answer.json()["code"]

    assert await refused("nobody@example.test") == (422, "unknown_user")
    assert await refused(house.ada.email.upper()) == (422, "owner_already")
    assert (await refused(house.eve.email, "admin"))[0] == 422
    async with house.node.db.write() as session:
        await session.execute(sa.update(User).where(User.id == house.vic.id).values(disabled_at=sa.func.now()))
    assert await refused(house.vic.email) == (422, "unknown_user")
    monkeypatch.setattr(sharing, "MEMBERS_MAX", 1)
    await house.share(house.ada, group, house.eve)
    assert await refused(house.bob.email) == (409, "too_many_members")
    monkeypatch.setattr(sharing, "MEMBER_OF_MAX", 1)
    assert await refused(house.eve.email, to=other) == (409, "too_many_groups")
    await house.share(house.ada, group, house.eve, "operator")  # no other member, no other group


async def test_a_group_that_depends_on_the_status_is_not_shared(house: House) -> None:
    inner = await house.group(house.ada, "inner", selector="role=web")
    outer = await house.group(house.ada, "outer", selector="group=inner,!spare")
    there = await house.group(house.ada, "there", selector="status=online")
    ada = house.as_(house.ada)
    body = {"email": house.eve.email, "role": "viewer"}
    answer = await ada.put(f"/api/v1/groups/{there}/members", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "not_sharable")
    await house.share(house.ada, outer, house.eve)
    assert len(await house.sees(house.eve)) == 2
    for group in (inner, outer):
        answer = await ada.patch(f"/api/v1/groups/{group}", json={"selector": "status=online"})
        assert (answer.status_code, answer.json()["code"]) == (422, "not_sharable"), answer.text
    assert len(await house.sees(house.eve)) == 2


async def test_what_weighs_too_much_shares_nothing(house: House) -> None:
    """Everything that is shared with somebody goes into each of their queries."""
    heavy = f"role in ({','.join(f'v{number}' for number in range(490))},web)"
    for number in range(5):
        await house.share(house.ada, await house.group(house.ada, f"g{number}", selector=heavy), house.eve)
    light = await house.group(house.bob, "his", selector="role=web")
    await house.share(house.bob, light, house.eve)
    assert await house.sees(house.eve) == {house.hers[0].id, house.hers[1].id}
