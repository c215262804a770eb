"""What `/metrics` says of tasks."""

import pytest

from app.realtime import tasks
from tests.support.node import RunningNode, eventually
from tests.support.server import Browse, MakePerson
from tests.support.work import Enter, queue


@pytest.fixture
def _measured_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "MEASURE_S", 0.2)


@pytest.mark.usefixtures("_measured_often")
async def test_tasks_are_counted_by_what_became_of_them(
    node: RunningNode, enter: Enter, browse: Browse, person: MakePerson
) -> None:
    ada = await person()
    http = browse(node, ada.bearer)

    async def says(*lines: str) -> bool:
        text = (await http.get("/metrics")).text
        return all(f"deployx_{line}\n" in text for line in lines)

    peer, device_id = await enter(before=lambda device_id: queue(node.db, [device_id]))
    (told,) = await peer.assigned()
    await eventually(lambda: says("tasks_sent_total 1.0", 'tasks{state="sent"} 1.0', 'tasks{state="queued"} 0.0'))
    await peer.write(told["task_id"], (0, 1, b"hi\n"))
    await peer.report(told["task_id"], "succeeded", exit_code=0, chunks=1)
    await eventually(lambda: says('tasks{state="sent"} 0.0'))
    assert await says('task_reports_total{state="succeeded"} 1.0', "task_output_bytes_total 3.0")
    await queue(node.db, [device_id], expires_s=-1)
    await eventually(lambda: says('tasks_reaped_total{state="expired"} 1.0'))
