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
    """("synced", path), and ("heard" or "said", message): a list as Socket.IO's events are, or the text of HTTP.

    ``trace`` may be one that is still written: what has no end of line yet is left out.
    """
    syncing: dict[str, str] = {}
    asked: dict[str, str] = {}
    """The descriptor of the call that a thread is in."""
    begun: dict[tuple[str, bool], bytes] = {}
    """Of each descriptor and direction: a frame of which more has to come."""
    for line in trace.read_text().split("\n")[:-1]:
        thread, call = line.split(None, 1)
        if call.startswith(("fdatasync(", "fsync(")):
            syncing[thread] = bytes.fromhex(call.partition("<")[2].partition(">")[0].replace("\\x", "")).decode()
        if "sync" in call and call.endswith("= 0"):
            yield "synced", syncing.pop(thread)
        named = _CALL.match(call)
        where = asked.pop(thread, "") if call.startswith("<...") else call.partition("(")[2].partition(">")[0]
        if call.endswith("<unfinished ...>"):
            asked[thread] = where
        raw = bytes.fromhex("".join(_STRING.findall(call)).replace("\\x", ""))
        if not raw or not named or named[1] not in _HEARD + _SAID:
            continue
        heard = named[1] in _HEARD
        raw = begun.pop((where, heard), b"") + raw
        if raw[:1] not in (b"\x81", b"\x82"):
            yield "heard" if heard else "said", raw.decode("latin-1")
            continue
        messages, rest = _frames(raw)
        yield from (("heard" if heard else "said", message) for message in messages)
        if rest:
            begun[where, heard] = rest


def _frames(raw: bytes) -> tuple[list[Any], bytes]:
    """The whole websocket frames in ``raw`` that are events, and what is begun of the next."""
    found: list[Any] = []
    while len(raw) >= 2:
        masked, size, at = raw[1] & 0x80, raw[1] & 0x7F, 2
        if size == 126:
            size, at = int.from_bytes(raw[2:4], "big"), 4
        if len(raw) < at + (4 if masked else 0) + size:
            break
        mask = raw[at : at + 4] if masked else bytes(4)
        at += 4 if masked else 0
        text = bytes(byte ^ mask[index % 4] for index, byte in enumerate(raw[at : at + size])).decode()
        start = text.find("[")
        if start >= 0 and text[:start].isdigit():
            found.append(json.loads(text[start:]))
        raw = raw[at + size :]
    return found, raw
