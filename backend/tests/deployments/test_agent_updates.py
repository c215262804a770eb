"""A new version of the agent: who can be given it, and how carefully it goes if nobody says how."""

from typing import Any

import pytest

from app.accounts.permissions import Role
from deployx_protocol.messages import TAKES_RELEASES, TAKES_UPDATES
from deployx_protocol.releases import AGENT_NAME, AgentBundle, Artifact, Kind
from tests.support.node import Serve
from tests.support.rollouts import release_row
from tests.support.rows import device
from tests.support.server import Browse, MakePerson

DEPLOYMENTS = "/api/v1/deployments"
BUNDLE, METADATA = (Artifact(name=name, sha256="a" * 64, size=1) for name in ("bundle.tar", "metadata.json"))


@pytest.mark.databases("sqlite")
async def test_it_goes_to_one_a_tenth_all_and_only_where_its_keys_are_trusted(
    serve: Serve, person: MakePerson, browse: Browse
) -> None:
    node = await serve()
    ada = await person("ada@example.test", Role.OPERATOR)
    agent = AgentBundle(version="2.0", bundle=BUNDLE.name, metadata=METADATA.name)
    said_of_it: dict[str, Any] = {"agent": agent, "install": None, "detect": None, "artifacts": [BUNDLE, METADATA]}
    async with node.db.write() as session:
        session.add(release_row(AGENT_NAME, "2.0", kind=Kind.AGENT, **said_of_it))
        facts = [TAKES_RELEASES | TAKES_UPDATES] * 11 + [dict(TAKES_RELEASES)]
        rows = [device(number, platform="linux", facts=one, user_id=ada.id) for number, one in enumerate(facts, 1)]
        session.add_all(rows)
        await session.flush()
        *able, other = [row.id for row in rows]
    client = browse(node, ada.bearer)
    request = {"release": f"{AGENT_NAME}@2.0", "targets": {"device_ids": [*able, other]}}
    preview = (await client.post(f"{DEPLOYMENTS}/preview", json=request)).json()
    assert [(one["label"], one["total"]) for one in preview["waves"]] == [("1", 1), ("10%", 1), ("100%", 9)]
    [left_out] = preview["excluded"]
    assert left_out["id"] == other and "update-root.json" in left_out["why"]
    said = request | {"strategy": {"waves": ["50%", "100%"]}}
    as_said = (await client.post(f"{DEPLOYMENTS}/preview", json=said)).json()
    assert [one["label"] for one in as_said["waves"]] == ["50%", "100%"]
    made = (await client.post(DEPLOYMENTS, json=request)).json()
    assert made["plan_hash"] == preview["plan_hash"] and made["strategy"]["healthy_percent"] == 100
