"""The agent's memory of tasks: SQLite in one file, written ahead, each commit on the disk when it returns.

Invariants: a task's id stays for `KEPT_DAYS` after its end, so a repeat is never run; a journal that cannot be trusted
is set aside and a new one gets a new id, by which the server knows that what was in flight is lost. Only one thread at
a time uses it.
"""

import os
import secrets
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from deployx_agent.logs import Log
from deployx_agent.state import durable
from deployx_agent.state.durable import Unusable

FILE = "journal.db"
KEPT_DAYS = 30
_CHECKPOINT_EACH = 16
"""After so many tasks that are closed the log is begun anew, see ``_LOG_BYTES``."""
_LOG_BYTES = 400 * 1024
"""What the log of so many tasks comes to. It gets this length once, while nobody waits: a sync of a file that grows has
the file's length to write as well, and costs twice what one that overwrites it does."""
_FORMAT = 1
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE tasks (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id TEXT NOT NULL UNIQUE,
    stage TEXT NOT NULL,
    at REAL NOT NULL,
    task BLOB,
    pgid INTEGER,
    mark TEXT,
    result BLOB,
    output BLOB
);
CREATE TABLE journal (journal_id TEXT NOT NULL);
PRAGMA user_version = {_FORMAT};
"""
_LATER = """
CREATE TABLE beginning (at REAL NOT NULL);
CREATE TABLE numbers (
    number TEXT PRIMARY KEY,
    task_id TEXT NOT NULL,
    expires_at REAL NOT NULL
) WITHOUT ROWID;
"""
"""What came to the format later. An older agent passes it over."""


Group = tuple[int, str]
"""A process group, and what identifies its leader, see ``processes.identify``."""
_NONE: Mapping[str, Group] = {}


class Stage(StrEnum):
    """How far a task has come; each is on disk before the world sees what follows."""

    RECEIVED = "received"  # it may be receipted
    STARTED = "started"  # its process group is known, and may run
    FINISHED = "finished"  # its result may be reported
    CLOSED = "closed"  # the server has the result and all output; the id and the result are kept


class Row(NamedTuple):
    """What the journal holds of one task."""

    task_id: str
    stage: Stage
    at: float
    """When it reached that stage: seconds since 1970."""
    task: bytes | None
    pgid: int | None
    mark: str | None
    """Identifies the group's leader, see ``processes.identify``."""
    result: bytes | None
    output: bytes | None
    """The whole spool, when it was small enough to be written with the result."""


_COLUMNS = ", ".join(Row._fields)


class Journal:
    """The journal in ``folder``. Raises OSError or sqlite3.Error when the folder cannot be written."""

    def __init__(self, folder: Path, log: Log) -> None:
        path = folder / FILE
        folder.mkdir(mode=0o700, exist_ok=True)
        try:
            self._database = _open(path)
        except Unusable as why:
            aside = [durable.set_aside(part) for part in _parts(path) if part.exists()]
            log.error(
                f"The journal of tasks cannot be used: {why}. It was set aside and a new one made; what was in flight "
                "counts as lost and is not run again",
                set_aside=aside[0],
            )
            self._database = _open(path)
        durable.sync_folder(folder)
        durable.sync_folder(folder.parent)
        self._log_file = path.with_name(f"{FILE}-wal")
        self._log_is_long = False
        self._since_checkpoint = 0
        self.journal_id: str = self._database.execute("SELECT journal_id FROM journal").fetchone()[0]
        """32 hexadecimal digits, random; another one means that this agent knows nothing of what went before."""
        taken = self._database.execute("SELECT seq FROM sqlite_sequence WHERE name = 'tasks'").fetchone()
        self.high_water = int(taken[0]) if taken else 0
        """How many tasks this journal has ever taken."""
        self.remembers_since: float = self._database.execute("SELECT at FROM beginning").fetchone()[0]
        """When it began, in seconds since 1970: what was signed before may have been run and forgotten."""

    def take_number(self, number: str, task_id: str, expires_at: float) -> bool:
        """Give the number of something signed to a task, for good; False if another one has it."""
        with self._transaction():
            self._database.execute("INSERT OR IGNORE INTO numbers VALUES (?, ?, ?)", (number, task_id, expires_at))
            taken = self._database.execute("SELECT task_id FROM numbers WHERE number = ?", (number,)).fetchone()
        return bool(taken[0] == task_id)

    def received(self, tasks: Iterable[tuple[str, bytes]], started: Mapping[str, Group] = _NONE) -> None:
        """Remember new tasks, all or none; of those that start at once, the group as well. Like all that follows:
        durable when it returns, raises sqlite3.Error."""
        now, rows = time.time(), []
        for task_id, task in tasks:
            stage = Stage.STARTED if task_id in started else Stage.RECEIVED
            rows.append((task_id, stage, now, task, *started.get(task_id, (None, None))))
        self._write("INSERT INTO tasks (task_id, stage, at, task, pgid, mark) VALUES (?, ?, ?, ?, ?, ?)", rows)
        self.high_water += len(rows)

    def refused(self, task_id: str, result: bytes) -> None:
        """Remember a task that was never taken, and what is reported about it."""
        with self._transaction():
            self._database.execute(
                "INSERT INTO tasks (task_id, stage, at, result) VALUES (?, ?, ?, ?)",
                (task_id, Stage.FINISHED, time.time(), result),
            )
        self.high_water += 1

    def started(self, task_id: str, pgid: int, mark: str) -> None:
        """Its process group exists and waits to be let go."""
        with self._transaction():
            self._database.execute(
                "UPDATE tasks SET stage = ?, at = ?, pgid = ?, mark = ? WHERE task_id = ?",
                (Stage.STARTED, time.time(), pgid, mark, task_id),
            )

    def finished(self, ends: Iterable[tuple[str, bytes, bytes | None]]) -> None:
        """These are over: id, result, and the spool when it is small; else it has been synced. All or none."""
        rows = [(Stage.FINISHED, time.time(), result, output, task_id) for task_id, result, output in ends]
        self._write("UPDATE tasks SET stage = ?, at = ?, result = ?, output = ? WHERE task_id = ?", rows)

    def closed(self, task_ids: Iterable[str]) -> None:
        """The server has all of it. The one write that a power cut may undo: then it is reported once more."""
        self._database.execute("PRAGMA synchronous = NORMAL")
        try:
            rows = [(Stage.CLOSED, time.time(), task_id) for task_id in task_ids]
            self._write("UPDATE tasks SET stage = ?, at = ?, task = NULL, output = NULL WHERE task_id = ?", rows)
            self._since_checkpoint += len(rows)
            if not self._log_is_long:
                self._log_is_long = True
                _lengthen(self._log_file)
            if self._since_checkpoint >= _CHECKPOINT_EACH:
                self._since_checkpoint = 0
                self._database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        finally:
            self._database.execute("PRAGMA synchronous = FULL")

    def find(self, task_id: str) -> Row | None:
        """What is known of a task, closed or not."""
        return self._one("task_id = ?", task_id)

    def led_by(self, pgid: int, mark: str) -> Row | None:
        """What is known of the task that was started in this group."""
        return self._one("pgid = ? AND mark = ?", pgid, mark)

    def task(self, task_id: str) -> bytes | None:
        """What was received, until it is closed."""
        found = self._database.execute("SELECT task FROM tasks WHERE task_id = ?", (task_id,)).fetchone()
        return found[0] if found else None

    def unclosed(self) -> Iterator[Row]:
        """Every task that the server may not know the end of, oldest first; one at a time, for they may be many."""
        rows = self._database.execute(
            f"SELECT {_COLUMNS} FROM tasks WHERE stage != ? ORDER BY seq",  # noqa: S608  # nosec B608
            (Stage.CLOSED,),
        )
        return map(_row, rows)

    def prune(self) -> int:
        """Forget what was closed, and numbers that expired, more than `KEPT_DAYS` ago; how many tasks."""
        before = time.time() - KEPT_DAYS * 86_400
        with self._transaction():
            self._database.execute("DELETE FROM numbers WHERE expires_at < ?", (before,))
            query = "DELETE FROM tasks WHERE stage = ? AND at < ?"
            return self._database.execute(query, (Stage.CLOSED, before)).rowcount

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def _one(self, which: str, *values: object) -> Row | None:
        row = self._database.execute(f"SELECT {_COLUMNS} FROM tasks WHERE {which}", values).fetchone()  # noqa: S608  # nosec B608
        return _row(row) if row else None

    def _write(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        """``statement`` for each of ``rows``, all or none. One statement is a transaction by itself."""
        if len(rows) == 1:
            self._database.execute(statement, rows[0])
            return
        with self._transaction():
            self._database.executemany(statement, rows)

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._database)


class _Transaction:
    """`BEGIN IMMEDIATE` … `COMMIT`; after an error `ROLLBACK`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._database.execute("COMMIT")
        finally:
            if self._database.in_transaction:
                with suppress(sqlite3.Error):
                    self._database.execute("ROLLBACK")


def _lengthen(log: Path) -> None:
    """Give SQLite's log its length. What lies behind its last frame counts for nothing, as it does after each
    beginning; SQLite locks the database, not this file. If the disk has no room for it, the log grows as before."""
    with suppress(OSError), os.fdopen(os.open(log, os.O_RDWR), "r+b", buffering=0) as file:
        missing = _LOG_BYTES - file.seek(0, os.SEEK_END)
        if missing > 0:
            file.write(bytes(missing))
            os.fsync(file.fileno())


def _row(values: tuple[object, ...]) -> Row:
    row = Row(*values)  # type: ignore[arg-type]
    return row._replace(stage=Stage(row.stage))


def _parts(path: Path) -> list[Path]:
    return [path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal"))]


def _open(path: Path) -> sqlite3.Connection:
    """The database at ``path``, made if there is none. Raises Unusable, OSError, sqlite3.Error."""
    if not durable.usable(path):
        for part in _parts(path)[1:]:
            part.unlink(missing_ok=True)  # what an older journal left must not be replayed into a new one
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # SQLite would ask the umask
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=32)
    try:
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        if database.execute("PRAGMA user_version").fetchone()[0] == 0:
            if database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise Unusable("it is the database of something else")
            database.executescript(_SCHEMA)
            database.execute("INSERT INTO journal VALUES (?)", (secrets.token_hex(16),))
            database.execute("COMMIT")
        _check(database)
        _add(database)
    except (Unusable, sqlite3.Error) as error:
        database.close()
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
            raise Unusable(f"it is damaged ({error})") from None
        raise
    return database


def _add(database: sqlite3.Connection) -> None:
    """What came to the format later. A journal that lacks it has run nothing that was signed."""
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'numbers'").fetchone():
        database.executescript(f"BEGIN IMMEDIATE; {_LATER}")
        database.execute("INSERT INTO beginning VALUES (?)", (time.time(),))
        database.execute("COMMIT")


def _check(database: sqlite3.Connection) -> None:
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version != _FORMAT:
        raise Unusable(f"it has format {version}, and this version of the agent reads format {_FORMAT}")
    verdict = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise Unusable(f"it is damaged ({verdict})")
    if len(database.execute("SELECT journal_id FROM journal").fetchall()) != 1:
        raise Unusable("it has lost its id")
