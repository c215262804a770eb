"""The latch that waits for the next task: what it serves, that nothing differs by it, and how it ends."""

import json
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

from deployx_agent.tasks.latch import does_lines
from deployx_protocol.task_messages import STDERR
from deployx_protocol.tasks import TaskState
from tests.support.agent_process import StartAgent
from tests.support.spare import spare, until, waiting
from tests.support.task_peer import Ready, TaskPeer

_SEES = (
    "import json, os, sys; print(json.dumps({'words': sys.argv[1:], 'env': dict(os.environ), 'cwd': os.getcwd(),"
    " 'input': sys.stdin.read(), 'files': sorted(os.listdir('/proc/self/fd')), 'mask': os.umask(0),"
    " 'leads': os.getsid(0) == os.getpid(), 'pid': os.getpid()}))"
)
HARD_WORDS = ["it's", "$HOME `id`", '"', "\\", "a  b", "*", "", "-n", "; exit 3", "''", "#"]


async def sees(peer: TaskPeer, *words: str, **fields: Any) -> dict[str, Any]:
    """What a program sees that is run like this."""
    end = await peer.do(sys.executable, "-c", _SEES, *words, **fields)
    assert end.state is TaskState.SUCCEEDED, peer.printed(end.task_id, STDERR)
    seen = json.loads(peer.printed(end.task_id))
    assert isinstance(seen, dict)
    assert seen["env"]["DEPLOYX_TASK_ID"] == end.task_id
    assert seen["env"]["DEPLOYX_TASK_LEADER"].startswith(f"{seen['pid']}@/")
    return seen


async def test_a_task_sees_no_difference(peer: TaskPeer, ready: Ready) -> None:
    agent, pid = await spare(peer, ready)
    served = await sees(peer, *HARD_WORDS)
    assert served["pid"] == pid, "it was not started for this task"
    await until(lambda: waiting(agent))
    made = await sees(peer, *HARD_WORDS, "ünd\nmehr")
    assert made["pid"] > pid, "what is not plain has a latch of its own"
    assert (served["words"], made["words"]) == (HARD_WORDS, [*HARD_WORDS, "ünd\nmehr"])
    for seen in (served, made):
        del seen["words"], seen["pid"], seen["env"]["DEPLOYX_TASK_ID"], seen["env"]["DEPLOYX_TASK_LEADER"]
    assert served == made


async def test_a_line_for_the_shell_is_done_by_the_one_that_waits(
    peer: TaskPeer, ready: Ready, state_dir: Path
) -> None:
    agent, pid = await spare(peer, ready)
    line = "echo $$ $0 $DEPLOYX_TASK_LEADER; cat; printenv DEPLOYX_TASK_ID; no-such-thing || exit 3"
    end = await peer.do(shell=line)
    pid = pid if does_lines() else int(peer.printed(end.task_id).split()[0])
    assert peer.printed(end.task_id).decode() == f"{pid} /bin/sh {pid}@{state_dir}/tasks\n{end.task_id}\n"
    assert b"no-such-thing: not found" in peer.printed(end.task_id, STDERR)
    assert (end.state, end.exit_code, end.code) == (TaskState.FAILED, 3, "")
    await until(lambda: waiting(agent))
    end = await peer.do(shell="exec no-such-thing")
    assert (end.exit_code, end.code) == (127, ""), "it is the line that says so"


async def test_a_program_that_cannot_be_executed_is_told_alike(peer: TaskPeer, ready: Ready, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    agent = await ready()
    own = await peer.do(str(program))
    await until(lambda: waiting(agent))
    served = await peer.do(str(program))
    for end in (own, served):
        assert (end.state, end.code, end.exit_code) == (TaskState.FAILED, "command_not_found", 127)
        assert end.message == f"The command cannot be started: {program}: not found."


async def test_a_task_has_nothing_that_the_agent_was_given(
    peer: TaskPeer, start_agent: StartAgent, tmp_path: Path
) -> None:
    given = tmp_path / "given"
    given.write_text("a secret")
    under = ["/bin/sh", "-c", f'exec 7<"{given}"; exec "$@"', "sh"]
    agent = await start_agent(server_url=peer.origin, under=under)
    await agent.logged("Agent ready - Listening for commands")
    own = await sees(peer)
    pid = (await until(lambda: waiting(agent)))[0]
    served = await sees(peer)
    assert served["pid"] == pid
    assert served["files"] == own["files"]
    assert "7" not in served["files"]


async def test_what_wants_something_of_its_own_has_a_latch_of_its_own(
    peer: TaskPeer, ready: Ready, tmp_path: Path
) -> None:
    agent, pid = await spare(peer, ready)
    assert (await sees(peer, env={"go": "on"}))["env"]["go"] == "on"
    assert (await sees(peer, cwd=str(tmp_path)))["cwd"] == str(tmp_path)
    assert waiting(agent) == [pid], "it still waits"
    cannot = await peer.do("no-such-thing")
    assert (cannot.code, waiting(agent)) == ("command_not_found", [pid])
    scripted = await peer.do(script=peer.script(b"echo $$", "sh"))
    assert peer.printed(scripted.task_id) == f"{pid}\n".encode()


async def test_one_that_somebody_has_ended_is_replaced(peer: TaskPeer, ready: Ready) -> None:
    _, pid = await spare(peer, ready)
    os.kill(pid, signal.SIGKILL)
    await until(partial(_is_over, pid))
    end = await peer.do("echo", "hi")
    assert (end.state, peer.printed(end.task_id)) == (TaskState.SUCCEEDED, b"hi\n")


async def test_it_ends_with_its_agent(peer: TaskPeer, ready: Ready) -> None:
    for number in (signal.SIGKILL, signal.SIGTERM):
        agent, pid = await spare(peer, ready)
        await agent.end(number)
        await until(partial(_is_over, pid))
        assert "bug" not in agent.log


def _is_over(pid: int) -> bool:
    """Whether its parent can see that it has ended: its memory is gone a moment before."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True
