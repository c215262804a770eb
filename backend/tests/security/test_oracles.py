"""Sorting and filtering tell nothing of what is not shown: every list against every column that the database has.

``backend/tests/devices/test_routes_list.py`` has what else a list of devices may be asked.
"""

from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from app.accounts.permissions import Role
from app.db import Base, Database
from tests.support import rows
from tests.support.node import RunningNode, Serve
from tests.support.server import Browse, MakePerson, Person
from tests.support.work import queue

# One database: which columns may be named is decided before any database is asked.
pytestmark = pytest.mark.databases("sqlite")

SHOWN_AS = {"name": "device_name"}
"""What a list is sorted by, where it is shown under another name."""


def columns() -> set[str]:
    """The columns of all tables, as one who guesses would write them."""
    return {name for table in Base.metadata.tables.values() for name in table.columns.keys()}  # noqa: SIM118


async def stocked(node: RunningNode, owner: Person) -> None:
    """Something in each list."""
    device = rows.device(1, user_id=owner.id)
    async with node.db.write() as session:
        session.add_all([device, rows.device(2, user_id=owner.id)])
    await queue(node.db, [device.id], user_id=owner.id)


async def lists(client: httpx2.AsyncClient) -> dict[str, dict[str, Any]]:
    """Path → parameter → its schema, of everything that is read without naming an object."""
    document = (await client.get("/api/openapi.json")).json()
    return {
        path: {one["name"]: one["schema"] for one in methods["get"].get("parameters", []) if one["in"] == "query"}
        for path, methods in document["paths"].items()
        if "get" in methods and "{" not in path and path.startswith("/api/v1/")
    }


async def test_threat_16_no_list_is_sorted_by_what_it_does_not_name(
    serve: Serve, browse: Browse, person: MakePerson
) -> None:
    node, ada = await serve(), await person()
    await stocked(node, ada)
    client = browse(node, ada.bearer)
    sorted_lists = {path: found["sort"] for path, found in (await lists(client)).items() if "sort" in found}
    assert sorted_lists, "no list is sorted at all"
    for path in sorted_lists:
        taken = set()
        for name in columns():
            for sort in (name, f"-{name}"):
                answer = await client.get(path, params={"sort": sort})
                assert answer.status_code in (200, 422), (path, sort)
                taken |= {name} if answer.status_code == 200 else set()
        shown = set((await client.get(path)).json()["items"][0])
        hidden = {SHOWN_AS.get(name, name) for name in taken} - shown
        assert not hidden, f"{path} is sorted by what it does not show: {hidden}"


async def test_threat_16_no_list_is_narrowed_by_what_it_does_not_name(
    serve: Serve, browse: Browse, person: MakePerson
) -> None:
    node, ada = await serve(), await person("ada@example.test", Role.ADMIN)
    await stocked(node, ada)
    client = browse(node, ada.bearer)
    tried = 0
    for path, known in (await lists(client)).items():
        usual = await client.get(path)
        if usual.status_code != 200 or not usual.headers["content-type"].startswith("application/json"):
            continue
        strangers = {f"{name}{ending}": "x" for name in columns() - set(known) for ending in ("", "__like", "[gt]")}
        asked = await client.get(path, params=strangers)
        if "now" not in usual.text and usual.status_code == asked.status_code:
            assert shape(asked.json()) == shape(usual.json()), path
        assert asked.status_code in (200, 422), path
        tried += 1
    assert tried > 8


def shape(value: Any) -> Any:
    """How much there is, and under which names: moments differ from one request to the next."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items()}
    return [shape(one) for one in value] if isinstance(value, list) else type(value).__name__


async def test_threat_16_no_secret_is_told_apart_by_any_filter(
    serve: Serve, browse: Browse, person: MakePerson, db: Database
) -> None:
    """What somebody knows of a secret is in no answer: right and wrong beginnings of a hash narrow nothing."""
    node, ada = await serve(), await person()
    await stocked(node, ada)
    async with db.read() as session:
        tables = [Base.metadata.tables[name] for name in ("users", "sessions", "api_tokens")]
        secrets = [
            str(value).rpartition("$")[2]  # of Argon2 what follows its parameters, which are no secret
            for table in tables
            for column in table.columns
            if "hash" in column.name
            for value in await session.scalars(sa.select(column))
        ]
    assert len(secrets) >= 3
    client = browse(node, ada.bearer)
    for path, known in (await lists(client)).items():
        texts = [name for name, schema in known.items() if name not in ("cursor", "after_seq") and is_text(schema)]
        for name in texts:
            for secret in secrets:
                right = await client.get(path, params={name: secret[:12]})
                wrong = await client.get(path, params={name: secret[:11] + ("0" if secret[11] != "0" else "1")})
                assert right.status_code == wrong.status_code, (path, name)
                if right.headers["content-type"].startswith("application/json"):
                    assert shape(right.json()) == shape(wrong.json()), (path, name)


def is_text(schema: dict[str, Any]) -> bool:
    """Whether any text may be sent for this parameter."""
    return any(one.get("type") == "string" and "enum" not in one for one in schema.get("anyOf", [schema]))
