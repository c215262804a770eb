"""Reading output: pages, following, each stream as bytes and in ranges, a zip of all."""

import asyncio
import base64
import io
import json
import random
import time
import tracemalloc
import zipfile
from typing import Any

import pytest
import sqlalchemy as sa

from app.accounts.service import AccountService
from app.clock import utcnow
from app.db import Database
from app.tasks.archive import file_name
from app.tasks.models import Task, TaskOutput
from app.tasks.news import TaskNews
from app.tasks.output import OutputReader
from app.tasks.schemas import OutputPage
from tests.support import rows, work
from tests.support.node import RunningNode
from tests.support.server import Browse, MakePerson
from tests.support.work import Enter

RUNS = "/api/v1/runs"
TASKS = "/api/v1/tasks"


async def printed(
    db: Database, owner_id: int, chunks: list[tuple[int, bytes]], state: str = "succeeded", **values: Any
) -> str:
    """A task that has printed ``chunks`` (stream, bytes); its id."""
    run = work.run(user_id=owner_id)
    device = rows.device(random.randrange(10**9))
    fields = {
        "state": state,
        "output_next_seq": len(chunks),
        "output_chunks": len(chunks) if state == "succeeded" else None,
        "output_bytes": sum(len(data) for _, data in chunks),
        **values,
    }
    async with db.write() as session:
        session.add_all([run, device])
        await session.flush()
        task = work.task(run, device.id, **fields)
        session.add(task)
        await session.flush()
        if chunks:
            made = [
                {"task_id": task.id, "seq": seq, "stream": stream, "data": data}
                for seq, (stream, data) in enumerate(chunks)
            ]
            await session.execute(sa.insert(TaskOutput), made)
    return task.id


def data_of(page: dict[str, Any]) -> list[tuple[int, int, bytes]]:
    return [(one["seq"], one["stream"], base64.b64decode(one["data"])) for one in page["chunks"]]


async def test_output_is_read_in_order_and_from_where_one_was(
    node: RunningNode, browse: Browse, person: MakePerson
) -> None:
    ada = await person()
    chunks = [(1 + n % 2, bytes([n % 256]) * (1 + n * 7 % 300)) for n in range(60)]
    task_id = await printed(node.db, ada.id, chunks)
    client = browse(node, ada.bearer)
    for limit in (1, 700, 1 << 20):
        found: list[tuple[int, int, bytes]] = []
        from_seq = 0
        while True:
            query = {"from_seq": from_seq, "limit_bytes": limit}
            page = (await client.get(f"{TASKS}/{task_id}/output", params=query)).json()
            assert page["gone"] is False
            assert sum(len(data) for _, _, data in data_of(page)) <= limit or len(page["chunks"]) == 1
            found += data_of(page)
            from_seq = page["next_seq"]
            if page["complete"]:
                break
        assert found == [(seq, stream, data) for seq, (stream, data) in enumerate(chunks)]
    beyond = (await client.get(f"{TASKS}/{task_id}/output", params={"from_seq": 10_000})).json()
    assert (beyond["chunks"], beyond["next_seq"], beyond["complete"]) == ([], 60, True)
    for bad in ({"from_seq": -1}, {"limit_bytes": 0}, {"limit_bytes": 2 << 20}, {"wait_s": 21}, {"wait_s": "nan"}):
        assert (await client.get(f"{TASKS}/{task_id}/output", params=bad)).status_code == 422, bad


@pytest.mark.databases("sqlite")
async def test_a_follower_hears_of_output_when_it_is_saved_and_of_its_end(
    node: RunningNode, enter: Enter, browse: Browse, person: MakePerson
) -> None:
    ada = await person()
    peer, device_id = await enter()
    client = browse(node, ada.bearer)
    body = {"shell": "x", "targets": {"device_ids": [device_id]}}
    run = (await client.post(RUNS, json=body)).json()
    (told,) = await peer.assigned()
    task_id = told["task_id"]
    await peer.report(task_id, "running")

    async def follow(from_seq: int) -> tuple[dict[str, Any], float]:
        begun = time.monotonic()
        query = {"from_seq": from_seq, "wait_s": 20}
        page = (await client.get(f"{TASKS}/{task_id}/output", params=query)).json()
        return page, time.monotonic() - begun

    waiting = asyncio.create_task(follow(0))
    await peer.write(task_id, (0, 1, b"caf\xe9\n"), (1, 2, b"\x00\xff"))
    page, took_s = await waiting
    assert data_of(page) == [(0, 1, b"caf\xe9\n"), (1, 2, b"\x00\xff")]
    assert (page["next_seq"], page["complete"]) == (2, False)
    assert took_s < 10
    waiting = asyncio.create_task(follow(2))
    await peer.report(task_id, "succeeded", exit_code=0, duration_s=0.1, chunks=2, stdout_bytes=5, stderr_bytes=2)
    page, took_s = await waiting
    assert (page["chunks"], page["next_seq"], page["complete"]) == ([], 2, True)
    assert took_s < 10
    view = (await client.get(f"{RUNS}/{run['id']}/tasks")).json()["items"][0]
    assert (view["output_complete"], view["output_bytes"]) == (True, 7)


@pytest.mark.databases("sqlite")
async def test_a_follower_of_nothing_is_answered_when_its_time_is_over(
    node: RunningNode, browse: Browse, person: MakePerson
) -> None:
    ada = await person()
    task_id = await printed(node.db, ada.id, [], state="running")
    begun = time.monotonic()
    page = (await browse(node, ada.bearer).get(f"{TASKS}/{task_id}/output", params={"wait_s": 0.5})).json()
    assert (page["chunks"], page["next_seq"], page["complete"]) == ([], 0, False)
    assert 0.5 <= time.monotonic() - begun < 10


async def test_a_lost_hint_costs_a_follower_a_poll_and_a_stopping_server_keeps_nobody_waiting(
    db: Database, person: MakePerson, accounts: AccountService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.tasks.news.POLL_S", 0.05)
    ada = await accounts.authenticate_token((await person()).token)
    news = TaskNews()

    async def note(*_: Any) -> None:
        pass

    reader = OutputReader(db, news, note)
    task_id = await printed(db, ada.user_id, [], state="running")

    async def follow(from_seq: int) -> OutputPage:
        return await reader.page(ada, task_id, from_seq=from_seq, limit_bytes=100, wait_s=20)

    waiting = asyncio.create_task(follow(0))
    async with db.write() as session:
        session.add(TaskOutput(task_id=task_id, seq=0, stream=1, data=b"x"))
        await session.execute(sa.update(Task).values(output_next_seq=1))
    async with asyncio.timeout(10):
        assert (await waiting).next_seq == 1
    waiting = asyncio.create_task(follow(1))
    news.close()
    async with asyncio.timeout(10):
        assert (await waiting).chunks == []


@pytest.mark.databases("sqlite")
async def test_output_that_was_announced_and_has_not_come_is_not_complete(
    node: RunningNode, browse: Browse, person: MakePerson
) -> None:
    ada = await person()
    task_id = await printed(node.db, ada.id, [(1, b"a")], output_chunks=3, output_lost_bytes=7)
    client = browse(node, ada.bearer)
    assert (await client.get(f"{TASKS}/{task_id}/output")).json()["complete"] is False
    raw = await client.get(f"{TASKS}/{task_id}/output/stdout")
    assert (raw.content, raw.headers["x-output-complete"], raw.headers["x-output-lost-bytes"]) == (b"a", "false", "7")
    assert (await client.get(f"{TASKS}/{task_id}")).json()["output_deleted_at"] is None


async def test_output_that_retention_deleted_is_said_to_be_gone(
    node: RunningNode, browse: Browse, person: MakePerson
) -> None:
    ada = await person()
    task_id = await printed(node.db, ada.id, [(1, b"a"), (1, b"b")], output_deleted_at=utcnow(), output_lost_bytes=5)
    async with node.db.write() as session:
        await session.execute(sa.delete(TaskOutput))
    client = browse(node, ada.bearer)
    page = (await client.get(f"{TASKS}/{task_id}/output", params={"wait_s": 20})).json()
    assert page == {"chunks": [], "next_seq": 2, "complete": True, "gone": True, "lost_bytes": 5}
    view = (await client.get(f"{TASKS}/{task_id}")).json()
    assert view["output_deleted_at"].startswith(f"{utcnow():%Y-%m-}")
    assert view["output_bytes"] == 2
    raw = await client.get(f"{TASKS}/{task_id}/output/stdout")
    assert (raw.status_code, raw.json()["code"]) == (404, "output_gone")


async def test_a_stream_is_the_bytes_it_was_whole_or_in_ranges(
    node: RunningNode, browse: Browse, person: MakePerson
) -> None:
    ada = await person()
    chance = random.Random(5)
    chunks = [(chance.choice((1, 1, 2)), chance.randbytes(chance.randrange(1, 3_000))) for _ in range(150)]
    task_id = await printed(node.db, ada.id, chunks)
    client = browse(node, ada.bearer)
    for name, stream in (("stdout", 1), ("stderr", 2)):
        expected = b"".join(data for one, data in chunks if one == stream)
        path = f"{TASKS}/{task_id}/output/{name}"
        whole = await client.get(path)
        assert (whole.status_code, whole.content == expected) == (200, True)
        assert whole.headers["content-length"] == str(len(expected))
        assert whole.headers["accept-ranges"] == "bytes"
        assert whole.headers["x-output-complete"] == "true"
        assert whole.headers["content-type"] == "application/octet-stream"
        assert whole.headers["content-disposition"].startswith("attachment;")
        size = len(expected)
        for start in [0, 1, size - 1, *(chance.randrange(size) for _ in range(3))]:
            end = chance.randrange(start, size)
            for header, wanted in (
                (f"bytes={start}-{end}", (start, end + 1)),
                (f"bytes={start}-", (start, size)),
                (f"bytes={start}-{size * 2}", (start, size)),
                (f"bytes=-{size - start}", (start, size)),
            ):
                part = await client.get(path, headers={"range": header})
                assert part.status_code == 206, header
                assert part.content == expected[slice(*wanted)], header
                assert part.headers["content-range"] == f"bytes {wanted[0]}-{wanted[1] - 1}/{size}"
        late = await client.get(path, headers={"range": f"bytes={size}-"})
        assert (late.status_code, late.json()["code"]) == (416, "range_not_satisfiable")
        assert late.headers["content-range"] == f"bytes */{size}"
        for ignored in ("bytes=5-2", "bytes=-", "lines=1-2", "bytes=0-1,3-4", "x"):
            answer = await client.get(path, headers={"range": ignored})
            assert (answer.status_code, answer.content == expected) == (200, True), ignored
        etag = whole.headers["etag"]
        same = await client.get(path, headers={"range": "bytes=0-0", "if-range": etag})
        other = await client.get(path, headers={"range": "bytes=0-0", "if-range": '"x"'})
        assert (same.status_code, other.status_code) == (206, 200)


@pytest.mark.databases("sqlite")
async def test_an_empty_stream_is_empty(node: RunningNode, browse: Browse, person: MakePerson) -> None:
    ada = await person()
    task_id = await printed(node.db, ada.id, [])
    client = browse(node, ada.bearer)
    answer = await client.get(f"{TASKS}/{task_id}/output/stderr")
    assert (answer.status_code, answer.content) == (200, b"")
    assert (await client.get(f"{TASKS}/{task_id}/output/stderr", headers={"range": "bytes=0-"})).status_code == 416


# ---------------------------------------------------------------- everything as a zip


async def test_a_zip_has_each_devices_streams_and_what_became_of_it(
    node: RunningNode, browse: Browse, person: MakePerson
) -> None:
    ada = await person()
    names = ["web-1", "../../etc/passwd", "süß 2", "..", "a\\b"]
    run = work.run(len(names), user_id=ada.id)
    made = [rows.device(n) for n in range(len(names))]
    big = random.Random(1).randbytes(30_000)
    async with node.db.write() as session:
        session.add_all([run, *made])
        await session.flush()
        tasks = [
            work.task(run, device.id, device_name=name, state="succeeded", exit_code=0, output_next_seq=70)
            for device, name in zip(made, names, strict=True)
        ]
        session.add_all(tasks)
        await session.flush()
        for number, task in enumerate(tasks[:4]):
            chunks = 70 if number == 2 else 2
            session.add_all(
                TaskOutput(task_id=task.id, seq=seq, stream=1 + seq % 2, data=big if number == 2 else b"%d" % seq)
                for seq in range(chunks)
            )
    answer = await browse(node, ada.bearer).get(f"{RUNS}/{run.id}/output.zip")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    assert answer.headers["content-disposition"] == f'attachment; filename="run-{run.id}.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        lines = [json.loads(line) for line in archive.read("tasks.jsonl").splitlines()]
        assert [(line["device_name"], line["state"], line["exit_code"]) for line in lines] == [
            (name, "succeeded", 0) for name in names
        ]
        folders = [f"{file_name(task.device_name)}-{task.id[-8:]}" for task in tasks]
        expected = {"tasks.jsonl"} | {f"{folder}/{name}" for folder in folders[:4] for name in ("stdout", "stderr")}
        assert set(archive.namelist()) == expected
        assert archive.read(f"{folders[0]}/stdout") == b"0"
        assert archive.read(f"{folders[0]}/stderr") == b"1"
        assert archive.read(f"{folders[2]}/stdout") == big * 35


@pytest.mark.parametrize(
    ("name", "expected"),
    [("web-1", "web-1"), ("../x", "_/x".replace("/", "_")), ("..", "_"), (".ssh", "_ssh"), ("süß", "süß"), ("", "_")],
)
def test_a_devices_name_is_one_harmless_part_of_a_path(name: str, expected: str) -> None:
    assert file_name(name) == expected


async def test_a_zip_of_many_devices_takes_little_memory_however_slowly_it_is_read(
    node: RunningNode, browse: Browse, person: MakePerson
) -> None:
    ada = await person()
    run = work.run(300, user_id=ada.id)
    made = [rows.device(n) for n in range(300)]
    noise = random.Random(2).randbytes(32_768)
    async with node.db.write() as session:
        session.add_all([run, *made])
        await session.flush()
        tasks = [work.task(run, device.id, state="succeeded", output_next_seq=3) for device in made]
        session.add_all(tasks)
        await session.flush()
        for task in tasks:
            values = [{"task_id": task.id, "seq": seq, "stream": 1, "data": noise} for seq in range(3)]
            await session.execute(sa.insert(TaskOutput), values)
        await session.execute(
            sa.insert(TaskOutput),
            [{"task_id": tasks[0].id, "seq": seq, "stream": 2, "data": noise} for seq in range(3, 400)],
        )
    received = 0
    tracemalloc.start()
    try:
        async with browse(node, ada.bearer).stream("GET", f"{RUNS}/{run.id}/output.zip") as answer:
            begun = True
            async for piece in answer.aiter_raw():
                if begun:
                    tracemalloc.reset_peak()
                    begun = False
                received += len(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert received > 40_000_000
    assert peak < 20_000_000, f"{peak:,} bytes"
