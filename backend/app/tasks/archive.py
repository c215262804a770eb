"""All output of a run as one zip, made while it is sent.

Invariant: what is in memory does not grow with the output: at most about a mebibyte of it, what the compressor holds,
and a line of the zip's directory for each file. A device's name never becomes a path.
"""

import asyncio
import json
import re
import unicodedata
import zipfile
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from datetime import UTC
from typing import Any

import sqlalchemy as sa

from app.accounts.principal import Principal
from app.clock import iso_or_none
from app.db import Database
from app.groups.scopes import scope_of
from app.tasks import runs_repository
from app.tasks.models import Task, TaskOutput
from app.tasks.output import OutputReader, RawStream
from app.tasks.views import output_complete
from deployx_protocol.task_messages import STDERR, STDOUT

_TASKS = 200
_TOGETHER_BYTES = 1 << 20
_NAMES = {STDOUT: "stdout", STDERR: "stderr"}
Sizes = dict[int, int]
"""Stream → bytes."""


class Archive:
    """Zips of runs that their reader may see, which was checked; of each, what they see while it is made."""

    def __init__(self, db: Database, output: OutputReader) -> None:
        self._db = db
        self._output = output

    async def of_run(self, principal: Principal, run_id: str) -> AsyncIterator[bytes]:
        """The zip in pieces: ``tasks.jsonl``, then ``<device>-<end of the task's id>/stdout`` and ``/stderr``."""
        sink = _Sink()
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            with archive.open(zipfile.ZipInfo("tasks.jsonl"), "w") as lines:
                async for tasks in self._tasks(principal, run_id):
                    text = "".join(f"{json.dumps(_summary(task), ensure_ascii=False)}\n" for task in tasks)
                    await asyncio.to_thread(lines.write, text.encode())
                    yield sink.taken()
            async for tasks in self._tasks(principal, run_id):
                async for piece in self._outputs(principal, archive, sink, tasks):
                    yield piece
        yield sink.taken()

    async def _outputs(
        self, reader: Principal, archive: zipfile.ZipFile, sink: "_Sink", tasks: Sequence[Task]
    ) -> AsyncIterator[bytes]:
        sizes = await self._sizes([task.id for task in tasks if task.output_next_seq])
        for group in _together([task for task in tasks if task.id in sizes], sizes):
            if len(group) == 1 and sum(sizes[group[0].id].values()) > _TOGETHER_BYTES:
                async for piece in self._large(reader, archive, sink, group[0], sizes[group[0].id]):
                    yield piece
                continue
            contents = await self._contents([task.id for task in group])
            for task in group:
                for stream, data in sorted(contents.get(task.id, {}).items()):
                    await asyncio.to_thread(archive.writestr, _entry(task, stream, len(data)), bytes(data))
                    yield sink.taken()

    async def _large(
        self, reader: Principal, archive: zipfile.ZipFile, sink: "_Sink", task: Task, sizes: Sizes
    ) -> AsyncIterator[bytes]:
        for stream, size in sorted(sizes.items()):
            raw = RawStream(task.id, stream, task.device_name, size, complete=False, reader=reader)
            with archive.open(_entry(task, stream, size), "w") as file:
                async for piece in self._output.pieces(raw):
                    await asyncio.to_thread(file.write, piece)
                    yield sink.taken()

    async def _tasks(self, principal: Principal, run_id: str) -> AsyncIterator[list[Task]]:
        last_id = ""
        while True:
            async with self._db.read() as session:
                scope = await scope_of(session, principal)
                found = await runs_repository.pieces_of_run(session, scope, run_id, after_id=last_id, limit=_TASKS)
            tasks = list(found)
            if not tasks:
                return
            last_id = tasks[-1].id
            yield tasks

    async def _sizes(self, task_ids: Collection[str]) -> dict[str, Sizes]:
        size = sa.func.sum(sa.func.length(TaskOutput.data))
        query = sa.select(TaskOutput.task_id, TaskOutput.stream, size).where(TaskOutput.task_id.in_(task_ids))
        found: dict[str, Sizes] = {}
        async with self._db.read() as session:
            for task_id, stream, count in await session.execute(query.group_by(TaskOutput.task_id, TaskOutput.stream)):
                found.setdefault(task_id, {})[stream] = int(count)
        return found

    async def _contents(self, task_ids: Collection[str]) -> dict[str, dict[int, bytearray]]:
        columns = (TaskOutput.task_id, TaskOutput.stream, TaskOutput.data)
        query = sa.select(*columns).where(TaskOutput.task_id.in_(task_ids))
        found: dict[str, dict[int, bytearray]] = {}
        async with self._db.read() as session:
            for task_id, stream, data in await session.execute(query.order_by(TaskOutput.task_id, TaskOutput.seq)):
                found.setdefault(task_id, {}).setdefault(stream, bytearray()).extend(data)
        return found


class _Sink:
    """Takes what ``zipfile`` writes, and hands it on."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes, /) -> int:
        """Keep a piece."""
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is open."""

    def taken(self) -> bytes:
        """What was written since the last time."""
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data


def _together(tasks: Sequence[Task], sizes: dict[str, Sizes]) -> Iterator[list[Task]]:
    """Groups of tasks that are read at once: few bytes each, or one task with many."""
    group: list[Task] = []
    held = 0
    for task in tasks:
        size = sum(sizes[task.id].values())
        if group and held + size > _TOGETHER_BYTES:
            yield group
            group, held = [], 0
        group.append(task)
        held += size
    if group:
        yield group


def _entry(task: Task, stream: int, size: int) -> zipfile.ZipInfo:
    when = (task.finished_at or task.created_at).astimezone(UTC)
    entry = zipfile.ZipInfo(f"{file_name(task.device_name)}-{task.id[-8:]}/{_NAMES[stream]}", when.timetuple()[:6])
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.file_size = size
    return entry


def file_name(text: str) -> str:
    """``text`` as a part of a path: letters and digits of any alphabet, ``.``, ``_`` and ``-``, no dot in front."""
    kept = "".join(one if unicodedata.category(one)[0] in "LN" or one in "._-" else "_" for one in text)
    return re.sub(r"^\.+", "_", kept)[:100] or "_"


def _summary(task: Task) -> dict[str, Any]:
    return {
        "task_id": task.id,
        "device_id": task.device_id,
        "device_name": task.device_name,
        "state": task.state,
        "code": task.code,
        "message": task.message,
        "exit_code": task.exit_code,
        "signal": task.signal,
        "started_at": iso_or_none(task.started_at),
        "finished_at": iso_or_none(task.finished_at),
        "output_bytes": task.output_bytes,
        "output_lost_bytes": task.output_lost_bytes,
        "output_deleted_at": iso_or_none(task.output_deleted_at),
        "output_complete": output_complete(task.state, task.output_next_seq, task.output_chunks),
    }
