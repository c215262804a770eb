"""Whatever a program prints is read again byte for byte, from a real agent through a real server: no byte is special.

Each program prints what a seed says; the test makes the same from the same seed.
"""

import base64
import hashlib
import inspect
import random
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from deployx_protocol.task_messages import STDERR, STDOUT
from tests.conftest import MakeFleet, Operate, StartServer
from tests.support.node import eventually
from tests.support.server_process import Operator

OVER_S = 240.0
SEEDS = range(6)


def writes(kind: str, seed: int) -> "Iterator[tuple[int, bytes]]":
    """What a program writes: (stream, bytes)."""
    dice = random.Random(seed)
    if kind == "line":  # one that never ends, of ``seed`` MiB
        for _ in range(seed * 16):
            yield 1, dice.randbytes(32_768).hex().encode()
    elif kind == "tiny":
        for number in range(100_000):
            yield 1, b"%d\n" % number if number % 7 else b"\0"
    else:
        for number in range(dice.randrange(40)):
            some = dice.choice(
                [b"\0", b"\n", b"\r\n", b"\xff\xfe", b"\xc3", "\u202e€😀".encode(), b"\x1b[31m", b"x" * 99]
            )
            size = dice.choice([1, 10, 4_000, 32_767, 32_768, 32_769, 90_000])
            data = some * dice.randrange(1, 20) if dice.random() < 0.5 else dice.randbytes(size)
            yield 1 + number % 2 if kind == "turns" else dice.choice([1, 2]), data


PROGRAM = f"""
import fcntl, os, random, sys, termios, time
{inspect.getsource(writes)}
def unread(stream):
    return int.from_bytes(fcntl.ioctl(stream, termios.FIONREAD, bytes(4)), sys.byteorder)

kind, seed = sys.argv[1], int(sys.argv[2])
for stream, data in writes(kind, seed):
    while data:
        data = data[os.write(stream, data):]
    while kind == "turns" and unread(stream):
        time.sleep(0.001)
"""
"""``turns`` writes to the other stream only when the first is read: so their order can be told, however slow it is."""


class Printing:
    """Runs of one device."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator

    async def start(self, kind: str, seed: int, quota_bytes: int = 1 << 28) -> str:
        """A program that prints; the run's id."""
        command = [sys.executable, "-c", PROGRAM, kind, str(seed)]
        body = {"command": command, "targets": {"selector": "*"}, "output_quota_bytes": quota_bytes}
        return str((await self._operator.ask("POST", "/runs", body))["id"])

    async def over(self, run: str) -> dict[str, Any]:
        """Its task, once all of its output is here."""
        found: list[dict[str, Any]] = []

        async def is_over() -> bool:
            found[:] = (await self._operator.ask("GET", f"/runs/{run}/tasks"))["items"]
            return bool(found[0]["finished_at"] and found[0]["output_complete"])

        await eventually(is_over, within_s=OVER_S, what="the task's end")
        assert found[0]["state"] == "succeeded"
        return found[0]

    async def chunks(self, task: dict[str, Any]) -> list[tuple[int, bytes]]:
        """All of its output in the order in which it came, chunks of the same stream as one."""
        found: list[tuple[int, bytearray]] = []
        next_seq = 0
        while next_seq < task["output_next_seq"]:
            query = {"from_seq": next_seq, "limit_bytes": 1 << 20}
            page = await self._operator.ask("GET", f"/tasks/{task['id']}/output", params=query)
            assert not page["gone"]
            for chunk in page["chunks"]:
                assert chunk["seq"] == next_seq
                next_seq += 1
                if not found or found[-1][0] != chunk["stream"]:
                    found.append((chunk["stream"], bytearray()))
                found[-1][1].extend(base64.b64decode(chunk["data"]))
        return [(stream, bytes(data)) for stream, data in found]

    async def raw(self, task: dict[str, Any], name: str) -> bytes:
        """One stream as it is downloaded."""
        answer = await self._operator.client.get(f"/tasks/{task['id']}/output/{name}")
        assert answer.is_success
        return answer.content

    async def check_loss(self, run: str, kind: str, seed: int, quota_bytes: int) -> None:
        """What went past the quota is counted, and that is said wherever output is read."""
        task = await self.over(run)
        printed = b"".join(data for _, data in writes(kind, seed))
        lost_bytes = len(printed) - quota_bytes
        assert (task["output_bytes"], task["output_lost_bytes"]) == (quota_bytes, lost_bytes)
        page = await self._operator.ask("GET", f"/tasks/{task['id']}/output", params={"limit_bytes": 1})
        assert page["lost_bytes"] == lost_bytes
        answer = await self._operator.client.get(f"/tasks/{task['id']}/output/stdout")
        assert answer.headers["x-output-lost-bytes"] == str(lost_bytes)
        assert (answer.content == printed[:quota_bytes]) is True

    async def check(self, run: str, kind: str, seed: int) -> None:
        """Hold what is read, both ways, to what was printed."""
        task = await self.over(run)
        printed = {STDOUT: bytearray(), STDERR: bytearray()}
        for stream, data in writes(kind, seed):
            printed[stream] += data
        chunks = await self.chunks(task)
        for stream, name in ((STDOUT, "stdout"), (STDERR, "stderr")):
            # Not compared by pytest: it would show what differs for minutes.
            assert (b"".join(data for one, data in chunks if one == stream) == printed[stream]) is True, (kind, seed)
            assert (await self.raw(task, name) == printed[stream]) is True, (kind, seed)
        hashes = b"".join(hashlib.sha256(data).digest() for data in printed.values())
        assert task["digest"] == hashlib.sha256(hashes).hexdigest()
        assert task["output_bytes"] == sum(map(len, printed.values()))
        assert task["output_lost_bytes"] == 0
        if kind == "turns":
            assert (chunks == list(writes(kind, seed))) is True, (kind, seed)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("line_mib", [5, pytest.param(50, marks=pytest.mark.soak)])
async def test_what_is_printed_is_read_byte_for_byte(
    line_mib: int, database_url: str, start_server: StartServer, make_fleet: MakeFleet, operate: Operate
) -> None:
    server = await start_server(database_url)
    operator = await operate(server)
    fleet = make_fleet(server.url, enrollment_token=await operator.enrollment_token())
    await fleet.start(0)
    await operator.until(1, status="online")
    printing = Printing(operator)
    kinds = [("line", line_mib), ("tiny", 0), *((kind, seed) for seed in SEEDS for kind in ("turns", "mixed"))]
    beyond = "tiny", 0, 300_001
    short = await printing.start(*beyond)
    runs = [(await printing.start(kind, seed), kind, seed) for kind, seed in kinds]
    for run, kind, seed in runs:
        await printing.check(run, kind, seed)
    await printing.check_loss(short, *beyond)
