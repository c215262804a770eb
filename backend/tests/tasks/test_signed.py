"""Runs that operators have signed: checked against their request, kept, handed to each device, good for once."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import msgspec
import pytest
import sqlalchemy as sa

from app.accounts.permissions import Role
from app.audit.models import AuditEntry
from app.devices.models import Device
from app.tasks.models import Run
from deployx_protocol.policy import PolicyReport, parse
from deployx_protocol.signed_runs import key_id
from deployx_protocol.task_messages import Task
from tests.support import rows
from tests.support.node import RunningNode
from tests.support.operators import Operator, moment, payload_of, signed
from tests.support.server import Browse, MakePerson
from tests.support.work import Enter, in_state

RUNS, PREVIEW = "/api/v1/runs", "/api/v1/runs/preview"
ADA, BOB, EVE = Operator("ada"), Operator("bob"), Operator("eve")
WORK = Task(
    task_id="00000000-0000-7000-8000-000000000001",
    agent_id="any",
    argv=["systemctl", "restart", "nginx"],
    run_as="deploy",
    cwd="/srv",
    env={"A": "1"},
    timeout_s=60,
    expires_in_s=600,
    output_quota_bytes=1024,
)


def report(**rules: Any) -> str:
    return msgspec.json.encode(
        PolicyReport(file="/etc/p.toml", sha256="a" * 64, user="root", rules=parse(rules))
    ).decode()


def demanding(*operators: Operator, threshold: int = 1) -> str:
    named = [{"name": one.name, "key": one.public_key} for one in operators]
    return report(runs="signed", threshold=threshold, operator=named)


def body(devices: list[Device], *operators: Operator, **changes: Any) -> dict[str, Any]:
    """A request, and an envelope that goes with it unless ``changes`` are made to what is signed."""
    targets = {device.public_key or "": device.hostname for device in devices}
    request: dict[str, Any] = {
        "command": WORK.argv,
        "user": WORK.run_as,
        "cwd": WORK.cwd,
        "env": WORK.env,
        "timeout_s": WORK.timeout_s,
        "targets": {"device_ids": [device.id for device in devices]},
    }
    if operators:
        request["envelope"] = signed(payload_of(WORK, targets) | changes, *operators).to_json()
    return request


async def put(node: RunningNode, *made: Device) -> list[Device]:
    async with node.db.write() as session:
        session.add_all(made)
    return list(made)


@pytest.fixture
async def client(node: RunningNode, browse: Browse, person: MakePerson) -> httpx2.AsyncClient:
    ada = await person("ada@example.test", Role.OPERATOR)
    client: httpx2.AsyncClient = browse(node, ada.bearer)
    return client


async def mine(node: RunningNode, client: httpx2.AsyncClient, count: int, **values: Any) -> list[Device]:
    user_id = (await client.get("/api/v1/auth/me")).json()["id"]
    return await put(node, *(rows.device(number, user_id=user_id, **values) for number in range(1, count + 1)))


async def count_runs(node: RunningNode) -> int:
    async with node.db.read() as session:
        return int(await session.scalar(sa.select(sa.func.count()).select_from(Run)) or 0)


async def test_a_signed_run_is_kept_with_its_signers_and_is_good_for_once(
    node: RunningNode, client: httpx2.AsyncClient
) -> None:
    devices = await mine(node, client, 2, policy=demanding(ADA))
    request = body(devices, ADA, EVE)
    key = {"Idempotency-Key": "one"}
    made = await client.post(RUNS, json=request, headers=key)
    assert made.status_code == 202, made.text
    assert made.json()["warnings"] == []
    run_id = made.json()["id"]
    detail = (await client.get(f"{RUNS}/{run_id}")).json()
    assert {one["key_id"]: one["name"] for one in detail["signed_by"]} == {ADA.key_id: "ada", EVE.key_id: ""}
    expires = datetime.fromisoformat(detail["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=50) < expires <= timedelta(hours=1)  # what was signed, and not the day that was asked for
    assert (await client.post(RUNS, json=request, headers=key)).json()["id"] == run_id
    again = await client.post(RUNS, json=request)
    assert (again.status_code, again.json()["code"]) == (409, "envelope_used")
    cancelled = await client.post(f"{RUNS}/{run_id}/cancel")
    assert cancelled.status_code == 202
    retried = await client.post(f"{RUNS}/{run_id}/retry")
    assert (retried.status_code, retried.json()["code"]) == (422, "signed_run")
    assert "deployx run --sign" in retried.json()["detail"]
    assert await count_runs(node) == 1
    async with node.db.read() as session:
        [entry] = await session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "run.started"))
    assert set(json.loads(entry.details)["signed_by"].split(", ")) == {ADA.key_id, EVE.key_id}


@pytest.mark.databases("sqlite")
async def test_what_was_signed_for_something_else_starts_nothing(node: RunningNode, client: httpx2.AsyncClient) -> None:
    first, second = await mine(node, client, 2)
    good = body([first], ADA)
    now = datetime.now(UTC)
    past = {"issued_at": moment(now - timedelta(hours=2)), "expires_at": moment(now - timedelta(hours=1))}
    wrong: list[tuple[dict[str, Any], str]] = [
        (good | {"command": ["reboot"]}, "envelope_mismatch"),
        (good | {"env": {"A": "2"}}, "envelope_mismatch"),
        (good | {"timeout_s": 61}, "envelope_mismatch"),
        (good | {"user": ""}, "envelope_mismatch"),
        (good | {"targets": {"device_ids": [first.id, second.id]}}, "envelope_mismatch"),
        (good | {"targets": {"device_ids": [second.id]}}, "envelope_mismatch"),
        (body([first], ADA, targets={named(first): "another-name"}), "envelope_mismatch"),
        (body([first], ADA, **past), "envelope_expired"),
        (body([first], ADA, number="1"), "envelope_unusable"),
        (body([first], ADA, surprise=1), "envelope_unusable"),
        (good | {"envelope": good["envelope"] | {"payload": "e30="}}, "envelope_unusable"),
        (good | {"envelope": good["envelope"] | {"payload": "\x00"}}, "envelope_unusable"),
        (good | {"envelope": good["envelope"] | {"payloadType": "text/plain"}}, "envelope_unusable"),
        (good | {"envelope": good["envelope"] | {"signatures": [{"keyid": "me", "sig": "AQ=="}]}}, "envelope_unusable"),
    ]
    for request, code in wrong:
        answer = await client.post(RUNS, json=request)
        assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
        assert answer.json()["detail"].endswith(".")
    assert await count_runs(node) == 0
    assert (await client.post(RUNS, json=good)).status_code == 202


def named(device: Device) -> str:
    return key_id(device.public_key or "")


@pytest.mark.databases("sqlite")  # it is about what comes before a database
async def test_what_does_not_fit_a_message_is_refused_before_it_is_a_run(
    node: RunningNode, client: httpx2.AsyncClient
) -> None:
    devices = await mine(node, client, 300)
    for device in devices:
        device.hostname = "h" * 200
    async with node.db.write() as session:
        await session.execute(sa.update(Device).values(hostname="h" * 200))
    answer = await client.post(RUNS, json=body(devices, ADA))
    assert (answer.status_code, answer.json()["code"]) == (422, "envelope_too_large")
    assert await count_runs(node) == 0


async def test_a_preview_says_which_devices_will_refuse_and_why(node: RunningNode, client: httpx2.AsyncClient) -> None:
    closed = {"from": "00:00", "to": "00:01", "zone": "UTC", "days": ["mon"]}
    policies = [
        demanding(ADA),
        demanding(ADA, BOB, threshold=2),
        report(commands=False),
        report(users=["www"]),
        report(hours=closed),
        report(stop=True),
        msgspec.json.encode(PolicyReport(file="/p", error="It is damaged.")).decode(),
        msgspec.json.encode(PolicyReport(file="/p", stop="/etc/deployx-agent/stop")).decode(),
        "{",
        report(),
        "",
    ]
    devices = await mine(node, client, len(policies))
    async with node.db.write() as session:
        for device, policy in zip(devices, policies, strict=True):
            await session.execute(sa.update(Device).where(Device.id == device.id).values(policy=policy))

    async def told(request: dict[str, Any]) -> str:
        answer = await client.post(PREVIEW, json=request)
        assert answer.status_code == 200, answer.text
        return "\n".join(answer.json()["warnings"])

    said = await told(body(devices))
    lines = said.splitlines()
    assert "2 devices will refuse this (device-00001, device-00002): its policy runs only what an operator" in lines[0]
    for name, why in (
        ("device-00003", "lets no command run"),
        ("device-00004", "lets nothing run as deploy, only as www"),
        ("device-00005", "lets work start from 00:00 to 00:01 UTC on mon only; next at "),
        ("device-00006", "stop = true"),
        ("device-00008", "stopped by the file /etc/deployx-agent/stop"),
    ):
        assert any(f"({name})" in line and why in line for line in lines), said
    assert "(device-00007, device-00009): its policy cannot be used" in said
    assert "device-00010" not in said
    assert "device-00011" not in said
    said = await told(body(devices[:2], ADA))
    assert said == (
        "1 device will refuse this (device-00002): its policy asks for 2 signatures of operators that it knows, and "
        "this has 1."
    )
    assert await told({"targets": {"device_ids": [devices[0].id]}}) == ""
    listed = (await client.post(PREVIEW, json=body(devices[:1]))).json()["devices"]
    assert [(one["hostname"], one["key_id"]) for one in listed] == [("host-00001", named(devices[0]))]


async def test_a_device_gets_the_envelope_and_what_it_refuses_is_recorded(
    node: RunningNode, browse: Browse, person: MakePerson, enter: Enter
) -> None:
    client = browse(node, (await person()).bearer)
    peer, device_id = await enter(policy=demanding(ADA), facts={"policy": "runs signed by 1 of 1"})
    device = await node.device(peer.machine.agent_id)
    request = body([device], EVE)
    made = await client.post(RUNS, json=request)
    assert made.status_code == 202, made.text
    assert "this has none" in made.json()["warnings"][0]
    [task] = await peer.assigned()
    assert task["envelope"] == request["envelope"]
    why = "It needs a signature of operators that this machine knows, and has none."
    await peer.report(task["task_id"], "failed", code="policy_signature", message=why)
    row = await in_state(node.db, task["task_id"], "failed")
    assert (row.code, row.message) == ("policy_signature", why)
    async with node.db.read() as session:
        [entry] = await session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "run.refused"))
    assert entry.object_id == made.json()["id"]
    assert json.loads(entry.details) == {"code": "policy_signature", "why": why, "devices": str(device_id)}
    [unsigned_id] = [(await client.post(RUNS, json=body([device]))).json()["id"]]
    [task] = await peer.assigned()
    assert task["envelope"] is None
    assert (await client.get(f"{RUNS}/{unsigned_id}")).json()["signed_by"] == []


@pytest.mark.databases("sqlite")
async def test_a_device_shows_the_policy_that_it_reports(
    node: RunningNode, browse: Browse, person: MakePerson, enter: Enter
) -> None:
    client = browse(node, (await person()).bearer)
    _, with_policy = await enter(policy=demanding(ADA))
    _, without = await enter()
    shown = (await client.get(f"/api/v1/devices/{with_policy}/policy")).json()
    assert (shown["there"], shown["file"], shown["sha256"], shown["error"]) == (True, "/etc/p.toml", "a" * 64, "")
    assert f"Pass on runs that are signed by ada (key {ADA.key_id})." in shown["may"]
    assert "Start a run of its own, nor change, repeat or redirect a signed one." in shown["may_not"]
    assert shown["operators"] == [{"name": "ada", "key_id": ADA.key_id, "until": None}]
    nothing = (await client.get(f"/api/v1/devices/{without}/policy")).json()
    assert (nothing["there"], nothing["may"], nothing["may_not"]) == (False, [], [])
    assert (await client.get("/api/v1/devices/999/policy")).status_code == 404
