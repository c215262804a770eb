"""Starting runs over HTTP: who is reached, what is saved before the answer, what a repeat gets, what is refused."""

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from app.accounts.permissions import Role
from app.clock import utcnow
from app.devices.models import Device
from app.groups.models import Group
from app.tasks.models import Run, Script, Task
from deployx_protocol.messages import WATCHES_ONLY
from deployx_protocol.states import Trust
from tests.support import rows
from tests.support.node import RunningNode
from tests.support.server import Browse, MakePerson, Person

RUNS = "/api/v1/runs"
PREVIEW = "/api/v1/runs/preview"


async def put(node: RunningNode, *made: Any) -> None:
    async with node.db.write() as session:
        session.add_all(made)


async def fleet(node: RunningNode, owner: Person | None, count: int, first: int = 1) -> list[int]:
    """Trusted devices that are offline; their ids."""
    made = [rows.device(n, user_id=owner.id if owner else None) for n in range(first, first + count)]
    await put(node, *made)
    return [device.id for device in made]


async def tasks_of(node: RunningNode, run_id: str) -> Sequence[Task]:
    async with node.db.read() as session:
        return (await session.scalars(sa.select(Task).where(Task.run_id == run_id).order_by(Task.id))).all()


def asked(device_ids: list[int], **fields: Any) -> dict[str, Any]:
    return {"command": ["uptime"], "targets": {"device_ids": device_ids}, **fields}


async def test_a_run_is_committed_with_a_task_for_each_device_when_it_is_answered(
    node: RunningNode, browse: Browse, person: MakePerson
) -> None:
    bob = await person("bob@example.test", Role.OPERATOR)
    ids = await fleet(node, bob, 3)
    body = asked(
        [ids[2], ids[0], ids[1], ids[0]],
        command=["printf", "%s\n", "it's"],
        user="deploy",
        cwd="/srv",
        env={"A": "1", "SECRET": "hunter2"},
        timeout_s=12.5,
        expires_s=600,
        max_parallel=2,
        output_quota_bytes=4096,
    )
    answer = await browse(node, bob.bearer).post(RUNS, json=body)
    assert answer.status_code == 202, answer.text
    run = answer.json()
    assert (run["kind"], run["title"], run["total"]) == ("command", "printf '%s ' 'it'\"'\"'s'", 3)
    assert (run["counts"], run["selector"], run["retry_of"], run["finished_at"]) == ({"queued": 3}, None, None, None)
    assert (run["created_by"], run["user_id"], run["excluded"], run["excluded_total"]) == (bob.email, bob.id, [], 0)
    [row] = await node.rows(Run)
    assert (row.id, row.argv, row.run_as, row.cwd, row.env["SECRET"]) == (
        run["id"],
        body["command"],
        "deploy",
        "/srv",
        "hunter2",
    )
    assert (row.timeout_s, row.max_parallel, row.output_quota_bytes) == (12.5, 2, 4096)
    assert (row.expires_at - row.created_at).total_seconds() == 600
    tasks = await tasks_of(node, run["id"])
    assert [task.device_id for task in tasks] == ids
    assert {task.state for task in tasks} == {"queued"}
    assert {task.deadline_at for task in tasks} == {row.expires_at}
    detail = (await browse(node, bob.bearer).get(f"{RUNS}/{run['id']}")).json()
    assert (detail["command"], detail["env_names"], detail["expires_s"]) == (body["command"], ["A", "SECRET"], 600)
    assert "hunter2" not in json.dumps(detail)


async def test_a_script_is_kept_once_and_its_first_line_names_the_interpreter(
    node: RunningNode, browse: Browse, person: MakePerson
) -> None:
    ada = await person()
    ids = await fleet(node, ada, 1)
    client = browse(node, ada.bearer)
    script = "#!/usr/bin/env python3\n\nprint('grüße')\n"
    targets = {"device_ids": ids}
    for _ in range(2):
        answer = await client.post(RUNS, json={"script": script, "args": ["a b"], "targets": targets})
        assert answer.status_code == 202, answer.text
    assert answer.json()["title"] == "print('grüße')"
    [kept] = await rows_of(node, Script)
    assert kept.body == script.encode()
    detail = (await client.get(f"{RUNS}/{answer.json()['id']}")).json()
    assert (detail["script"], detail["interpreter"], detail["args"]) == (script, ["/usr/bin/env", "python3"], ["a b"])
    assert detail["script_sha256"] == kept.sha256


async def rows_of(node: RunningNode, model: Any) -> list[Any]:
    async with node.db.read() as session:
        return list(await session.scalars(sa.select(model)))


async def test_only_trusted_devices_become_tasks_and_the_preview_says_what_then_happens(
    node: RunningNode, browse: Browse, person: MakePerson
) -> None:
    bob = await person("bob@example.test", Role.OPERATOR)
    eve = await person("eve@example.test", Role.OPERATOR)
    good = await fleet(node, bob, 2)
    [foreign] = await fleet(node, eve, 1, first=50)
    pending = rows.device(10, user_id=bob.id, trust=Trust.PENDING)
    quarantined = rows.device(11, user_id=bob.id, trust=Trust.QUARANTINED)
    keyless = rows.device(12, user_id=bob.id, trust=Trust.UNVERIFIED, public_key=None)
    watching = rows.device(13, user_id=bob.id, facts=WATCHES_ONLY)
    await put(node, pending, quarantined, keyless, watching)
    body = asked([*good, pending.id, quarantined.id, keyless.id, watching.id, foreign, 4711])
    client = browse(node, bob.bearer)
    preview = (await client.post(PREVIEW, json=body)).json()
    assert (preview["total"], preview["online"], preview["offline"]) == (2, 0, 2)
    assert [device["id"] for device in preview["devices"]] == good
    assert {one["id"]: one["why"] for one in preview["excluded"]} == {
        pending.id: "pending: accept it first",
        quarantined.id: "quarantined: answer its claim first",
        keyless.id: "no key: presence only",
        watching.id: "its agent only watches: its owner has to start it without --watch-only",
        foreign: "There is no such device.",
        4711: "There is no such device.",
    }
    assert {one["device_name"] for one in preview["excluded"] if one["id"] in (foreign, 4711)} == {""}
    assert preview["excluded_total"] == 6
    assert preview["warnings"] == []
    run = (await client.post(RUNS, json=body)).json()
    assert [task.device_id for task in await tasks_of(node, run["id"])] == good
    assert (run["excluded"], run["excluded_total"]) == (preview["excluded"], 6)


async def test_a_selector_reaches_what_it_names_among_ones_own_devices(
    node: RunningNode, browse: Browse, person: MakePerson
) -> None:
    bob = await person("bob@example.test", Role.OPERATOR)
    ada = await person()
    web = rows.device(1, user_id=bob.id, tags={"role": "web"})
    legacy = rows.device(2, user_id=bob.id, tags={"role": "web", "legacy": ""})
    other = rows.device(3, user_id=ada.id, tags={"role": "web"})
    await put(node, web, legacy, other)
    await put(node, Group(id="g", user_id=bob.id, name="mine", selector="role=web", created_at=utcnow()))
    client = browse(node, bob.bearer)
    for selector, reached in (("role=web,!legacy", [web.id]), ("group=mine", [web.id, legacy.id]), ("*", [1, 2])):
        body = {"command": ["id"], "targets": {"selector": selector}}
        preview = (await client.post(PREVIEW, json=body)).json()
        assert [device["id"] for device in preview["devices"]] == reached, selector
        run = (await client.post(RUNS, json=body)).json()
        assert (run["selector"], run["total"]) == (selector, len(reached))
        assert [task.device_id for task in await tasks_of(node, run["id"])] == reached
    everyone = await browse(node, ada.bearer).post(PREVIEW, json={"targets": {"selector": "role=web"}})
    assert everyone.json()["total"] == 3
    typo = (await client.post(PREVIEW, json={"targets": {"selector": "rolle=web"}})).json()
    assert (typo["total"], typo["warnings"]) == (0, ["No device has the tag rolle. Did you mean role?"])


TEXT = {"targets": {"device_ids": [1]}}
BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "empty_command"),
    ({"command": []}, "empty_command"),
    ({"command": ["", "x"]}, "empty_command"),
    ({"shell": " \n"}, "empty_command"),
    ({"script": "\n\n", "interpreter": ["bash"]}, "empty_command"),
    ({"command": ["a"], "shell": "a"}, "ambiguous_command"),
    ({"command": ["a"], "interpreter": ["bash"]}, "interpreter_without_script"),
    ({"shell": "a", "args": ["x"]}, "interpreter_without_script"),
    ({"script": "echo hi"}, "no_interpreter"),
    ({"script": "echo hi", "interpreter": [" "]}, "no_interpreter"),
    ({"script": "echo hi", "interpreter": ["x"] * 17}, "command_too_long"),
    ({"command": ["x" * 16_385]}, "command_too_long"),
    ({"shell": "x" * 2_000_000}, "command_too_long"),
    ({"command": ["\x01" * 16_000]}, "command_too_long"),
    ({"script": "x" * 1_048_577, "interpreter": ["bash"]}, "script_too_large"),
    ({"command": ["a\x00b"]}, "nul_byte"),
    ({"shell": "a\x00b"}, "nul_byte"),
    ({"script": "a\x00b", "interpreter": ["bash"]}, "nul_byte"),
    ({"command": ["a"], "env": {"A": "\x00"}}, "nul_byte"),
    ({"command": ["a"], "cwd": "/\x00"}, "nul_byte"),
    ({"command": ["a\ud800"]}, "not_text"),
    ({"command": ["a"], "targets": {"selector": '"\ud800"=x'}}, "not_text"),
    ({"command": ["a"], "targets": {"selector": '"\x00"=x'}}, "nul_byte"),
    ({"command": ["a"], "user": "root\n"}, "invalid_user"),
    ({"command": ["a"], "user": "x" * 129}, "invalid_user"),
    ({"command": ["a"], "cwd": "srv"}, "invalid_cwd"),
    ({"command": ["a"], "cwd": "./srv"}, "invalid_cwd"),
    ({"command": ["a"], "cwd": "C:srv"}, "invalid_cwd"),
    ({"command": ["a"], "cwd": "/" + "x" * 4_096}, "invalid_cwd"),
    ({"command": ["a"], "cwd": "/a\nb"}, "invalid_cwd"),
    ({"command": ["a"], "env": {"": "x"}}, "invalid_env"),
    ({"command": ["a"], "env": {"A=B": "x"}}, "invalid_env"),
    ({"command": ["a"], "env": {"1A": "x"}}, "invalid_env"),
    ({"command": ["a"], "env": {"A B": "x"}}, "invalid_env"),
    ({"command": ["a"], "env": {f"A{n}": "" for n in range(65)}}, "invalid_env"),
    ({"command": ["a"], "env": {"A": "x" * 16_384}}, "invalid_env"),
    ({"command": ["a"], "timeout_s": 0.5}, "timeout_out_of_range"),
    ({"command": ["a"], "timeout_s": 604_801}, "timeout_out_of_range"),
    ({"command": ["a"], "timeout_s": -1}, "timeout_out_of_range"),
    ({"command": ["a"], "expires_s": 0}, "expires_out_of_range"),
    ({"command": ["a"], "expires_s": 2_592_001}, "expires_out_of_range"),
    ({"command": ["a"], "max_parallel": 0}, "max_parallel_out_of_range"),
    ({"command": ["a"], "output_quota_bytes": -1}, "output_quota_out_of_range"),
    ({"command": ["a"], "output_quota_bytes": 2**30 + 1}, "output_quota_out_of_range"),
    ({"command": ["a"], "targets": {}}, "ambiguous_targets"),
    ({"command": ["a"], "targets": {"device_ids": [1], "selector": "*"}}, "ambiguous_targets"),
    ({"command": ["a"], "targets": {"device_ids": []}}, "no_device_matched"),
    ({"command": ["a"], "targets": {"device_ids": [4711]}}, "no_device_matched"),
    ({"command": ["a"], "targets": {"device_ids": [0]}}, "invalid_input"),
    ({"command": ["a"], "targets": {"device_ids": [2**31]}}, "invalid_input"),
    ({"command": ["a"], "targets": {"device_ids": list(range(1, 20_002))}}, "too_many_devices"),
    ({"command": ["a"], "targets": {"selector": "name=nobody"}}, "no_device_matched"),
    ({"command": ["a"], "targets": {"selector": "plattform=linux"}}, "unknown_selector_key"),
    ({"command": ["a"], "targets": {"selector": "role in (web"}}, "invalid_selector"),
    ({"command": ["a"], "targets": {"selector": ""}}, "invalid_selector"),
    ({"command": ["a"], "targets": {"selector": "group=nobodys"}}, "unknown_group"),
    ({"command": ["a"], "colour": "red"}, "invalid_input"),
    ({"command": "uptime"}, "invalid_input"),
    ({"command": [1]}, "invalid_input"),
    ({"command": ["a"], "timeout_s": float("inf")}, "invalid_input"),
    ({"command": ["a"], "timeout_s": float("nan")}, "invalid_input"),
    ({"command": ["a"], "timeout_s": None}, "invalid_input"),
]


@pytest.mark.databases("sqlite")  # it is about what comes before a database
async def test_bad_input_has_a_code_and_a_sentence_and_saves_nothing(
    node: RunningNode, browse: Browse, person: MakePerson
) -> None:
    ada = await person()
    await fleet(node, ada, 1)
    client = browse(node, ada.bearer | {"content-type": "application/json"})
    wrong = []
    for body, code in BAD:
        for path in (RUNS, PREVIEW):
            if path == PREVIEW and (not body or code == "no_device_matched"):
                continue
            answer = await client.post(path, content=json.dumps(TEXT | body).encode())
            problem = answer.json()
            if (answer.status_code, problem.get("code")) != (422, code) or not problem["detail"].endswith("."):
                wrong.append(f"{path} {str(body)[:60]}: {answer.status_code} {str(problem)[:200]}")
    assert not wrong, "\n".join(wrong)
    answer = await client.post(RUNS, content=b'{"shell": "' + b"x" * (4 << 20) + b'"}')
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert await node.rows(Run) == []
    assert await rows_of(node, Script) == []


@pytest.mark.databases("sqlite")
async def test_a_preview_needs_nothing_to_run_and_warns_of_what_can_be_known(
    node: RunningNode, browse: Browse, person: MakePerson
) -> None:
    ada = await person()
    await put(node, rows.device(1), rows.device(2, platform="windows"))
    client = browse(node, ada.bearer)
    bare = await client.post(PREVIEW, json={"targets": {"selector": "*"}})
    assert (bare.json()["total"], bare.json()["warnings"]) == (2, [])
    body = {"shell": "dir", "targets": {"selector": "*"}}
    posix = (await client.post(PREVIEW, json=body | {"cwd": "/srv"})).json()
    assert "1 of the devices runs Windows, where /srv is no absolute path." in posix["warnings"]
    windows = (await client.post(PREVIEW, json=body | {"cwd": "C:\\srv"})).json()
    assert "1 of the devices does not run Windows, where C:\\srv is no absolute path." in windows["warnings"]


# ---------------------------------------------------------------- once for each key


async def test_the_same_key_with_the_same_request_is_the_same_run(
    node: RunningNode, browse: Browse, person: MakePerson
) -> None:
    bob = await person("bob@example.test", Role.OPERATOR)
    eve = await person("eve@example.test", Role.OPERATOR)
    ids = await fleet(node, bob, 2)
    pending = rows.device(10, user_id=bob.id, trust=Trust.PENDING)
    await put(node, pending)
    client = browse(node, bob.bearer)
    key = {"idempotency-key": "deploy-1"}
    first = await client.post(RUNS, json=asked([*ids, pending.id]), headers=key)
    again = await client.post(RUNS, json=asked([pending.id, *reversed(ids)], timeout_s=3600), headers=key)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert len(await node.rows(Run)) == 1
    reused = await client.post(RUNS, json=asked(ids, command=["other"]), headers=key)
    assert (reused.status_code, reused.json()["code"]) == (409, "idempotency_key_reused")
    theirs = await fleet(node, eve, 1, first=50)
    other = await browse(node, eve.bearer).post(RUNS, json=asked(theirs), headers=key)
    assert (other.status_code, other.json()["id"] != first.json()["id"]) == (202, True)
    for bad in ("", "x" * 201, "a\tb", "é"):
        answer = await client.post(RUNS, json=asked(ids), headers={b"idempotency-key": bad.encode("latin-1")})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_idempotency_key"), bad
    assert len(await node.rows(Run)) == 2


async def test_many_requests_at_once_under_one_key_are_one_run(
    node: RunningNode, browse: Browse, person: MakePerson
) -> None:
    ada = await person()
    ids = await fleet(node, ada, 5)
    clients = [browse(node, ada.bearer) for _ in range(8)]
    body = asked(ids) | {"command": None, "script": "date", "interpreter": ["sh"]}

    async def post(client: httpx2.AsyncClient) -> httpx2.Response:
        return await client.post(RUNS, json=body, headers={"idempotency-key": "k"})

    answers = await asyncio.gather(*(post(client) for client in clients))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(await node.rows(Run)) == 1
    assert len(await node.rows(Task)) == 5


async def test_many_runs_at_once_of_one_script_all_start(node: RunningNode, browse: Browse, person: MakePerson) -> None:
    ada = await person()
    ids = await fleet(node, ada, 2)
    clients = [browse(node, ada.bearer) for _ in range(6)]
    body = {"script": "date", "interpreter": ["sh"], "targets": {"device_ids": ids}}
    answers = await asyncio.gather(*(client.post(RUNS, json=body) for client in clients))
    assert {answer.status_code for answer in answers} == {202}
    assert len(await node.rows(Run)) == 6


# ---------------------------------------------------------------- retry


async def test_a_retry_repeats_what_failed_where_it_still_may(
    node: RunningNode, browse: Browse, person: MakePerson
) -> None:
    bob = await person("bob@example.test", Role.OPERATOR)
    ids = await fleet(node, bob, 6)
    client = browse(node, bob.bearer)
    body = asked(ids, expires_s=900) | {"command": None, "script": "date", "interpreter": ["sh"]}
    run = (await client.post(RUNS, json=body)).json()
    tasks = await tasks_of(node, run["id"])
    states = ["succeeded", "failed", "lost", "timed_out", "failed", "failed"]
    async with node.db.write() as session:
        for task, state in zip(tasks, states, strict=True):
            values = {"state": state, "deadline_at": None}
            await session.execute(sa.update(Task).where(Task.id == task.id).values(values))
        await session.execute(sa.update(Device).where(Device.id == ids[3]).values(trust=Trust.QUARANTINED))
        await session.execute(sa.update(Device).where(Device.id == ids[4]).values(user_id=None))
        await session.execute(sa.delete(Device).where(Device.id == ids[5]))
    path = f"{RUNS}/{run['id']}/retry"
    failed = await client.post(path, json={"states": ["failed"]}, headers={"idempotency-key": "again"})
    assert failed.status_code == 202, failed.text
    again = await client.post(path, json={"states": ["failed", "failed"]}, headers={"idempotency-key": "again"})
    assert again.json() == failed.json()
    other = await client.post(path, json={"states": ["lost"]}, headers={"idempotency-key": "again"})
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    made = failed.json()
    assert (made["retry_of"], made["total"], made["title"], made["selector"]) == (run["id"], 1, "date", None)
    assert {(one["device_name"], one["why"]) for one in made["excluded"]} == {
        ("device-00005", "it is not among your devices any more"),
        ("device-00006", "it was deleted"),
    }
    detail = (await client.get(f"{RUNS}/{made['id']}")).json()
    assert (detail["script"], detail["expires_s"], detail["interpreter"]) == ("date", 900, ["sh"])
    everything = (await client.post(path)).json()
    assert [task.device_id for task in await tasks_of(node, everything["id"])] == [ids[1], ids[2]]
    assert "quarantined" in json.dumps(everything["excluded"])
    nothing = await client.post(path, json={"states": ["cancelled"]})
    assert (nothing.status_code, nothing.json()["code"]) == (422, "no_device_matched")
    for bad in ([], ["succeeded"], ["queued", "failed"]):
        answer = await client.post(path, json={"states": bad})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_states"), bad
    assert (await client.post(path, json={"states": ["nonsense"]})).status_code == 422


# ---------------------------------------------------------------- size


@pytest.mark.serial
async def test_a_run_on_ten_thousand_devices_is_answered_within_two_seconds(
    node: RunningNode, browse: Browse, person: MakePerson
) -> None:
    ada = await person()
    async with node.db.write() as session:
        for start in range(0, 10_000, 1_000):
            session.add_all([rows.device(n) for n in range(start, start + 1_000)])
            await session.flush()
    client = browse(node, ada.bearer)
    begun = time.perf_counter()
    answer = await client.post(RUNS, json={"command": ["uptime"], "targets": {"selector": "*"}})
    took_s = time.perf_counter() - begun
    assert (answer.status_code, answer.json()["total"]) == (202, 10_000)
    assert took_s < 2, took_s
    print(f"10,000 targets: {took_s:.2f} s")


@pytest.mark.parametrize("path", [RUNS, PREVIEW])
async def test_a_database_that_is_away_is_503_and_nothing_is_promised(
    path: str, node: RunningNode, browse: Browse, person: MakePerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await person()
    ids = await fleet(node, ada, 1)
    client = browse(node, ada.bearer)

    async def away(*_: Any, **__: Any) -> None:
        raise OSError("no route to the database")

    monkeypatch.setattr("app.tasks.targets.of_ids", away)
    answer = await client.post(path, json=asked(ids))
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert await node.rows(Run) == []
