"""Reading what tasks printed: page by page, following, and each stream as the bytes it is.

Invariant: output is read in pieces of at most about a mebibyte, each in a transaction of its own, so that a slow reader
holds neither memory nor a database connection. What is stored only grows, until retention deletes all of it. Who reads
is on record before anything is shown.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from app.accounts.principal import Principal
from app.audit.actions import Action, Actor
from app.db import Database
from app.errors import NotFound
from app.groups.scopes import scope_of
from app.tasks import runs_repository
from app.tasks.models import Task, TaskOutput
from app.tasks.news import TaskNews
from app.tasks.schemas import OutputChunkView, OutputPage
from app.tasks.views import output_complete

_PIECE = 32
"""Chunks read at once; one has at most 32 KiB."""
_CHUNKS_MAX = 4_096
"""In one page, however small they are."""
_SKIPPED = 5_000

Note = Callable[[Actor, Action, str], Awaitable[None]]
"""Records that someone reads what belongs to the run of this id."""


@dataclass(frozen=True, slots=True)
class RawStream:
    """One stream of a task's output, as it was when it was asked for."""

    task_id: str
    stream: int
    device_name: str
    size: int
    complete: bool
    lost_bytes: int = 0
    reader: Principal | None = None
    """Who may only go on to read while they see the task; None: the server itself."""

    @property
    def etag(self) -> str:
        """Changes when there is more."""
        return f'"{self.task_id}.{self.stream}.{self.size}"'


class OutputReader:
    """Output of tasks that a principal may see; everything raises NotFound for others."""

    def __init__(self, db: Database, news: TaskNews, note: Note) -> None:
        self._db = db
        self._note = note
        self._news = news

    async def page(
        self, principal: Principal, task_id: str, *, from_seq: int, limit_bytes: int, wait_s: float = 0.0
    ) -> OutputPage:
        """Chunks from ``from_seq`` on, at least one if there is one; waits up to ``wait_s`` for it."""

        async def read() -> OutputPage:
            return await self._page(principal, task_id, from_seq, limit_bytes)

        def enough(found: OutputPage) -> bool:
            return found.next_seq != from_seq or found.complete

        return await self._news.read_until(task_id, wait_s, read, enough)

    async def _page(self, principal: Principal, task_id: str, from_seq: int, limit_bytes: int) -> OutputPage:
        chunks: list[OutputChunkView] = []
        async with self._db.read() as session:
            task = _found(await runs_repository.task(session, await scope_of(session, principal), task_id))
            stored, left, following = task.output_next_seq, limit_bytes, from_seq
            while following < stored and left > 0 and len(chunks) < _CHUNKS_MAX:
                query = _chunks(task_id).where(TaskOutput.seq >= following, TaskOutput.seq < stored).limit(_PIECE)
                rows = list(await session.execute(query))
                for row in rows:
                    if chunks and (len(row.data) > left or len(chunks) == _CHUNKS_MAX):
                        left = 0
                        break
                    chunks.append(OutputChunkView.of(row.seq, row.stream, row.data))
                    left -= len(row.data)
                    following = row.seq + 1
                if len(rows) < _PIECE and left > 0:
                    following = stored
        if chunks:
            await self._note(principal.actor, Action.OUTPUT_READ, task.run_id)
        gone = from_seq < stored and (not chunks or chunks[0].seq != from_seq)
        following = min(following, stored)
        complete = following >= stored and output_complete(task.state, stored, task.output_chunks)
        return OutputPage(
            chunks=chunks, next_seq=following, complete=complete, gone=gone, lost_bytes=task.output_lost_bytes
        )

    async def raw(self, principal: Principal, task_id: str, stream: int) -> RawStream:
        """What there is of one stream. Raises NotFound (``output_gone``) when retention deleted it."""
        async with self._db.read() as session:
            task = _found(await runs_repository.task(session, await scope_of(session, principal), task_id))
            stored = sa.select(sa.func.count(), _bytes_of(stream)).where(
                TaskOutput.task_id == task_id, TaskOutput.seq < task.output_next_seq
            )
            count, size = (await session.execute(stored)).one()
        if task.output_next_seq and not count:
            raise NotFound("The output of this task was deleted, as the server's retention says.", code="output_gone")
        await self._note(principal.actor, Action.OUTPUT_READ, task.run_id)
        complete = output_complete(task.state, task.output_next_seq, task.output_chunks)
        return RawStream(
            task_id, stream, task.device_name, int(size or 0), complete, task.output_lost_bytes, reader=principal
        )

    async def pieces(self, raw: RawStream, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from ``start`` to before ``end``, in order. Raises NotFound once the reader may not see them."""
        left = (raw.size if end is None else end) - start
        last_seq, skip = await self._position(raw, start)
        while left > 0:
            query = _chunks(raw.task_id).where(TaskOutput.stream == raw.stream, TaskOutput.seq > last_seq)
            async with self._db.read() as session:
                if raw.reader is not None:
                    _found(await runs_repository.task(session, await scope_of(session, raw.reader), raw.task_id))
                rows = list(await session.execute(query.limit(_PIECE)))
            if not rows:
                raise NotFound("The output of this task was deleted while it was read.", code="output_gone")
            last_seq = rows[-1].seq
            piece = b"".join(row.data for row in rows)[skip : skip + left]
            skip = 0
            left -= len(piece)
            yield piece

    async def _position(self, raw: RawStream, start: int) -> tuple[int, int]:
        """The chunk before the one that has the byte ``start``, and how far into that one it is."""
        last_seq = -1
        while start > 0:
            query = (
                sa.select(TaskOutput.seq, sa.func.length(TaskOutput.data))
                .where(TaskOutput.task_id == raw.task_id, TaskOutput.stream == raw.stream, TaskOutput.seq > last_seq)
                .order_by(TaskOutput.seq)
            )
            async with self._db.read() as session:
                rows = list(await session.execute(query.limit(_SKIPPED)))
            if not rows:
                break
            for seq, length in rows:
                if start < length:
                    return last_seq, start
                start -= length
                last_seq = seq
        return last_seq, start


def _chunks(task_id: str) -> sa.Select[int, int, bytes]:
    columns = (TaskOutput.seq, TaskOutput.stream, TaskOutput.data)
    return sa.select(*columns).where(TaskOutput.task_id == task_id).order_by(TaskOutput.seq)


def _bytes_of(stream: int) -> Any:
    return sa.func.sum(sa.case((TaskOutput.stream == stream, sa.func.length(TaskOutput.data)), else_=0))


def _found(task: Task | None) -> Task:
    if task is None:
        raise NotFound("There is no such task.")
    return task
