"""The SQL of selectors: on both databases it finds exactly the devices that the selector means."""

from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.models import User
from app.clock import utcnow
from app.db import Database
from app.devices.models import Device
from app.devices.scope import Scope
from app.errors import InvalidSelector
from app.groups import targets
from app.groups.models import Group, GroupDevice
from app.groups.parsing import parse
from app.groups.selectors import Selector
from deployx_protocol.states import DeviceStatus, Trust
from tests.support import rows
from tests.support.selectors import TAG_NAMES, WORDS, means, selectors

PEOPLE = {1: "web", 2: "w_b", 3: "é'b"}
LIVE, DEAD = "live", "dead"
STATIC, DYNAMIC, NESTED = "pets", 'd "*" d', "nested"
GROUPS = (STATIC, DYNAMIC, NESTED)

words = st.sampled_from(WORDS)
tags = st.dictionaries(st.sampled_from(TAG_NAMES), words, max_size=4)
device_fields = st.fixed_dictionaries(
    {
        "device_name": words,
        "hostname": words,
        "platform": words,
        "agent_version": words,
        "facts": st.dictionaries(st.sampled_from(["os", "arch"]), words),
        "tags": tags,
        "agent_tags": tags,
        "user_id": st.sampled_from([None, *PEOPLE]),
        "trust": st.sampled_from(Trust),
        "status": st.sampled_from(DeviceStatus),
        "node_id": st.sampled_from([None, LIVE, DEAD]),
    }
)


def user(number: int, email: str) -> User:
    """Somebody."""
    now = utcnow()
    return User(id=number, email=email, password_hash="-", role="operator", created_at=now, password_changed_at=now)


async def found(session: AsyncSession, condition: Any) -> set[int]:
    """The ids of the devices that meet ``condition``."""
    return set(await session.scalars(sa.select(Device.id).where(condition)))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    devices=st.lists(device_fields, min_size=1, max_size=8),
    members=st.frozensets(st.integers(1, 8)),
    dynamic=selectors(groups=(STATIC,)),
    nested=selectors(groups=(STATIC, DYNAMIC)),
    asked=st.lists(selectors(groups=GROUPS), min_size=4, max_size=4),
)
async def test_the_database_finds_what_the_selector_means(
    db: Database,
    devices: list[dict[str, Any]],
    members: frozenset[int],
    dynamic: Selector,
    nested: Selector,
    asked: list[Selector],
) -> None:
    made = [rows.device(number, id=number, **fields) for number, fields in enumerate(devices, 1)]
    within = {STATIC: None, DYNAMIC: dynamic, NESTED: nested}
    groups = [
        Group(id=name, user_id=1, name=name, selector=selector and str(selector), created_at=utcnow())
        for name, selector in within.items()
    ]

    def in_group(device: Device, name: str) -> bool:
        selector = within[name]
        if selector is None:
            return device.id in members
        return means(selector, device, PEOPLE.get(device.user_id or 0), {LIVE}, lambda inner: in_group(device, inner))

    async with db.write() as session:
        session.add_all(user(number, email) for number, email in PEOPLE.items())
        await session.flush()
        session.add_all([*made, *groups])
        await session.flush()
        session.add_all(GroupDevice(group_id=STATIC, device_id=one.id) for one in made if one.id in members)
        await session.flush()
        for selector in asked:
            condition = await targets.condition(session, 1, selector, {LIVE})
            meant = {
                device.id
                for device in made
                if means(
                    selector,
                    device,
                    PEOPLE.get(device.user_id or 0),
                    {LIVE},
                    lambda name, device=device: in_group(device, name),  # type: ignore[misc]
                )
            }
            assert await found(session, condition) == meant, str(selector)
            assert await found(session, sa.not_(condition)) == {device.id for device in made} - meant
        for table in (GroupDevice, Group, Device, User):
            await session.execute(sa.delete(table))


def group(name: str, selector: str | None, user_id: int = 1) -> Group:
    """A group of somebody; its id is its name."""
    return Group(id=f"{user_id} {name}", user_id=user_id, name=name, selector=selector, created_at=utcnow())


async def put(db: Database, *made: Any) -> None:
    """Write rows, in this order."""
    async with db.write() as session:
        for row in made:
            session.add(row)
            await session.flush()


async def test_a_group_is_looked_up_among_the_askers_own(db: Database) -> None:
    hers, his = group("mine", "name=hers"), group("mine", "name=his", user_id=2)
    await put(db, user(1, "ada@x"), user(2, "bob@x"), hers, his, group("only his", "*", user_id=2))
    await put(db, *(rows.device(number, device_name=name) for number, name in enumerate(["hers", "his"])))
    async with db.read() as session:
        for user_id, name in ((1, "hers"), (2, "his")):
            condition = await targets.condition(session, user_id, parse("group=mine"), ())
            assert list(await session.scalars(sa.select(Device.device_name).where(condition))) == [name]
        with pytest.raises(InvalidSelector, match="You have no group named only his") as refused:
            await targets.condition(session, 1, parse('group="only his"'), ())
        assert refused.value.specific_code == "unknown_group"


@pytest.mark.parametrize(
    ("groups", "says"),
    [
        ({"a": "group=a"}, "contain itself: a → a"),
        ({"a": "x,group!=b", "b": "group in (c,d)", "c": "x", "d": "group=b"}, "contain itself: b → d → b"),
        ({"a": "group=b"}, "no group named b"),
        ({"a": "group=a0", **{f"a{n}": f"group=a{n + 1}" for n in range(12)}}, "10 deep"),
        ({"a": "group=a0", **{f"a{n}": f"group=a{n + 1},group=a{n + 1}" for n in range(8)}, "a8": "x"}, "than 500"),
    ],
)
def test_groups_within_groups_end(groups: dict[str, str], says: str) -> None:
    rows_of = {name: group(name, selector) for name, selector in groups.items()}
    with pytest.raises(InvalidSelector, match=says):
        targets.resolved(parse("group=a"), rows_of, ())


async def test_the_largest_selectors_are_answered(db: Database) -> None:
    await put(db, rows.device(1, tags={"t": "49x49"}), rows.device(2))
    likes = parse(f"t in ({','.join(f'*{n}*{n}*' for n in range(240))})")
    terms = parse(",".join(f"!missing{n}" for n in range(50)))
    ids = parse(f"id in ({','.join(str(n) for n in range(1, 450))})")
    deep = {f"a{n}": group(f"a{n}", f"group!=a{n + 1},group!=a{n + 1}") for n in range(5)}
    deep["a5"] = group("a5", "t=49*")
    nested = parse("group=a0")
    async with db.read() as session:
        for selector, expected in ((likes, 1), (terms, 2), (ids, 2), (nested, 1)):
            condition = targets.resolved(selector, deep, ())
            assert len(await found(session, condition)) == expected, str(selector)[:80]


async def test_threat_16_a_selector_reaches_tags_and_listed_columns_only(db: Database) -> None:
    columns = set(Device.__table__.columns.keys()) - {"id", "hostname", "platform", "status", "agent_id", "trust"}
    secret = rows.device(1, http_token_hash="0123", journal_id="0123", machine_id="0123", trust_reason="0123")
    await put(db, secret)
    async with db.read() as session:
        for column in columns | {"users.password_hash", "devices.public_key", "password_hash", "facts.os"}:
            for text in (f'"{column}"', f'"{column}"=0*', f'"{column}"=*'):
                assert await found(session, await targets.condition(session, 1, parse(text), ())) == set(), text
        for attack in (
            "' or 1=1 --",
            "a') or (1=1",
            "'; drop table devices; --",
            "\\' or \\'",
            "%' or '%",
            "$",
            "$.",
            "?",
        ):
            quoted = attack.replace("\\", "\\\\")
            for text in (f'"{quoted}"', f'name="{quoted}"', f'name="*{quoted}*"', f'"{quoted}"="{quoted}"'):
                assert await found(session, await targets.condition(session, 1, parse(text), ())) == set(), text


def test_threat_16_what_people_write_is_no_part_of_the_sql() -> None:
    def sql(text: str) -> str:
        return str(
            sa.select(Device.id).where(targets.resolved(parse(text), {}, ("n",))).compile(dialect=sqlite.dialect())
        )

    for pattern in ('"{}"', '!"{}"', '"{}"="{}"', 'name="{}*"', 'os in ("{}","{}")', '"x"!="*{}*"'):
        assert len({sql(pattern.format(word, word)) for word in ("a", "'", "b' --", "日本", "%s", ":x", "?")}) == 1


async def test_a_tag_that_no_device_has_is_said(db: Database) -> None:
    hers = rows.device(1, tags={"role": "web"}, agent_tags={"rack": "7"}, user_id=1)
    await put(db, user(1, "ada@x"), user(2, "bob@x"), hers, rows.device(2, tags={"secret": ""}, user_id=2))
    async with db.read() as session:
        for text, said in (
            ("role=db,rack,!role", []),
            ("rol=web,!rol", ["No device has the tag rol. Did you mean role?"]),
            ("secret,racks!=7", ["No device has the tag secret.", "No device has the tag racks. Did you mean rack?"]),
            ('platform=linux,"status"', ['No device has the tag "status".']),
        ):
            assert await targets.warnings(session, Scope(1), parse(text)) == said, text
        assert await targets.warnings(session, Scope(None), parse("secret")) == []
