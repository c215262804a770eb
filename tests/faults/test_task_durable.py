"""What the server answers is on its disk: each promise, assignment and acknowledgement comes after a sync of what it is
about. (The agent's part: ``agent/tests/tasks/test_durable.py``.)"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployx_protocol import events
from tests.faults.conftest import MakeScene
from tests.support.marked_runs import Figures
from tests.support.node import eventually
from tests.support.traced import steps, tracing

STATES = ("accepted", "running", "succeeded")


@pytest.mark.databases("sqlite")
async def test_fault_13b_the_server_answers_when_it_is_on_the_disk(make_scene: MakeScene, tmp_path: Path) -> None:
    scene = await make_scene()
    runs = scene.marked_runs("runs")
    trace = tmp_path / "trace"
    async with tracing(scene.server.pid, trace):
        await runs.start(output_bytes=2_000, lasts_s=2.0)  # the other is accepted while this one is at it
        await runs.start()
        tasks = await runs.settled()
        ids = [task["id"] for task in tasks]
        wanted: set[Any] = {"run", "claim", (ids[1], "accepted"), ("output", ids[0])}
        wanted |= {*((id, "succeeded") for id in ids), *((ids[0], state) for state in STATES[1:])}
        await eventually(lambda: _confirmed(trace) >= wanted, what="the last answer")  # which comes after its commit
    assert runs.figures(tasks) == Figures()


def _confirmed(trace: Path) -> set[Any]:
    """What the server said that it has, each after a sync of it."""
    synced = 0
    heard: dict[Any, int] = {}
    confirmed: set[Any] = set()
    for at, (kind, what) in enumerate(steps(trace), 1):
        if kind == "synced":
            synced = at if str(what).endswith("deployx.db-wal") else synced
        elif kind == "heard":
            heard |= dict.fromkeys(_claims(what), at)
        else:
            for claim in _answers(what):
                assert heard.get(claim, at) < synced, f"{claim} was answered at {at}, and synced at {synced} at last"
                confirmed.add(claim)
                if claim == "run":
                    heard["claim"] = at
    return confirmed


def _claims(message: Any) -> Iterator[Any]:
    """What somebody wants to have saved."""
    match message:
        case [events.TASK_UPDATES, {"updates": updates}]:
            yield from ((update["task_id"], update["state"]) for update in updates)
        case [events.TASK_OUTPUT, {"task_id": task_id}]:
            yield "output", task_id
        case str() if message.startswith("POST /api/v1/runs "):
            yield "run"


def _answers(message: Any) -> Iterator[Any]:
    """What is said to be saved; a task that is assigned was claimed, once its run was promised."""
    match message:
        case [events.TASK_ACKNOWLEDGED, {"updates": updates, "output": output}]:
            yield from ((update["task_id"], update["state"]) for update in updates)
            yield from (("output", saved["task_id"]) for saved in output)
        case [events.TASK_ASSIGNED, _]:
            yield "claim"
        case str() if message.startswith("HTTP/1.1 202"):
            yield "run"
