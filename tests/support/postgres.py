"""A throwaway PostgreSQL for tests: its own folder, its own port, gone afterwards.

Invariant: it never touches a PostgreSQL that is already on the machine, and it dies with the test process even if that
is killed. `initdb` refuses to run as root, so under root it and the server run as the user `postgres`.
"""

import contextlib
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

START_DEADLINE_S = 30.0
_SETTINGS = {
    "max_connections": "200",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
}
_HASTY = {"fsync": "off", "full_page_writes": "off"}
"""Nothing outlives the machine, which is half of the time that a test takes."""
_UNTIL_SYNCHRONOUS = """DO $$ BEGIN
    WHILE NOT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync') LOOP
        PERFORM pg_sleep(0.05), pg_stat_clear_snapshot();
    END LOOP;
END $$"""
_PR_SET_PDEATHSIG = 1
_SHARED_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 2 << 30


class PostgresMissing(RuntimeError):
    """There is no PostgreSQL server program on this machine."""


def programs() -> Path:
    """The folder that holds `initdb` and `postgres`, the newest version first. Raises PostgresMissing."""
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -int(path.parent.name))
    on_path = shutil.which("initdb")
    if on_path:
        candidates.insert(0, Path(on_path).resolve().parent)
    for folder in candidates:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise PostgresMissing("The tests need PostgreSQL's server programs: install the package `postgresql`.")


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing uses right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class PostgresServer:
    """One cluster. `stop` and `start` simulate an outage: port and data stay. `durable`: commits reach the disk."""

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self.folder = folder
        self._durable = durable
        self._durable = durable
        self._settings = _SETTINGS if durable else _SETTINGS | _HASTY
        self.port = free_port()
        self._bin = programs()
        self._as_user: dict[str, Any] = (
            {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        )
        self._process: subprocess.Popen[bytes] | None = None

    def create(self) -> None:
        """Make the data folder."""
        if self._as_user:
            shutil.chown(self.folder, "postgres", "postgres")
        options = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        self._run("initdb", "-D", str(self._data), *options, **self._as_user)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        arguments = [str(self._bin / "postgres"), "-D", str(self._data), "-p", str(self.port)]
        for name, value in self._settings.items():
            arguments += ["-c", f"{name}={value}"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                arguments,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                start_new_session=True,
                preexec_fn=_die_with_parent(),  # noqa: PLW1509 - calls nothing but prctl
                **self._as_user,
            )
        deadline = time.monotonic() + START_DEADLINE_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.02)

    def stop(self, *, immediate: bool = True) -> None:
        """Stop the server: at once (as a crash would), or after cutting its clients off."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGQUIT if immediate else signal.SIGINT)
        self._process.wait(timeout=30)
        self._process = None

    def end(self, number: int) -> None:
        """Send the signal ``number`` to the server and to its processes, each of which has a session of its own."""
        assert self._process is not None
        self._process.send_signal(number)  # from now on it makes no new ones
        for backend in Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(backend), number)

    @contextlib.contextmanager
    def standby(self) -> Iterator["PostgresServer"]:
        """A running copy that follows this one; until the block ends, what is committed here is on both."""
        with _folder(durable=self._durable) as folder:
            other = PostgresServer(folder, durable=self._durable)
            if self._as_user:
                shutil.chown(folder, "postgres", "postgres")
            where = ("-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres")
            copied = ("-D", str(other._data), "-R", "-X", "stream", "-c", "fast", "--no-sync")
            self._run("pg_basebackup", *where, *copied, **self._as_user)
            other.start()
            try:
                self._sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
                self._sql("SELECT pg_reload_conf()")
                self._sql(_UNTIL_SYNCHRONOUS)
                yield other
            finally:
                other.stop()

    def promote(self) -> None:
        """A standby becomes the one that takes writes."""
        self._sql("SELECT pg_promote()")

    def create_database(self, tablespace: str = "pg_default", template: str = "template1") -> str:
        """A new database like ``template``, by default empty; returns its `postgresql+asyncpg://` URL."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        where = ("-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres")
        self._run("createdb", *where, *self._copied, "-D", tablespace, "-T", template, name)
        return f"postgresql+asyncpg://postgres@127.0.0.1:{self.port}/{name}"

    def drop_database(self, url: str) -> None:
        """Remove what `create_database` made, even while clients are connected."""
        name = url.rpartition("/")[2]
        self._run("dropdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "--if-exists", "-f", name)

    def dump(self, url: str) -> Path:
        """A copy of a database as `pg_dump` makes it."""
        name = url.rpartition("/")[2]
        path = self.folder / f"{name}.dump"
        self._run("pg_dump", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-Fc", "-f", str(path), name)
        return path

    def restore(self, url: str, dump: Path) -> None:
        """Put a database back to what ``dump`` has, even while clients are connected."""
        name = url.rpartition("/")[2]
        self.drop_database(url)
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", name)
        self._run("pg_restore", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", name, str(dump))

    @contextlib.contextmanager
    def tablespace(self, folder: Path) -> Iterator[str]:
        """The name of a tablespace in ``folder``; its databases must be dropped before the block ends."""
        inside = folder / "tablespace"
        inside.mkdir()
        if self._as_user:
            shutil.chown(inside, "postgres", "postgres")
        name = f"space_{uuid.uuid4().hex[:12]}"
        self._sql(f"CREATE TABLESPACE {name} LOCATION '{inside}'")
        try:
            yield name
        finally:
            self._sql(f"DROP TABLESPACE {name}")

    def _sql(self, statement: str) -> None:
        self._run("psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-q", "-c", statement, "postgres")

    @cached_property
    def _copied(self) -> tuple[str, ...]:
        """How a database is made of a template: file by file, not page by page through the log, which costs more where
        no disk is waited for. PostgreSQL knows the other way, and a name for this one, since 15."""
        (version,) = re.findall(r"PostgreSQL\) (\d+)", self._run("postgres", "--version"))
        return ("-S", "file_copy") if int(version) >= 15 and not self._durable else ()

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _answers(self) -> bool:
        try:
            self._run("pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port))
        except RuntimeError:
            return False
        return True

    def _run(self, program: str, *arguments: str, **as_user: Any) -> str:
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [str(self._bin / program), *arguments],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
            check=False,
            **as_user,
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed ({done.returncode}): {done.stdout}{done.stderr}")
        return done.stdout


@contextlib.contextmanager
def throwaway(*, durable: bool = False) -> Iterator[PostgresServer]:
    """A running server, stopped and deleted at the end."""
    with _folder(durable=durable) as folder:
        server = PostgresServer(folder, durable=durable)
        try:
            server.create()
            server.start()
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def _folder(*, durable: bool) -> Iterator[Path]:
    # Directly in the temp folder: under root, the user `postgres` could not enter pytest's own (0700).
    folder = Path(tempfile.mkdtemp(prefix="deployx-postgres-", dir=None if durable else _memory()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _memory() -> Path | None:
    """A folder in memory with room for a cluster, or None: a new database takes a tenth of the time there."""
    if _SHARED_MEMORY.is_dir() and os.access(_SHARED_MEMORY, os.W_OK):
        return _SHARED_MEMORY if shutil.disk_usage(_SHARED_MEMORY).free >= _ROOM_BYTES else None
    return None


def _die_with_parent() -> Callable[[], None] | None:
    """On Linux, the kernel stops the server when the test process is gone, however it went."""
    if os.uname().sysname != "Linux":
        return None
    libc = ctypes.CDLL(None)  # loaded before the fork: the child may only make the call
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
