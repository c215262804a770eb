"""What is on the disk before what is said and done: the agent's system calls, as strace shows them."""

import itertools
import os
import re
import signal
from pathlib import Path

from tests.support.agent_process import StartAgent, read_json
from tests.support.task_peer import TaskPeer

CALLS = "trace=fdatasync,fsync,sendto,execve"
STATES = (b'"state":"accepted"', b'"state":"running"', b'"state":"succeeded"')
_ESCAPED = re.compile(r'"((?:\\x[0-9a-f]{2})+)"')


async def test_fault_13b_each_step_is_on_the_disk_before_it_is_said_or_done(
    peer: TaskPeer, start_agent: StartAgent, tmp_path: Path, state_dir: Path
) -> None:
    first = await start_agent(server_url=peer.origin)
    await first.logged("Agent ready")
    await first.end(15)
    trace = tmp_path / "trace"
    strace = ["strace", "-f", "-y", "-x", "-qqq", "-s", "300", "-o", str(trace), "-e", CALLS]
    agent = await start_agent(server_url=peer.origin, under=strace)
    await agent.logged("Agent ready")
    task = peer.task("sh", "-c", "sleep 0.3; echo the-marker; head -c 200000 /dev/zero")
    await peer.assign(task)
    await peer.ended(task.task_id)
    await peer.do("echo", "little")
    await peer.do(script=peer.script(b"true", "sh", args=("of-a-script",)))
    os.kill(read_json(state_dir / "status.json")["pid"], signal.SIGTERM)  # strace itself takes no notice of one
    await agent.end()

    much, little, script = _split(_steps(trace.read_text()))
    assert [step for step in much if not step.startswith("said")] == [
        "latch made",
        "journal synced",  # received, and started
        "program started",
        "spool synced",
        "folder synced",
        "journal synced",  # finished
    ]
    said = [index for index, step in enumerate(much) if step.startswith("said")]
    assert said, "it was said while it ran"
    assert min(said) > much.index("journal synced")
    assert "said succeeded" not in much
    assert _done(little) == ["journal synced", "program started", "journal synced"], "little output needs one sync"
    assert _done(script) == [
        "journal synced",  # received
        "script asked for",
        "journal synced",  # started
        "program started",
        "journal synced",
    ]


def _done(steps: list[str]) -> list[str]:
    """Without what is said, and without latches, which may be made in advance."""
    return [step for step in steps if not step.startswith("said") and step != "latch made"]


def _split(steps: list[str]) -> list[list[str]]:
    """What came before each of three ends was reported."""
    steps = [step for step, _ in itertools.groupby(steps[steps.index("latch made") :])]
    parts = []
    for _ in range(3):
        end = steps.index("said succeeded")
        parts.append(steps[:end])
        steps = steps[end + 1 :]
    return parts


def _steps(trace: str) -> list[str]:
    """The trace in words. A sync and a program's start are named when they have returned, which may be on a line of its
    own."""
    steps: list[str] = []
    syncing: dict[str, str] = {}
    becoming: dict[str, str] = {}
    for line in trace.splitlines():
        thread, call = line.split(None, 1)
        if call.startswith(("fdatasync(", "fsync(")) and "/state/tasks" in call:
            of_journal = call.startswith("fdatasync(")  # SQLite's; also of the folder, when it has made a file there
            syncing[thread] = "journal" if of_journal else "spool" if ".out>" in call else "folder"
            if of_journal and "journal.db-wal" not in call:
                del syncing[thread]
        if "sync" in call and call.endswith("= 0") and thread in syncing:
            steps.append(f"{syncing.pop(thread)} synced")
        if call.startswith("execve(") and '"deployx-agent"' in call:
            steps.append("latch made")  # when it returns, the agent may have gone on
        elif call.startswith("execve(") and re.search("the-marker|little|of-a-script", call):
            becoming[thread] = "program started"
        if "execve" in call and call.endswith("= 0") and thread in becoming:
            steps.append(becoming.pop(thread))
        elif call.startswith("sendto("):
            steps += ["script asked for"] if "GET /api/agent/v1/scripts/" in call else []
            message = _unmasked(call)
            steps += ["said " + state.decode().split('"')[3] for state in STATES if state in message]
    return steps


def _unmasked(call: str) -> bytes:
    """The beginning of the websocket's frame that is sent; clients mask what they send."""
    found = _ESCAPED.search(call)
    raw = bytes.fromhex(found[1].replace("\\x", "")) if found else b""
    if len(raw) < 8 or raw[0] != 0x81:
        return b""
    at = 4 if raw[1] & 0x7F == 126 else 2
    mask = raw[at : at + 4]
    return bytes(byte ^ mask[index % 4] for index, byte in enumerate(raw[at + 4 :]))
