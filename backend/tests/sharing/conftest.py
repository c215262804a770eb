"""A server with people in it, devices of theirs, and groups that they share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from app.accounts.permissions import Role
from app.devices.models import Device
from tests.support import rows
from tests.support.node import RunningNode, Serve
from tests.support.server import Browse, MakePerson, Person


@dataclass
class House:
    """Ada owns devices 0 to 3, of which 0 and 1 are tagged; Bob owns one; Eve, an operator, and Vic, a viewer, none."""

    node: RunningNode
    browse: Browse
    ada: Person
    bob: Person
    eve: Person
    vic: Person
    root: Person
    hers: list[Device] = field(default_factory=list)
    his: list[Device] = field(default_factory=list)

    def as_(self, somebody: Person) -> httpx2.AsyncClient:
        """A client that speaks for them."""
        return self.browse(self.node, somebody.bearer)

    async def group(self, owner: Person, name: str, **what: Any) -> str:
        """A group; its id."""
        answer = await self.as_(owner).post("/api/v1/groups", json={"name": name, **what})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def share(self, owner: Person, group_id: str, member: Person, role: str = "viewer") -> None:
        """Make ``member`` one of the group."""
        body = {"email": member.email, "role": role}
        answer = await self.as_(owner).put(f"/api/v1/groups/{group_id}/members", json=body)
        assert answer.status_code == 200, answer.text

    async def unshare(self, owner: Person, group_id: str, member: Person) -> None:
        """End a membership."""
        answer = await self.as_(owner).delete(f"/api/v1/groups/{group_id}/members/{member.id}")
        assert answer.status_code == 204, answer.text

    async def sees(self, somebody: Person, **query: Any) -> set[int]:
        """The ids of the devices that are listed for them."""
        answer = await self.as_(somebody).get("/api/v1/devices", params=query)
        assert answer.status_code == 200, answer.text
        return {device["id"] for device in answer.json()["items"]}


MakeHouse = Callable[[], Awaitable[House]]


@pytest.fixture
async def house(serve: Serve, browse: Browse, person: MakePerson) -> House:
    """That server."""
    node = await serve()
    made = House(
        node,
        browse,
        ada=await person("ada@example.test", Role.OPERATOR),
        bob=await person("bob@example.test", Role.OPERATOR),
        eve=await person("eve@example.test", Role.OPERATOR),
        vic=await person("vic@example.test", Role.VIEWER),
        root=await person("root@example.test", Role.ADMIN),
    )
    made.hers = [
        rows.device(n, user_id=made.ada.id, tags={"role": "web"} if n < 2 else {}, facts={"os": "Debian 12"})
        for n in range(4)
    ]
    made.his = [rows.device(9, user_id=made.bob.id, tags={"role": "web"}, hostname="the-secret-of-bob")]
    async with node.db.write() as session:
        session.add_all([*made.hers, *made.his])
    return made
