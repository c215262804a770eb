"""What selectors may be made of, for completion: as it is written, and of nobody else's devices."""

from typing import Any

from app.accounts.permissions import Role
from app.groups.parsing import parse
from tests.support import rows
from tests.support.node import Serve
from tests.support.server import Browse, MakePerson

WORDS = "/api/v1/selectors/words"


async def test_the_words_of_ones_devices(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    ada, bob = await person("ada@example.test", Role.OPERATOR), await person("bob@example.test", Role.OPERATOR)
    hers: dict[str, Any] = {"user_id": ada.id, "facts": {"os": "Debian GNU/Linux 12", "arch": "x86_64"}}
    async with node.db.write() as session:
        session.add_all(
            [
                rows.device(1, tags={"role": "web"}, agent_tags={"role": "old", "rack no": "a 1"}, **hers),
                rows.device(2, tags={"role": "db", "laptop": ""}, **hers),
                rows.device(3, agent_tags={"role": "db", "owner": "x"}, **hers),
                rows.device(4, tags={"secret": "his"}, user_id=bob.id),
            ]
        )
    client = browse(node, ada.bearer)
    await client.post("/api/v1/groups", json={"name": "my pets", "selector": "laptop"})
    found = (await client.get(WORDS)).json()["values"]
    assert found["role"] == ["db", "web"]  # the commonest first; people's tags win over the agent's
    assert found['"rack no"'] == ['"a 1"']
    assert found["laptop"] == []
    assert found['"owner"'] == ["x"]  # the tag; the key is the next line
    assert found["owner"] == ["ada@example.test"]
    assert found["os"] == ['"Debian GNU/Linux 12"']
    assert found["group"] == ['"my pets"']
    assert sorted(found["status"]) == ["offline", "online", "unknown"]
    assert "secret" not in found
    assert "bob@example.test" not in str(found)
    for key, values in found.items():
        for value in values:
            assert str(parse(f"{key}={value}")) == f"{key}={value}"


async def test_the_words_are_bounded(serve: Serve, browse: Browse, person: MakePerson) -> None:
    node = await serve()
    async with node.db.write() as session:
        session.add_all(rows.device(number, tags={f"tag-{number}": "x"}) for number in range(250))
    found = (await browse(node, (await person()).bearer).get(WORDS)).json()["values"]
    assert len(found["name"]) == 200
    assert sum(key.startswith("tag-") for key in found) == 200
