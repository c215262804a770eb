"""What a server says, hears and syncs, in the order of its system calls, as strace shows it."""

import asyncio
import contextlib
import json
import re
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_HEARD, _SAID = ("read", "recvfrom", "recvmsg"), ("write", "writev", "sendto", "sendmsg")
_CALLS = f"trace=fdatasync,fsync,{','.join(_HEARD + _SAID)}"
"""Which of them is used depends on the event loop."""
_CALL = re.compile(r"(?:<\.\.\. )?(\w+)")
_LONGEST = "8000"


@contextlib.asynccontextmanager
async def tracing(pid: int, trace: Path) -> AsyncIterator[None]:
    """The calls of a process and its threads are written to ``trace`` until the block ends."""
    options = ["-f", "-y", "-xx", "-s", _LONGEST, "-o", str(trace), "-e", _CALLS, "-p", str(pid)]
    strace = await asyncio.create_subprocess_exec("strace", *options, stderr=asyncio.subprocess.PIPE)
    assert strace.stderr
    try:
        async with asyncio.timeout(30):
            while b"attached" not in await strace.stderr.readline():
                assert strace.returncode is None
        yield
    finally:
        strace.send_signal(signal.SIGINT)
        await strace.communicate()


def steps(trace: Path) -> Iterator[tuple[str, Any]]:
    """("synced", path), and ("heard" or "said", message): a list as Socket.IO's events are, or the text of HTTP."""
    syncing: dict[str, str] = {}
    for line in trace.read_text().splitlines():
        thread, call = line.split(None, 1)
        if call.startswith(("fdatasync(", "fsync(")):
            syncing[thread] = bytes.fromhex(call.partition("<")[2].partition(">")[0].replace("\\x", "")).decode()
        if "sync" in call and call.endswith("= 0"):
            yield "synced", syncing.pop(thread)
        named = _CALL.match(call)
        raw = bytes.fromhex("".join(_STRING.findall(call)).replace("\\x", ""))
        if raw and named and named[1] in _HEARD:
            yield from (("heard", message) for message in _messages(raw))
        elif raw and named and named[1] in _SAID:
            yield from (("said", message) for message in _messages(raw))


def _messages(raw: bytes) -> Iterator[Any]:
    """The websocket frames in ``raw`` that are events, or all of it as text."""
    if raw[:1] not in (b"\x81", b"\x82"):
        yield raw.decode("latin-1")
        return
    while len(raw) > 2:
        masked, size, at = raw[1] & 0x80, raw[1] & 0x7F, 2
        if size == 126:
            size, at = int.from_bytes(raw[2:4], "big"), 4
        mask = raw[at : at + 4] if masked else bytes(4)
        at += 4 if masked else 0
        text = bytes(byte ^ mask[index % 4] for index, byte in enumerate(raw[at : at + size])).decode()
        start = text.find("[")
        if start >= 0 and text[:start].isdigit():
            yield json.loads(text[start:])
        raw = raw[at + size :]
