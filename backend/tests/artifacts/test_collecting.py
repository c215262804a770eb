"""What nothing refers to is deleted after a while; what a release uses, or is about to use, never is."""

import asyncio
import os
from collections.abc import AsyncIterator

import httpx2
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from app.artifacts import service, uses
from app.artifacts.models import Artifact, ArtifactUpload, ArtifactUse
from app.artifacts.stores import store_of
from app.audit.models import AuditEntry
from app.db import Database
from app.errors import InvalidInput
from tests.support.artifacts import ARTIFACTS, begin, blob, files, send, service_of, upload
from tests.support.node import RunningNode
from tests.support.server import ManualClock

RELEASE = "ab" * 32


@pytest.fixture
async def other(node: RunningNode) -> AsyncIterator[Database]:
    """A way into the database of its own: another server's."""
    database = Database(node.settings.database_url)
    yield database
    await database.close()


async def test_the_unused_go_after_their_time_and_the_used_stay(
    node: RunningNode, client: httpx2.AsyncClient, clock: ManualClock
) -> None:
    used, unused, recent = blob(100, 1), blob(100, 2), blob(100, 3)
    for one in (used, unused, recent):
        await upload(client, one)
    async with node.db.write() as session:
        await uses.take(session, RELEASE, {used.sha256: 100})
    with service_of(node, clock) as collector:
        clock.advance(days=13.9)
        assert await collector.prune() == 0
        clock.advance(days=0.2)
        async with node.db.write() as session:
            wanted = sa.update(Artifact).where(Artifact.sha256 == recent.sha256)
            await session.execute(wanted.values(wanted_at=clock.now))
        assert await collector.prune() == 1
        assert sorted(path.name[:64] for path in files(node)) == sorted([used.sha256, recent.sha256])
        async with node.db.read() as session:
            entry = (await session.scalars(sa.select(AuditEntry).order_by(AuditEntry.seq.desc()).limit(1))).one()
        assert (entry.action, entry.object_id, entry.actor_kind) == ("artifact.deleted", unused.sha256, "server")
        async with node.db.write() as session:
            await uses.drop(session, [RELEASE], clock.now)
        clock.advance(days=13.9)
        assert [row.sha256 for row in await _artifacts(node)] == sorted([used.sha256, recent.sha256])
        await collector.prune()
        assert used.sha256 in [row.sha256 for row in await _artifacts(node)]
        clock.advance(days=0.2)
        await collector.prune()
    assert await _artifacts(node) == []
    assert files(node) == []


async def _artifacts(node: RunningNode) -> list[Artifact]:
    async with node.db.read() as session:
        return list(await session.scalars(sa.select(Artifact).order_by(Artifact.sha256)))


async def test_one_that_a_release_uses_is_not_deleted_by_hand(node: RunningNode, client: httpx2.AsyncClient) -> None:
    one = blob(100)
    await upload(client, one)
    async with node.db.write() as session:
        await uses.take(session, RELEASE, {one.sha256: 100})
    assert (await client.get(f"{ARTIFACTS}/{one.sha256}")).json()["used_by"] == 1
    refused = await client.delete(f"{ARTIFACTS}/{one.sha256}")
    assert (refused.status_code, refused.json()["code"]) == (409, "artifact_in_use")
    assert (await client.get(ARTIFACTS, params={"unused": True})).json()["items"] == []
    async with node.db.write() as session:
        await uses.drop(session, [RELEASE], (await _artifacts(node))[0].created_at)
    assert (await client.delete(f"{ARTIFACTS}/{one.sha256}")).status_code == 204
    assert files(node) == []
    assert (await client.delete(f"{ARTIFACTS}/{one.sha256}")).status_code == 404


@pytest.mark.databases("sqlite")
async def test_a_release_names_what_is_there(node: RunningNode, client: httpx2.AsyncClient) -> None:
    one = blob(100)
    await upload(client, one)
    for wanted, code in (({blob(9, 9).sha256: 9}, "artifact_missing"), ({one.sha256: 99}, "artifact_size")):
        with pytest.raises(InvalidInput) as refused:
            async with node.db.write() as session:
                await uses.take(session, RELEASE, wanted)
        assert refused.value.specific_code == code


@pytest.mark.databases("postgresql")
@pytest.mark.parametrize("first", ["release", "collector"])
async def test_a_release_and_the_collector_cannot_both_win(
    node: RunningNode, client: httpx2.AsyncClient, clock: ManualClock, other: Database, first: str
) -> None:
    one = blob(100)
    await upload(client, one)
    clock.advance(days=15)

    async def collect() -> int:
        with service_of(node, clock) as collector:
            return await collector.prune()

    async def release() -> None:
        async with other.write() as session:
            await uses.take(session, RELEASE, {one.sha256: 100})

    if first == "release":
        async with other.write() as session:
            await uses.take(session, RELEASE, {one.sha256: 100})
            collecting = asyncio.create_task(collect())
            await _blocked(node)
        assert await collecting == 0
        assert len(files(node)) == 1
    else:
        async with node.db.write() as session:
            await session.execute(sa.delete(Artifact).where(Artifact.sha256 == one.sha256))
            releasing = asyncio.create_task(release())
            await _blocked(node)
        with pytest.raises((InvalidInput, IntegrityError)):
            await releasing


async def _blocked(node: RunningNode) -> None:
    """Return when some transaction waits for another's lock."""
    waits = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    async with asyncio.timeout(15):
        while True:
            async with node.db.read() as session:
                if await session.scalar(waits):
                    return
            await asyncio.sleep(0.02)


async def test_many_releases_and_collectors_at_once_leave_no_use_without_a_file(
    node: RunningNode, client: httpx2.AsyncClient, clock: ManualClock, other: Database
) -> None:
    blobs = [blob(50, seed) for seed in range(12)]
    for one in blobs:
        await upload(client, one)
    clock.advance(days=15)

    async def release(number: int) -> None:
        try:
            async with other.write() as session:
                await uses.take(session, f"{number:064}", {blobs[number].sha256: 50})
        except (InvalidInput, IntegrityError):
            pass

    with service_of(node, clock) as here, service_of(node, clock) as there:
        await asyncio.gather(here.prune(), there.prune(), *(release(number) for number in range(12)))
    kept = {path.name[:64] for path in files(node)}
    assert kept == {row.sha256 for row in await _artifacts(node)}
    async with node.db.read() as session:
        used = set(await session.scalars(sa.select(ArtifactUse.sha256)))
    assert used <= kept


async def test_a_file_without_a_row_is_swept_and_one_on_its_way_is_not(
    node: RunningNode, client: httpx2.AsyncClient, clock: ManualClock
) -> None:
    """A crash between the file and the row, and one between the row and the file."""
    lost, done, waiting = blob(100, 1), blob(100, 2), blob(100, 3)
    for one in (lost, done):
        await upload(client, one)
    async with node.db.write() as session:
        await session.execute(sa.delete(Artifact).where(Artifact.sha256 == lost.sha256))
    begun = await begin(client, waiting)
    await send(client, begun["id"], 0, waiting.data[:99])
    # Then the server took the last byte, put the file in its place, and was killed before it wrote the row.
    async with node.db.write() as session:
        row = await session.get(ArtifactUpload, begun["id"])
        assert row
        row.received = 100
    store = store_of(node.settings)
    part = node.settings.data_dir / "artifacts" / "uploads" / begun["id"]
    part.write_bytes(waiting.data)
    await store.finish(begun["id"], waiting.sha256, 100, f"{waiting.sha256[:2]}/{waiting.sha256}.{begun['id']}")
    store.close()
    for path in files(node):
        os.utime(path, (clock.now.timestamp(), clock.now.timestamp()))
    with service_of(node, clock) as collector:
        assert await collector.prune() == 0
        clock.advance(seconds=service.SWEPT_S + 60)
        assert await collector.prune() == 1
    assert sorted(path.name[:64] for path in files(node)) == sorted([done.sha256, waiting.sha256])
    assert (await client.get(f"{ARTIFACTS}/uploads/{begun['id']}")).json()["offset"] == 100
    assert (await send(client, begun["id"], 100, b"")).json()["complete"]
    assert (await client.get(f"{ARTIFACTS}/{waiting.sha256}/content")).content == waiting.data


async def test_pages_have_every_artifact_once(client: httpx2.AsyncClient) -> None:
    wanted = [(await upload(client, blob(20, seed)))["sha256"] for seed in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        page = (await client.get(ARTIFACTS, params=query)).json()
        seen += [item["sha256"] for item in page["items"]]
        if not (cursor := page["next_cursor"]):
            break
    assert seen == wanted[::-1]
    assert (await client.get(ARTIFACTS, params={"cursor": "nonsense"})).status_code == 422
