"""The journal: what it holds, what it survives, and when it is not believed."""

import logging
import os
import shutil
import sqlite3
import time
from pathlib import Path

import pytest

from deployx_agent.logs import Log
from deployx_agent.tasks.journal import FILE, KEPT_DAYS, Journal, Stage
from deployx_protocol.tasks import TaskState
from tests.support.agent_process import StartAgent
from tests.support.task_peer import Ready, TaskPeer

QUIET = Log(logging.Logger("quiet", 99))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "tasks"


def test_the_stages_of_a_task(folder: Path) -> None:
    journal = Journal(folder, QUIET)
    journal.received([("a", b"1"), ("b", b"2")])
    journal.started("a", 7, "mark")
    journal.finished([("a", b"result", b"output")])
    journal.refused("c", b"no")
    stages = {
        row.task_id: (row.stage, row.task, row.pgid, row.mark, row.result, row.output) for row in journal.unclosed()
    }
    assert stages == {
        "a": (Stage.FINISHED, b"1", 7, "mark", b"result", b"output"),
        "b": (Stage.RECEIVED, b"2", None, None, None, None),
        "c": (Stage.FINISHED, None, None, None, b"no", None),
    }
    journal.closed(["a", "c"])
    assert [row.task_id for row in journal.unclosed()] == ["b"]
    row = journal.find("a")
    assert row is not None
    assert (row.stage, row.task, row.result, row.output) == (Stage.CLOSED, None, b"result", None)
    assert journal.find("d") is None
    journal.close()
    again = Journal(folder, QUIET)
    assert (again.journal_id, again.high_water) == (journal.journal_id, 3)
    assert [row.task_id for row in again.unclosed()] == ["b"]


def test_all_or_none_are_received(folder: Path) -> None:
    journal = Journal(folder, QUIET)
    journal.received([("a", b"1")])
    with pytest.raises(sqlite3.IntegrityError):
        journal.received([("b", b"2"), ("a", b"1")])
    assert (journal.find("b"), journal.high_water) == (None, 1)


def test_ids_are_kept_and_then_forgotten_and_counted_all_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(folder, QUIET)
    journal.received([("a", b"1"), ("b", b"2")])
    journal.closed(["a"])
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + (KEPT_DAYS - 1) * 86_400)
    assert journal.prune() == 0
    monkeypatch.setattr(time, "time", lambda: now + (KEPT_DAYS + 1) * 86_400)
    assert journal.prune() == 1
    assert (journal.find("a"), journal.high_water) == (None, 2)
    assert journal.find("b") is not None, "what is not over is never forgotten"


def test_the_log_has_its_length_from_the_first_closed_task_on(folder: Path, tmp_path: Path) -> None:
    journal = Journal(folder, QUIET)
    log = folder / f"{FILE}-wal"
    journal.received([("a", b"1")])
    journal.closed(["a"])
    length = log.stat().st_size
    for number in range(30):
        journal.received([(str(number), bytes(500))])
        journal.finished([(str(number), bytes(500), bytes(100))])
        journal.closed([str(number)])
    journal.received([("b", b"2")])
    assert log.stat().st_size == length, "no sync had to write another one"
    shutil.copytree(folder, tmp_path / "killed")
    again = Journal(tmp_path / "killed", QUIET)
    assert [row.task_id for row in again.unclosed()] == ["b"]
    assert (again.journal_id, again.high_water) == (journal.journal_id, 32)


def _nonsense(path: Path) -> None:
    path.write_bytes(b"nonsense" * 1000)


def _half(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def _scratched(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(4096))


def _foreign(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE x (y)")
    database.close()


def _of_tomorrow(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()


def _open_to_all(path: Path) -> None:
    path.chmod(0o666)


def _a_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


@pytest.mark.parametrize("damage", [_nonsense, _half, _scratched, _foreign, _of_tomorrow, _open_to_all, _a_link])
def test_fault_13_a_journal_that_cannot_be_trusted_is_set_aside(
    damage: object, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(folder, QUIET)
    journal.received([(f"task-{number}", bytes(500)) for number in range(100)])
    journal.close()
    damage(folder / FILE)  # type: ignore[operator]
    logger = logging.getLogger("test.journal")
    new = Journal(folder, Log(logger))
    assert new.journal_id != journal.journal_id
    assert (new.high_water, list(new.unclosed())) == (0, [])
    assert "The journal of tasks cannot be used: " in caplog.text
    assert list(folder.glob(f"{FILE}.bad-*"))
    assert (folder / FILE).stat().st_mode & 0o077 == 0


def test_an_empty_file_is_a_new_journal(folder: Path) -> None:
    folder.mkdir()
    (folder / FILE).touch(0o600)
    assert len(Journal(folder, QUIET).journal_id) == 32


def test_what_an_old_journal_left_is_not_replayed(folder: Path) -> None:
    journal = Journal(folder, QUIET)
    journal.received([("a", b"1")])
    copy = folder / "copy"
    shutil.copy(folder / f"{FILE}-wal", copy)
    journal.close()
    (folder / FILE).unlink()
    copy.rename(folder / f"{FILE}-wal")
    new = Journal(folder, QUIET)
    assert (new.find("a"), new.high_water) == (None, 0)


async def test_fault_13_a_deleted_journal_has_a_new_id_and_runs_nothing_again(
    peer: TaskPeer, start_agent: StartAgent, tmp_path: Path, state_dir: Path
) -> None:
    agent = await start_agent(server_url=peer.origin)
    await agent.logged("Agent ready")
    peer.acknowledges = lambda update: update.state is TaskState.ACCEPTED
    task = peer.task(shell=f"echo 1 >> {tmp_path}/marker")
    await peer.submit(task)
    await peer.reported(task.task_id, TaskState.SUCCEEDED)
    await agent.end(9)
    shutil.rmtree(state_dir / "tasks")
    peer.saved[task.task_id] = TaskState.ACCEPTED
    peer.acknowledges = lambda _: True
    await start_agent(server_url=peer.origin)
    lost = await peer.reported(task.task_id, TaskState.LOST)
    assert lost.code == "not_in_journal"
    one, two = peer.registrations()
    assert one.journal_id != two.journal_id
    assert (one.journal_high_water, two.journal_high_water) == (0, 0)
    assert (tmp_path / "marker").read_text() == "1\n"


async def test_fault_13_a_restored_snapshot_runs_nothing_again(
    peer: TaskPeer, ready: Ready, tmp_path: Path, state_dir: Path
) -> None:
    agent = await ready(tasks_parallel=1)
    holds = peer.task(shell=f"until test -e {tmp_path}/go; do sleep 0.02; done")
    waits = peer.task(shell=f"echo 1 >> {tmp_path}/marker")
    await peer.assign(holds, waits)
    await peer.reported(holds.task_id, TaskState.RUNNING)
    await peer.reported(waits.task_id, TaskState.ACCEPTED)
    snapshot = tmp_path / "snapshot"
    shutil.copytree(state_dir, snapshot)
    (tmp_path / "go").touch()
    await peer.ended(waits.task_id)
    await agent.end(15)

    shutil.rmtree(state_dir)
    snapshot.rename(state_dir)
    await ready(tasks_parallel=1)
    interrupted = await peer.reported(holds.task_id, TaskState.INTERRUPTED)
    assert interrupted.code == "agent_killed"
    assert (await peer.reported(waits.task_id, TaskState.ACCEPTED, 2)).state is TaskState.ACCEPTED
    assert (await peer.do("true")).state is TaskState.SUCCEEDED, "it takes what is new"
    assert (tmp_path / "marker").read_text() == "1\n", "the server has the end of that one, and does not assign it"
    assert peer.registrations()[1].journal_high_water == 2


async def test_a_registration_says_how_much_the_journal_has_taken(peer: TaskPeer, ready: Ready) -> None:
    agent = await ready()
    await peer.do("true")
    await peer.do("true")
    await agent.end(15)
    await ready()
    first, second = peer.registrations()
    assert first.journal_id == second.journal_id
    assert (first.journal_high_water, second.journal_high_water) == (0, 2)
