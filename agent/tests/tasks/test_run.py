"""One task from its assignment to its acknowledged end, by a real agent."""

from deployx_protocol.tasks import TaskState
from tests.support.task_peer import Ready, TaskPeer


async def test_a_command_runs_and_its_end_is_reported(peer: TaskPeer, ready: Ready) -> None:
    await ready()
    end = await peer.do("echo", "hi")
    assert (end.state, end.exit_code, end.signal, end.code) == (TaskState.SUCCEEDED, 0, None, "")
    assert peer.printed(end.task_id) == b"hi\n"
    assert end.digest == peer.digest(end.task_id)
