"""One task from its assignment to its acknowledged end, by a real agent: what it gets, what is reported of it."""

import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from deployx_agent.tasks import processes
from deployx_protocol import events
from deployx_protocol.task_messages import STDERR, STDOUT, Script
from deployx_protocol.tasks import TaskState
from tests.support.task_peer import Ready, TaskPeer


async def test_a_command_runs_and_its_end_is_reported(peer: TaskPeer, ready: Ready) -> None:
    await ready()
    end = await peer.do("echo", "hi", "there; exit 3")
    assert (end.state, end.exit_code, end.signal, end.code) == (TaskState.SUCCEEDED, 0, None, "")
    assert peer.printed(end.task_id) == b"hi there; exit 3\n", "no shell reads what nobody wrote for one"
    assert (end.chunks, end.stdout_bytes, end.stderr_bytes, end.lost_bytes) == (1, 17, 0, 0)
    assert end.digest == peer.digest(end.task_id)
    assert end.duration_s is not None
    assert 0 <= end.duration_s < 30


async def test_little_output_goes_with_the_report_of_the_end(peer: TaskPeer, ready: Ready) -> None:
    await ready()
    end = await peer.do(shell="echo out; echo err >&2")
    assert {(one.stream, one.data) for one in end.output} == {(STDOUT, b"out\n"), (STDERR, b"err\n")}
    end = await peer.do(shell="head -c 9000 /dev/zero")
    assert (end.output, peer.printed(end.task_id)) == ([], bytes(9000)), "more is sent by itself"


async def test_an_older_server_is_sent_little_output_by_itself(peer: TaskPeer, ready: Ready) -> None:
    peer.reads_output_of_reports = False
    await ready()
    end = await peer.do("echo", "hi")
    assert (len(end.output), peer.printed(end.task_id)) == (1, b"hi\n")


@pytest.mark.parametrize(
    ("fields", "state", "exit_code", "number"),
    [
        ({"shell": "exit 3"}, TaskState.FAILED, 3, None),
        ({"shell": "kill -9 $$"}, TaskState.FAILED, None, 9),
        ({"shell": "exit 127"}, TaskState.FAILED, 127, None),
        ({"argv": ["true"]}, TaskState.SUCCEEDED, 0, None),
    ],
)
async def test_exit_codes_and_signals(
    fields: dict[str, Any], state: TaskState, exit_code: int | None, number: int | None, peer: TaskPeer, ready: Ready
) -> None:
    await ready()
    end = await peer.do(**fields)
    assert (end.state, end.exit_code, end.signal, end.code) == (state, exit_code, number, "")


async def test_what_a_child_gets(peer: TaskPeer, ready: Ready, tmp_path: Path, state_dir: Path) -> None:
    await ready(agent_id="till-7")
    code = (
        "import json, os, sys; print(json.dumps({'env': dict(os.environ), 'cwd': os.getcwd(),"
        " 'input': sys.stdin.read(), 'files': sorted(os.listdir('/proc/self/fd')),"
        " 'mask': os.umask(0), 'leads': os.getsid(0) == os.getpid()}))"
    )
    end = await peer.do(sys.executable, "-c", code, env={"ROLE": "web"}, cwd=str(tmp_path))
    assert end.state is TaskState.SUCCEEDED, peer.printed(end.task_id, STDERR)
    seen = json.loads(peer.printed(end.task_id))
    assert seen["env"]["ROLE"] == "web"
    assert seen["env"]["DEPLOYX_TASK_ID"] == end.task_id
    ours = {"DEPLOYX_TASK_ID", "DEPLOYX_TASK_LEADER"}
    assert not {name for name in seen["env"] if name.startswith("DEPLOYX_")} - ours
    assert set(seen["env"]) - {"PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"} == {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "ROLE"),
        *ours,
    }
    assert (seen["cwd"], seen["input"], seen["mask"], seen["leads"]) == (str(tmp_path), "", 0o022, True)
    assert seen["files"] == ["0", "1", "2", "3"], "three, and the one that lists them"


async def test_output_is_kept_byte_for_byte_and_in_order(peer: TaskPeer, ready: Ready) -> None:
    await ready()
    every = "import os, sys; os.write(1, bytes(range(256)) * 40)"
    end = await peer.do(sys.executable, "-c", every)
    assert peer.printed(end.task_id) == bytes(range(256)) * 40

    turns = await peer.do(shell="for n in 1 2 3; do echo out $n; sleep 0.1; echo err $n >&2; sleep 0.1; done")
    assert [(frame.stream, frame.data) for frame in peer.output[turns.task_id]] == [
        (stream, f"{name} {number}\n".encode())
        for number in (1, 2, 3)
        for stream, name in ((STDOUT, "out"), (STDERR, "err"))
    ]
    assert turns.digest == peer.digest(turns.task_id)


async def test_streams_that_always_take_turns_make_few_chunks(peer: TaskPeer, ready: Ready) -> None:
    await ready()
    code = "import os\nfor n in range(20_000): os.write(1, b'out\\n'); os.write(2, b'err\\n')"
    end = await peer.do(sys.executable, "-c", code)
    assert peer.printed(end.task_id) == b"out\n" * 20_000
    assert peer.printed(end.task_id, STDERR) == b"err\n" * 20_000
    assert end.chunks < 2_000


async def test_output_comes_while_the_task_runs(peer: TaskPeer, ready: Ready) -> None:
    await ready()
    task = peer.task(shell="echo first; read -r line < /dev/zero", timeout_s=600)
    await peer.assign(task)
    await peer.told(lambda: peer.printed(task.task_id) == b"first\n")
    assert peer.states(task.task_id)[-1] is TaskState.RUNNING
    await peer.cancel(task.task_id)
    await peer.ended(task.task_id)


async def test_output_past_the_quota_is_counted_and_the_task_goes_on(peer: TaskPeer, ready: Ready) -> None:
    await ready()
    end = await peer.do(shell="head -c 300000 /dev/zero; echo last >&2", output_quota_bytes=100_000)
    assert (end.state, end.stdout_bytes, end.stderr_bytes, end.lost_bytes) == (TaskState.SUCCEEDED, 100_000, 0, 200_005)
    assert peer.printed(end.task_id) == bytes(100_000)
    assert end.digest == peer.digest(end.task_id)


async def test_a_grandchild_that_keeps_the_pipe_holds_nothing_up(peer: TaskPeer, ready: Ready) -> None:
    await ready()
    end = await peer.do(shell="sleep 300 & echo $!")
    os.kill(int(peer.printed(end.task_id)), signal.SIGKILL)  # it is there: who starts a daemon wants to have it
    assert (end.state, end.exit_code) == (TaskState.SUCCEEDED, 0)
    assert end.duration_s is not None
    assert end.duration_s < 10


SCRIPT = b'#!/bin/sh\necho "$0" >&2\nls -l "$0" | cut -c1-10\necho script of $# words: "$@"\n'


async def test_a_script_is_fetched_checked_run_and_removed(peer: TaskPeer, ready: Ready, state_dir: Path) -> None:
    await ready()
    end = await peer.do(script=peer.script(SCRIPT, "sh", args=("a b", "c")))
    assert end.state is TaskState.SUCCEEDED
    assert peer.printed(end.task_id) == b"-rwx------\nscript of 2 words: a b c\n"
    place = Path(peer.printed(end.task_id, STDERR).decode().strip())
    assert state_dir in place.parents
    assert not place.parent.exists()


async def test_a_script_with_another_hash_never_runs(peer: TaskPeer, ready: Ready, tmp_path: Path) -> None:
    await ready()
    marker = tmp_path / "ran"
    script = peer.script(f"touch {marker}".encode(), "sh")
    peer.scripts[script.sha256] = f"touch {marker} # changed".encode()
    end = await peer.do(script=script)
    assert (end.state, end.code) == (TaskState.FAILED, "script_unavailable")
    assert end.message == "The script cannot be fetched: its hash is wrong."
    gone = await peer.do(script=Script(sha256="0" * 64, size=1, interpreter=["sh"]))
    assert (gone.code, gone.message) == ("script_unavailable", "The script cannot be fetched: the server answered 404.")
    assert not marker.exists()


CANNOT_START = [
    ({"argv": ["no-such-thing"]}, "command_not_found", "There is no program 'no-such-thing' on this machine"),
    ({"argv": ["no\nsuch" + "\u202e" + "x" * 2_000]}, "command_not_found", "There is no program 'no\\nsuch\\u202exxx"),
    ({"argv": ["/etc/passwd"]}, "not_permitted", "'/etc/passwd' cannot be executed"),
    ({"argv": ["/etc"]}, "not_permitted", "'/etc' cannot be executed"),
    ({"argv": []}, "start_failed", "The command is empty"),
    ({}, "start_failed", "The task must be one of a command, a shell line and a script."),
    ({"argv": ["true"], "shell": "true"}, "start_failed", "The task must be one of"),
    ({"argv": ["true"], "cwd": "/no/such"}, "cwd_not_found", "There is no folder '/no/such' on this machine."),
    ({"argv": ["true"], "run_as": "nobody-here"}, "user_not_found", "There is no user 'nobody-here'"),
    ({"argv": ["true"], "env": {"A-B": "c"}}, "start_failed", "'A-B' cannot name a variable"),
]


@pytest.mark.parametrize(("fields", "code", "words"), CANNOT_START)
async def test_what_cannot_start_says_why(
    fields: dict[str, Any], code: str, words: str, peer: TaskPeer, ready: Ready
) -> None:
    await ready()
    end = await peer.do(**fields)
    assert (end.state, end.code, end.exit_code, end.duration_s) == (TaskState.FAILED, code, None, None)
    assert words in end.message
    assert TaskState.RUNNING not in peer.states(end.task_id)


async def test_an_interpreter_that_is_missing(peer: TaskPeer, ready: Ready) -> None:
    await ready()
    end = await peer.do(script=peer.script(b"x", "no-such-shell"))
    assert (end.state, end.code) == (TaskState.FAILED, "interpreter_not_found")


async def test_a_program_that_the_system_refuses(peer: TaskPeer, ready: Ready, tmp_path: Path) -> None:
    await ready()
    program = tmp_path / "program"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    end = await peer.do(str(program))
    assert (end.state, end.code, end.exit_code) == (TaskState.FAILED, "command_not_found", 127)
    assert end.message.startswith("The command cannot be started: ")


async def test_a_task_that_takes_too_long_is_ended_with_all_its_processes(
    peer: TaskPeer, ready: Ready, tmp_path: Path
) -> None:
    await ready()
    end = await peer.do(shell=f"sleep 307 & echo $$ > {tmp_path}/group; sleep 307", timeout_s=0.3)
    assert (end.state, end.exit_code, end.signal) == (TaskState.TIMED_OUT, None, 15)
    assert processes.members(int((tmp_path / "group").read_text())) == []


async def test_cancel_kills_what_does_not_listen(peer: TaskPeer, ready: Ready) -> None:
    await ready()
    task = peer.task(shell="trap '' TERM; echo deaf; while :; do sleep 1; done", timeout_s=600)
    await peer.assign(task)
    await peer.told(lambda: peer.printed(task.task_id))
    await peer.cancel(task.task_id)
    end = await peer.ended(task.task_id)
    assert (end.state, end.signal) == (TaskState.CANCELLED, 9)


async def test_what_is_not_for_this_agent_or_too_late(peer: TaskPeer, ready: Ready, tmp_path: Path) -> None:
    await ready()
    line = f"touch {tmp_path}/ran"
    for fields, state, code in (
        ({"agent_id": "other"}, TaskState.FAILED, "wrong_device"),
        ({"expires_in_s": 0}, TaskState.EXPIRED, ""),
        ({"known": True}, TaskState.LOST, "not_in_journal"),
    ):
        task = peer.task(shell=line, **fields)
        await peer.assign(task)
        end = await peer.ended(task.task_id)
        assert (end.state, end.code) == (state, code)
        again = peer.task(shell=line, task_id=task.task_id)  # whatever the server says later, it was answered
        await peer.assign(again)
        assert (await peer.reported(task.task_id, state, 2)).state is state
    assert not (tmp_path / "ran").exists()


async def test_what_cannot_be_read_is_refused_by_its_id(peer: TaskPeer, ready: Ready) -> None:
    agent = await ready()
    bad = {**peer.task("true").to_json(), "timeout_s": "soon"}
    await peer.sio.emit(events.TASK_ASSIGNED, {"tasks": [bad, 7, {"task_id": "../../etc"}]})
    end = await peer.ended(bad["task_id"])
    assert (end.state, end.code) == (TaskState.FAILED, "start_failed")
    assert "timeout_s" in end.message
    nonsenses: tuple[Any, ...] = (None, [], {"tasks": 7}, {"task_ids": 7})
    for nonsense in nonsenses:
        for event in (events.TASK_ASSIGNED, events.TASK_CANCEL, events.TASK_ACKNOWLEDGED):
            await peer.sio.emit(event, nonsense)
    assert (await peer.do("true")).state is TaskState.SUCCEEDED
    assert "bug" not in agent.log


async def test_one_called_off_before_it_was_heard_of(peer: TaskPeer, ready: Ready, tmp_path: Path) -> None:
    await ready()
    task = peer.task(shell=f"touch {tmp_path}/ran")
    await peer.cancel(task.task_id)
    assert (await peer.ended(task.task_id)).state is TaskState.CANCELLED
    await peer.assign(task)
    await peer.reported(task.task_id, TaskState.CANCELLED, 2)
    assert not (tmp_path / "ran").exists()


async def test_the_log_names_tasks_and_never_their_output(peer: TaskPeer, ready: Ready) -> None:
    agent = await ready()
    for _ in range(10):  # on a machine that is busy one may take longer
        end = await peer.do("echo", "a secret")
        await agent.logged(f"Task ended  task_id={end.task_id}")
        if f"Task started  task_id={end.task_id}" not in agent.log:
            break
    quick = rf"\[INFO\] Task ended  task_id={end.task_id} state=succeeded exit_code=0 duration_s=\S+ pgid=\d+"
    assert re.search(quick, agent.log), "one line for what ends at once"
    end = await peer.do("sleep", "0.3")
    await agent.logged(f"Task ended  task_id={end.task_id}")
    assert re.search(rf"\[INFO\] Task started  task_id={end.task_id} pgid=\d+", agent.log)
    assert "secret" not in agent.log
