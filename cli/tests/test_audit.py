"""`deployx audit` against the server as it is, and against a record that someone with the database has changed."""

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deployx_cli.audit_chain import GENESIS, Broken, Head, verify
from tests.support.shell import PASSWORD, RealServer, signed_in


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server's data."""
    return tmp_path_factory.mktemp("server")


@pytest.fixture
def real(folder: Path) -> Iterator[RealServer]:
    """A server that runs."""
    server = RealServer(folder)
    server.command("create-admin", "ada@example.test", stdin=f"{PASSWORD}\n")
    with contextlib.ExitStack() as stack:
        stack.callback(server.stop)
        server.start()
        yield server


@contextlib.contextmanager
def database(folder: Path) -> Iterator[sqlite3.Connection]:
    """What somebody has who has the server's disk."""
    with contextlib.closing(sqlite3.connect(folder / "deployx.db", timeout=10)) as connection:
        yield connection
        connection.commit()


def forge(connection: sqlite3.Connection) -> None:
    """Change an entry and give all of them the hashes that they should have: what an attacker with patience does."""
    connection.execute("UPDATE audit_entries SET actor = 'eve' WHERE seq = 2")
    rehash(connection, chained=True)


def rehash(connection: sqlite3.Connection, *, chained: bool) -> None:
    """Give all entries the hash that they should have, and, if ``chained``, that of the one before."""
    connection.row_factory = sqlite3.Row
    at = GENESIS
    for row in connection.execute("SELECT * FROM audit_entries ORDER BY seq").fetchall():
        entry = dict(row) | {"at": row["at"].replace(" ", "T") + "Z", "details": json.loads(row["details"])}
        entry["prev_hash"] = at if chained else row["prev_hash"]
        del entry["hash"]
        text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        at = hashlib.sha256(text.encode()).hexdigest()
        connection.execute(
            "UPDATE audit_entries SET prev_hash = ?, hash = ? WHERE seq = ?", (entry["prev_hash"], at, row["seq"])
        )
    connection.execute("UPDATE audit_head SET hash = ?", (at,))


def swap(connection: sqlite3.Connection) -> None:
    """Let the second and the third entry change places."""
    for old, new in ((2, -1), (3, 2), (-1, 3)):
        connection.execute("UPDATE audit_entries SET seq = ? WHERE seq = ?", (new, old))


def swap_and_hash_again(connection: sqlite3.Connection) -> None:
    """The same, each with the hash that it should have, but not with that of the one before."""
    swap(connection)
    rehash(connection, chained=False)


def test_threat_21_history_cannot_be_edited_unseen(
    real: RealServer, folder: Path, deployx: Any, tmp_path: Path
) -> None:
    signed_in(deployx, real)
    whole = deployx("audit", "verify")
    assert (whole.returncode, whole.stderr) == (0, "")
    assert whole.stdout.startswith("The record is whole: ")
    listed = deployx("audit", "list", "--action", "user", "--json")
    assert [entry["action"] for entry in json.loads(listed.stdout)][-1] == "user.created"
    assert "user.created" in deployx("audit", "list").stdout
    exported = deployx("audit", "export").stdout
    (tmp_path / "audit.jsonl").write_text(exported)
    assert deployx("audit", "verify", str(tmp_path / "audit.jsonl")).returncode == 0

    tampering: list[tuple[Callable[[sqlite3.Connection], Any], str]] = [
        (lambda db: db.execute("UPDATE audit_entries SET actor = 'eve' WHERE seq = 2"), "Entry 2 was changed"),
        (lambda db: db.execute("DELETE FROM audit_entries WHERE seq = 2"), "After entry 1 comes 3"),
        (swap, "Entry 2 was changed"),
        (swap_and_hash_again, "Entry 2 does not follow entry 1"),
        (lambda db: db.execute("DELETE FROM audit_entries WHERE seq = 1"), "begins at entry 2"),
        (lambda db: db.execute("DELETE FROM audit_entries WHERE seq > 2"), "its end was cut off"),
        (forge, "the record was written anew"),
    ]
    for tamper, expected in tampering:
        with database(folder) as connection:
            saved = connection.execute("SELECT * FROM audit_entries").fetchall()
            head = connection.execute("SELECT seq, hash FROM audit_head").fetchone()
            tamper(connection)
        found = deployx("audit", "verify")
        assert (found.returncode, found.stdout) == (1, ""), expected
        assert expected in found.stderr
        with database(folder) as connection:
            connection.execute("DELETE FROM audit_entries")
            connection.executemany(f"INSERT INTO audit_entries VALUES ({','.join('?' * len(saved[0]))})", saved)
            connection.execute("UPDATE audit_head SET seq = ?, hash = ?", head)
    again = deployx("audit", "verify", "--json")
    assert again.returncode == 0, again.stderr
    told = json.loads(again.stdout)["head"]
    (tmp_path / "audit.jsonl").write_text(exported)
    cut = deployx("audit", "verify", str(tmp_path / "audit.jsonl"), "--head", f"9999:{told.partition(':')[2]}")
    assert (cut.returncode, "its end was cut off" in cut.stderr) == (1, True)


def test_what_cannot_be_verified_is_said(real: RealServer, deployx: Any, tmp_path: Path) -> None:
    signed_in(deployx, real)
    assert deployx("audit", "verify", "--head", "1:2").returncode == 2
    missing = deployx("audit", "verify", str(tmp_path / "nothing"))
    assert (missing.returncode, len(missing.stderr.splitlines())) == (1, 1)
    assert deployx("audit", "list", "--since", "yesterday").returncode == 2
    heads = deployx.login_file.with_name("audit-heads.json")
    heads.write_text("{")
    damaged = deployx("audit", "verify")
    assert (damaged.returncode, "damaged" in damaged.stderr) == (1, True)
    real.command("set-role", "ada@example.test", "operator")
    assert deployx("audit", "list").returncode == 77


def line(seq: int, prev_hash: str, **values: Any) -> tuple[str, str]:
    """An entry as it is exported, and its hash."""
    entry = {"seq": seq, "prev_hash": prev_hash, "action": "group.created", "details": {"name": "北京"}} | values
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return json.dumps(entry | {"hash": digest}), digest


def chain(*numbers: int, prev_hash: str = GENESIS, **last: Any) -> list[str]:
    """Entries that follow each other; ``last`` is what is in the last one."""
    lines = []
    for number in numbers:
        text, prev_hash = line(number, prev_hash, **(last if number == numbers[-1] else {}))
        lines.append(text)
    return lines


def test_nothing_is_whole() -> None:
    assert verify([]).head == Head(0, GENESIS)
    with pytest.raises(Broken, match="its end was cut off"):
        verify([], [Head(1, "a" * 64)])


def test_a_pruned_record_says_so_itself() -> None:
    pruned = {"action": "audit.pruned", "details": {"through_seq": 6, "through_hash": "b" * 64}}
    found = verify(chain(7, 8, 9, prev_hash="b" * 64, **pruned))
    assert (found.first, found.count, found.head.seq) == (7, 3, 9)
    for wrong in (chain(8, 9, prev_hash="b" * 64, **pruned), chain(7, 8, 9, prev_hash="b" * 64)):
        with pytest.raises(Broken, match="nothing in it says"):
            verify(wrong)


@pytest.mark.parametrize(
    "text", ["", "x", "1", "[]", "{}", '{"hash": 1}', '{"seq": "1", "hash": ""}', line(0, GENESIS)[0]]
)
def test_what_is_no_entry_is_refused(text: str) -> None:
    with pytest.raises(Broken):
        verify([text])
