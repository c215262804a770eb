"""Uploads: announced, sent in pieces, gone on with, checked, refused, forgotten."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from app.accounts.permissions import Role
from app.artifacts import uploads
from app.artifacts.models import Artifact, ArtifactUpload
from app.audit.models import AuditEntry
from app.web import middleware
from tests.support.artifacts import ARTIFACTS, begin, blob, files, send, service_of, upload
from tests.support.node import RunningNode, Serve, eventually
from tests.support.server import Browse, MakePerson, ManualClock, Person


@pytest.mark.databases("sqlite")
async def test_pieces_become_an_artifact_that_is_on_record(node: RunningNode, client: httpx2.AsyncClient) -> None:
    one = blob(3_000_000)
    found = await upload(client, one)
    assert found["artifact"]["sha256"] == one.sha256
    assert found["artifact"]["used_by"] == 0
    [kept] = files(node)
    assert kept.read_bytes() == one.data
    assert kept.parent.name == one.sha256[:2]
    assert kept.name.startswith(one.sha256)
    assert (await client.get(f"{ARTIFACTS}/{one.sha256}")).json() == found["artifact"]
    async with node.db.read() as session:
        entry = (await session.scalars(sa.select(AuditEntry).where(AuditEntry.action == "artifact.uploaded"))).one()
    assert (entry.object_id, entry.object_name) == (one.sha256, one.name)


@pytest.mark.databases("sqlite")
async def test_the_offset_is_told_and_wrong_ones_are_refused(client: httpx2.AsyncClient) -> None:
    one = blob(10_000)
    begun = await begin(client, one)
    assert (begun["offset"], begun["complete"]) == (0, False)
    assert (await send(client, begun["id"], 0, one.data[:4_000])).json()["offset"] == 4_000
    looked = (await client.get(f"{ARTIFACTS}/uploads/{begun['id']}")).json()
    assert looked["offset"] == 4_000
    for offset in (0, 3_999, 4_001, 10_000):
        refused = await send(client, begun["id"], offset, b"x")
        assert (refused.status_code, refused.json()["code"]) == (409, "wrong_offset")
        assert "4000" in refused.json()["detail"]
    again = await client.post(f"{ARTIFACTS}/uploads", json=one.announced)
    assert (again.status_code, again.json()["id"], again.json()["offset"]) == (200, begun["id"], 4_000)
    assert [item["id"] for item in (await client.get(f"{ARTIFACTS}/uploads")).json()["items"]] == [begun["id"]]
    assert (await send(client, begun["id"], 4_000, one.data[4_000:])).json()["complete"]
    assert (await client.get(f"{ARTIFACTS}/uploads")).json()["items"] == []


@pytest.mark.databases("sqlite")
async def test_what_is_there_need_not_be_sent(client: httpx2.AsyncClient) -> None:
    one = blob(5_000)
    await upload(client, one)
    again = await client.post(f"{ARTIFACTS}/uploads", json={**one.announced, "name": "other"})
    assert (again.status_code, again.json()["complete"], again.json()["artifact"]["name"]) == (200, True, one.name)
    wrong = await client.post(f"{ARTIFACTS}/uploads", json={**one.announced, "size": 5_001})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "wrong_size")


@pytest.mark.databases("sqlite")
async def test_an_empty_file_is_one_as_well(node: RunningNode, client: httpx2.AsyncClient) -> None:
    found = await upload(client, blob(0))
    assert found["artifact"]["size"] == 0
    assert [path.stat().st_size for path in files(node)] == [0]


@pytest.mark.databases("sqlite")
async def test_a_wrong_hash_ends_the_upload(node: RunningNode, client: httpx2.AsyncClient) -> None:
    one, other = blob(70_000), blob(70_000, seed=2)
    begun = await begin(client, one)
    refused = await send(client, begun["id"], 0, other.data)
    assert (refused.status_code, refused.json()["code"]) == (422, "wrong_hash")
    assert one.sha256 in refused.json()["detail"]
    assert other.sha256 in refused.json()["detail"]
    assert (await client.get(f"{ARTIFACTS}/uploads/{begun['id']}")).status_code == 404
    assert (await client.get(f"{ARTIFACTS}/{one.sha256}")).status_code == 404
    assert files(node) == []
    await upload(client, one)


@pytest.mark.databases("sqlite")
async def test_more_than_was_announced_is_refused_and_what_fits_is_kept(client: httpx2.AsyncClient) -> None:
    one = blob(10_000)
    begun = await begin(client, one)
    refused = await send(client, begun["id"], 0, one.data + b"x")
    assert (refused.status_code, refused.json()["code"]) == (422, "too_long")

    async def without_length() -> AsyncIterator[bytes]:
        for at in range(0, 10_000, 1_000):
            yield one.data[at : at + 1_000]
        yield b"x"

    address = f"{ARTIFACTS}/uploads/{begun['id']}"
    refused = await client.patch(address, content=without_length(), headers={"upload-offset": "0"})
    assert (refused.status_code, refused.json()["code"]) == (422, "too_long")
    offset = (await client.get(address)).json()["offset"]
    assert (await send(client, begun["id"], offset, one.data[offset:])).json()["complete"]


@pytest.mark.databases("sqlite")  # it is about what comes before a database
async def test_a_piece_has_a_size(client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    one = blob(200_000)
    begun = await begin(client, one)
    assert begun["piece_max_bytes"] == middleware.LARGER_BODIES[f"{ARTIFACTS}/uploads/"] == 64 << 20
    monkeypatch.setitem(middleware.LARGER_BODIES, f"{ARTIFACTS}/uploads/", 100_000)
    refused = await send(client, begun["id"], 0, one.data[:100_001])
    assert (refused.status_code, refused.json()["code"]) == (413, "too_large")
    assert (await send(client, begun["id"], 0, one.data[:100_000])).json()["offset"] == 100_000


SENSELESS: list[dict[str, object]] = [
    {"sha256": "A" * 64},
    {"sha256": "../../../../etc/passwd"},
    {"size": -1},
    {"size": 2**63},
    {"size": "12"},
    {"name": ""},
    {"name": "a\nb"},
    {"name": "x" * 256},
    {"more": 1},
]


@pytest.mark.databases("sqlite")  # it is about what comes before a database
async def test_what_is_announced_makes_sense(client: httpx2.AsyncClient) -> None:
    for change in SENSELESS:
        refused = await client.post(f"{ARTIFACTS}/uploads", json={**blob(9).announced, **change})
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_input"), change


async def _pausing(
    client: httpx2.AsyncClient, begun: dict[str, Any], halves: Sequence[bytes], go_on: asyncio.Event
) -> httpx2.Response:
    """Send the first piece of an upload, which stands still in its middle until it may ``go_on``."""

    async def slowly() -> AsyncIterator[bytes]:
        yield halves[0]
        await go_on.wait()
        yield halves[1]

    address, headers = f"{ARTIFACTS}/uploads/{begun['id']}", {"upload-offset": "0"}
    return await client.patch(address, content=slowly(), headers=headers)


async def test_one_piece_at_a_time(node: RunningNode, client: httpx2.AsyncClient) -> None:
    one = blob(60_000)
    begun = await begin(client, one)
    go_on = asyncio.Event()
    first = asyncio.create_task(_pausing(client, begun, [one.data[:30_000], one.data[30_000:]], go_on))
    try:
        await eventually(lambda: bool(files(node)), what="the file of the first piece")
        second = await send(client, begun["id"], 0, b"x")
        assert (second.status_code, second.json()["code"]) == (409, "upload_busy")
    finally:
        go_on.set()
    assert (await first).json()["complete"]


async def test_a_piece_waits_a_moment_for_the_end_of_the_one_before(
    node: RunningNode, client: httpx2.AsyncClient
) -> None:
    one = blob(60_000)
    begun = await begin(client, one)
    go_on = asyncio.Event()
    first = asyncio.create_task(_pausing(client, begun, [one.data[:20_000], one.data[20_000:30_000]], go_on))
    await eventually(lambda: bool(files(node)), what="the file of the first piece")
    second = asyncio.create_task(send(client, begun["id"], 30_000, one.data[30_000:]))
    done, _ = await asyncio.wait([first, second], timeout=0.2)
    assert not done
    go_on.set()
    assert (await first).json()["offset"] == 30_000
    assert (await second).json()["complete"]


async def test_two_uploads_of_the_same_bytes_at_once(node: RunningNode, person: MakePerson, browse: Browse) -> None:
    one = blob(200_000)
    clients = [browse(node, (await person(f"{name}@example.test")).bearer) for name in "abcd"]
    done = await asyncio.gather(*(upload(client, one, 50_000) for client in clients))
    assert all(found["artifact"]["sha256"] == one.sha256 for found in done)
    assert len(files(node)) == 1
    async with node.db.read() as session:
        row = (await session.scalars(sa.select(Artifact))).one()
        assert (await session.scalars(sa.select(ArtifactUpload))).all() == []
    assert files(node)[0].name == row.place.partition("/")[2]


async def test_threat_12_uploads_of_others_do_not_exist(
    node: RunningNode, client: httpx2.AsyncClient, person: MakePerson, browse: Browse
) -> None:
    begun = await begin(client, blob(10))
    other = browse(node, (await person("eve@example.test", Role.ADMIN)).bearer)
    address = f"{ARTIFACTS}/uploads/{begun['id']}"
    assert (await other.get(address)).status_code == 404
    assert (await other.delete(address)).status_code == 404
    assert (await send(other, begun["id"], 0, blob(10).data)).status_code == 404
    viewer = browse(node, (await person("vi@example.test", Role.VIEWER)).bearer)
    assert (await viewer.post(f"{ARTIFACTS}/uploads", json=blob(10).announced)).status_code == 403
    assert (await viewer.get(ARTIFACTS)).status_code == 200


@pytest.mark.databases("sqlite")
async def test_a_deleted_upload_is_gone(node: RunningNode, client: httpx2.AsyncClient) -> None:
    one = blob(10_000)
    begun = await begin(client, one)
    await send(client, begun["id"], 0, one.data[:5_000])
    assert len(files(node)) == 1
    assert (await client.delete(f"{ARTIFACTS}/uploads/{begun['id']}")).status_code == 204
    assert files(node) == []
    assert (await send(client, begun["id"], 5_000, one.data[5_000:])).status_code == 404


async def test_quotas_count_what_is_promised(serve: Serve, person: MakePerson, browse: Browse) -> None:
    node = await serve(artifacts_user_max_bytes=1_000, artifacts_max_bytes=1_500)
    ada, bob = [browse(node, (await person(f"{name}@example.test")).bearer) for name in ("ada", "bob")]
    await upload(ada, blob(600, 1))
    await begin(ada, blob(300, 2))
    refused = await ada.post(f"{ARTIFACTS}/uploads", json=blob(101, 3).announced)
    assert (refused.status_code, refused.json()["code"]) == (507, "quota")
    assert "1,000" in refused.json()["detail"]
    await begin(ada, blob(100, 3))
    refused = await bob.post(f"{ARTIFACTS}/uploads", json=blob(501, 4).announced)
    assert (refused.status_code, refused.json()["code"]) == (507, "quota")
    assert "1,500" in refused.json()["detail"]
    wanted = [blob(400, seed) for seed in range(10, 18)]
    answers = await asyncio.gather(*(bob.post(f"{ARTIFACTS}/uploads", json=one.announced) for one in wanted))
    assert sorted(answer.status_code for answer in answers) == [201] + [507] * 7


async def test_uploads_at_once_are_counted(serve: Serve, ada: Person, browse: Browse) -> None:
    node = await serve(uploads_max=1)
    client = browse(node, ada.bearer)
    first, second = await begin(client, blob(10, 1)), await begin(client, blob(10, 2))
    go_on = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield blob(10, 1).data[:5]
        await go_on.wait()
        yield blob(10, 1).data[5:]

    address = f"{ARTIFACTS}/uploads/{first['id']}"
    sending = asyncio.create_task(client.patch(address, content=slowly(), headers={"upload-offset": "0"}))
    try:

        async def is_received() -> bool:
            return any(row.writer for row in await node.rows(ArtifactUpload))

        await eventually(is_received)
        refused = await send(client, second["id"], 0, b"x")
        assert (refused.status_code, refused.json()["code"]) == (503, "too_many_uploads")
        assert refused.headers["retry-after"] == "2"
    finally:
        go_on.set()
    assert (await sending).json()["complete"]
    assert (await send(client, second["id"], 0, blob(10, 2).data)).json()["complete"]


@pytest.mark.databases("sqlite")
async def test_a_full_disk_keeps_what_it_took(
    node: RunningNode, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = blob(3 << 20)
    begun = await begin(client, one)
    real, left = os.write, [(1 << 20) + 5_000]

    def write(file: int, data: bytes) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = real(file, bytes(data)[: left[0]])
        left[0] -= written
        return written

    monkeypatch.setattr(os, "write", write)
    refused = await send(client, begun["id"], 0, one.data)
    assert (refused.status_code, refused.json()["code"]) == (507, "disk_full")
    monkeypatch.undo()
    offset = (await client.get(f"{ARTIFACTS}/uploads/{begun['id']}")).json()["offset"]
    assert offset == (1 << 20) + 5_000
    assert [path.stat().st_size for path in files(node)] == [offset]
    assert (await send(client, begun["id"], offset, one.data[offset:])).json()["complete"]


@pytest.mark.databases("sqlite")
async def test_no_upload_is_admitted_for_which_there_is_no_room(
    node: RunningNode, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "SPARE_BYTES", 1 << 60)
    refused = await client.post(f"{ARTIFACTS}/uploads", json=blob(1).announced)
    assert (refused.status_code, refused.json()["code"]) == (507, "disk_full")


async def test_an_upload_that_does_not_go_on_expires(
    node: RunningNode, client: httpx2.AsyncClient, clock: ManualClock
) -> None:
    old = await begin(client, blob(10, 1))
    await send(client, old["id"], 0, blob(10, 1).data[:5])
    stray = node.settings.data_dir / "artifacts" / "uploads" / "01234567-0123-7123-8123-0123456789ab"
    stray.write_bytes(b"left over")
    with service_of(node, clock) as service:
        clock.advance(seconds=node.settings.upload_lifetime_s - 60)
        assert await service.prune() == 0
        clock.advance(seconds=120)
        young = await begin(client, blob(10, 2))
        async with node.db.write() as session:
            mine = sa.update(ArtifactUpload).where(ArtifactUpload.id == young["id"])
            await session.execute(mine.values(touched_at=clock.now))
        assert await service.prune() == 2
    assert (await client.get(f"{ARTIFACTS}/uploads/{old['id']}")).status_code == 404
    assert (await client.get(f"{ARTIFACTS}/uploads/{young['id']}")).status_code == 200
    assert files(node) == []
