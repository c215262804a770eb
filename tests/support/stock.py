"""One of each thing that the API has ids of, for walks over all of its operations."""

import hashlib
from typing import Any

import httpx2

from app.accounts.permissions import Role
from tests.support import people, rows
from tests.support.node import RunningNode
from tests.support.releases import envelope, manifest
from tests.support.rollouts import deployment_row
from tests.support.server import Person
from tests.support.work import queue

ACTION = {"command": ["true"]}
DAILY = {"kind": "run", "request": {**ACTION, "targets": {"selector": "*"}}}


async def stock(node: RunningNode, client: httpx2.AsyncClient, owner: Person) -> dict[str, Any]:
    """One of each thing that has an id, of this owner; which id each is, by the name of the path parameter."""
    device = rows.device(owner.id * 10, user_id=owner.id)
    async with node.db.write() as session:
        session.add(device)
    claim = rows.claim(device)
    async with node.db.write() as session:
        session.add(claim)

    async def made(path: str, body: Any) -> str:
        answer = await client.post(f"/api/v1/{path}", json=body)
        return str(answer.json()["id"]) if answer.is_success else "of-nobody"

    friend = await people.newcomer(node.db, f"friend-of-{owner.id}@example.test", Role.VIEWER)
    group_id = await made("groups", {"name": f"of {owner.id}", "selector": "*"})
    shared = {"email": friend.email, "role": "viewer"}
    await client.put(f"/api/v1/groups/{group_id}/members", json=shared)
    [task_id] = await queue(node.db, [device.id], user_id=owner.id, created_by=owner.email)
    task = await client.get(f"/api/v1/tasks/{task_id}")
    deployment, target = deployment_row(device.id, owner.id)
    async with node.db.write() as session:
        session.add(deployment)
        await session.flush()
        session.add(target)
    sessions = (await client.get("/api/v1/auth/sessions")).json()["items"]
    return {
        "device_id": device.id,
        "claim_id": claim.id,
        "task_id": task_id,
        "run_id": task.json()["run_id"],
        "session_id": sessions[0]["id"],
        "group_id": group_id,
        "user_id": friend.id,
        "invitation_id": await made("invitations", {"email": f"guest-of-{owner.id}@example.test"}),
        "schedule_id": await made("schedules", {"name": f"of {owner.id}", "cron": "@daily", "action": DAILY}),
        "deployment_id": deployment.id,
        "saved_id": await made("saved-commands", {"name": f"of {owner.id}", "request": ACTION}),
        "upload_id": await made("artifacts/uploads", {"sha256": f"{owner.id:064}", "size": 1, "name": "half"}),
        "sha256": await _artifact(client),
        "release_id": await made("releases", envelope(manifest(f"of-{owner.id}"))),
    }


async def _artifact(client: httpx2.AsyncClient) -> str:
    """The hash of an artifact, which is empty."""
    announced = {"sha256": hashlib.sha256().hexdigest(), "size": 0, "name": "empty"}
    begun = await client.post("/api/v1/artifacts/uploads", json=announced)
    if begun.is_success and not begun.json()["complete"]:
        await client.patch(f"/api/v1/artifacts/uploads/{begun.json()['id']}")
    return str(announced["sha256"])
