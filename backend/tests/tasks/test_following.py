"""Waiting for a run: what ends the wait, and that no change of a state is slept through."""

import asyncio
import time
from typing import Any

import httpx2
import pytest

from tests.support.node import RunningNode
from tests.support.server import Browse, MakePerson
from tests.support.work import Enter

RUNS = "/api/v1/runs"
LONG_S = 20


async def started(client: httpx2.AsyncClient, device_id: int) -> dict[str, Any]:
    body = {"command": ["echo", "hi"], "targets": {"device_ids": [device_id]}}
    made: dict[str, Any] = (await client.post(RUNS, json=body)).json()
    return made


async def changed(client: httpx2.AsyncClient, run_id: str, after_rev: int, wait_s: float = LONG_S) -> dict[str, Any]:
    answer = await client.get(f"{RUNS}/{run_id}", params={"after_rev": after_rev, "wait_s": wait_s})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.databases("sqlite")
async def test_a_run_is_answered_as_soon_as_it_changed(
    node: RunningNode, enter: Enter, browse: Browse, person: MakePerson
) -> None:
    client = browse(node, (await person()).bearer)
    peer, device_id = await enter()
    began = time.monotonic()
    made = await started(client, device_id)
    assert (made["online"], made["total"], made["excluded"], made["warnings"]) == (1, 1, [], [])
    [task] = await peer.assigned()
    run = await changed(client, made["id"], made["rev"])
    assert run["counts"] == {"sent": 1}
    for state in ("running", "succeeded"):
        waiting = asyncio.ensure_future(changed(client, made["id"], run["rev"]))
        await peer.report(task["task_id"], state)
        run = await waiting
        assert run["counts"] == {state: 1}
    assert (await changed(client, made["id"], run["rev"]))["finished_at"]  # nothing more will come
    assert time.monotonic() - began < LONG_S


async def test_that_a_run_is_over_is_told_at_once_and_what_came_before_with_it(
    node: RunningNode, enter: Enter, browse: Browse, person: MakePerson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.tasks.following.GATHER_S", 10.0 * LONG_S)
    client = browse(node, (await person()).bearer)
    peer, device_id = await enter()
    made = await started(client, device_id)
    [task] = await peer.assigned()
    began = time.monotonic()
    waiting = asyncio.ensure_future(changed(client, made["id"], made["rev"]))
    for state in ("running", "succeeded"):
        await peer.report(task["task_id"], state)
    run = await waiting
    assert (run["counts"], bool(run["finished_at"])) == ({"succeeded": 1}, True)
    assert time.monotonic() - began < LONG_S


async def test_output_ends_the_wait_and_so_does_its_time(
    node: RunningNode, enter: Enter, browse: Browse, person: MakePerson
) -> None:
    client = browse(node, (await person()).bearer)
    peer, device_id = await enter()
    made = await started(client, device_id)
    [task] = await peer.assigned()
    await peer.report(task["task_id"], "running")
    rev = (await client.get(f"{RUNS}/{made['id']}")).json()["rev"]
    assert (await changed(client, made["id"], rev, 0.2))["rev"] == rev
    began = time.monotonic()
    waiting = asyncio.ensure_future(changed(client, made["id"], rev))
    seq = 0
    while not waiting.done():  # what is printed before it waits does not end the wait
        seq = await peer.write(task["task_id"], (seq, 1, b"hi\n"))
    assert (await waiting)["rev"] == rev
    assert time.monotonic() - began < LONG_S
    for bad in ({"wait_s": 21}, {"wait_s": "nan"}, {"after_rev": -1}):
        assert (await client.get(f"{RUNS}/{made['id']}", params=bad)).status_code == 422, bad
