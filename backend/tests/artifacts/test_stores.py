"""Both stores behind their one interface: a folder, and S3 as moto's server speaks it."""

import asyncio
import hashlib
import os
import urllib.request
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from app.artifacts.folder import FolderStore
from app.artifacts.objects import UPLOADS
from app.artifacts.store import Missing, Store, WrongHash, place_of
from app.artifacts.stores import store_of
from app.clock import utcnow
from app.errors import Unavailable
from app.ids import new_id
from app.settings import Settings
from tests.support.artifacts import ARTIFACTS, begin, blob, send, upload
from tests.support.node import Serve
from tests.support.postgres import free_port
from tests.support.server import Browse, Person


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """An S3 endpoint."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3: str, request: pytest.FixtureRequest) -> dict[str, Any]:
    """The settings for a new bucket there."""
    name = f"b{new_id()}"
    urllib.request.urlopen(urllib.request.Request(f"{s3}/{name}", method="PUT")).close()
    return {
        "artifacts_url": f"s3://{name}/in/here",
        "artifacts_endpoint": s3,
        "artifacts_region": "us-east-1",
        "artifacts_access_key": "who",
        "artifacts_secret_key": SecretStr("secret"),
    }


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Each of them."""
    changes = {} if request.param == "folder" else request.getfixturevalue("bucket")
    found = store_of(Settings(data_dir=tmp_path, **changes))
    yield found
    found.close()


async def pieces(data: bytes, size: int = 100_000, fails: Exception | None = None) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]
    if fails:
        raise fails


class Saved(list[int]):
    """What was said to be durable."""

    async def __call__(self, offset: int) -> None:
        self.append(offset)


async def read(store: Store, place: str, start: int, end: int) -> bytes:
    return b"".join([block async for block in store.read(place, start, end)])


async def names(found: AsyncIterator[str]) -> list[str]:
    return sorted([name async for name in found])


async def test_what_came_in_pieces_is_read_in_ranges(store: Store) -> None:
    data = blob(20_000_000).data
    sha256, upload_id, saved = hashlib.sha256(data).hexdigest(), new_id(), Saved()
    place = place_of(sha256, upload_id)
    with pytest.raises(ConnectionError):
        await store.receive(upload_id, 0, pieces(data[:9_000_000], fails=ConnectionError()), saved)
    assert saved[-1] == 9_000_000
    with pytest.raises(Missing):
        await store.finish(upload_id, sha256, len(data), place)
    at = saved[0]  # what came after that was kept, but nobody has heard of it
    await store.receive(upload_id, at, pieces(data[at:12_345_678]), saved)
    await store.receive(upload_id, 12_345_678, pieces(data[12_345_678:]), saved)
    assert saved[-1] == len(data)
    later = utcnow() + timedelta(hours=1)
    assert await names(store.unfinished(later)) == [upload_id]
    assert await names(store.places(later)) == []
    await store.finish(upload_id, sha256, len(data), place)
    await store.finish(upload_id, sha256, len(data), place)
    assert await store.size(place) == len(data)
    assert await read(store, place, 0, len(data)) == data
    assert await read(store, place, 7_654_321, 7_900_000) == data[7_654_321:7_900_000]
    assert await read(store, place, 5, 5) == b""
    assert await names(store.unfinished(later)) == []
    assert await names(store.places(later)) == [place]
    assert await names(store.places(utcnow() - timedelta(hours=1))) == []
    await store.delete(place)
    await store.delete(place)
    assert await store.size(place) is None
    with pytest.raises(Missing):
        await read(store, place, 0, 1)


async def test_the_wrong_hash_never_gets_a_place(store: Store) -> None:
    data, other = blob(10_000_000).data, blob(10_000_000, 2)
    upload_id, later = new_id(), utcnow() + timedelta(hours=1)
    await store.receive(upload_id, 0, pieces(data), Saved())
    with pytest.raises(WrongHash, match=hashlib.sha256(data).hexdigest()):
        await store.finish(upload_id, other.sha256, len(data), place_of(other.sha256, upload_id))
    assert await names(store.places(later)) == []
    assert await names(store.unfinished(later)) == []


async def test_what_is_not_there_cannot_be_gone_on_with(store: Store) -> None:
    upload_id = new_id()
    with pytest.raises(Missing):
        await store.receive(upload_id, 10, pieces(b""), Saved())
        await store.finish(upload_id, "a" * 64, 10, place_of("a" * 64, upload_id))
    await store.discard(upload_id)


async def test_a_store_that_is_away_says_so(tmp_path: Path, bucket: dict[str, Any]) -> None:
    gone = {**bucket, "artifacts_endpoint": f"http://127.0.0.1:{free_port()}"}
    away = store_of(Settings(data_dir=tmp_path, **gone))
    with pytest.raises(Unavailable, match="object store"):
        async with asyncio.timeout(60):
            await away.size(place_of("a" * 64, new_id()))
    (tmp_path / "artifacts").write_text("a file")
    with pytest.raises(Unavailable, match="folder for artifacts"):
        await store_of(Settings(data_dir=tmp_path)).receive(new_id(), 0, pieces(b"x"), Saved())


@given(st.text() | st.from_regex(r"[0-9a-f.-]{0,3}/?\.\./[./a-f0-9-]*"))
def test_threat_17_no_name_leads_out_of_the_folder(name: str) -> None:
    """Places and ids that are not exactly what the server makes are refused before there is a path."""
    store = FolderStore(Path("/nonexistent/root"))
    for make in (store.path, store._upload):
        with pytest.raises(ValueError, match=r"no place|no id"):
            make(name)


@given(st.text(), st.text(alphabet="0123456789abcdef", min_size=64, max_size=64))
def test_threat_17_only_a_hash_and_an_id_make_a_path(name: str, sha256: str) -> None:
    store = FolderStore(Path("/nonexistent/root"))
    upload_id = new_id()
    path = store.path(place_of(sha256, upload_id))
    assert path is not None
    assert path.parent.parent == Path("/nonexistent/root")
    assert os.path.normpath(path) == str(path)
    for place in (place_of(sha256, name), place_of(sha256 + name, upload_id), f"{name}{place_of(sha256, upload_id)}"):
        if place != place_of(sha256, upload_id):
            with pytest.raises(ValueError, match="no place"):
                store.path(place)


@pytest.mark.databases("sqlite")
@pytest.mark.parametrize("redirect", [True, False])
async def test_a_server_with_s3(
    serve: Serve, ada: Person, browse: Browse, bucket: dict[str, Any], redirect: bool
) -> None:
    node = await serve(**bucket, artifacts_redirect=redirect)
    client = browse(node, ada.bearer)
    one, wrong = blob(9_000_000), blob(100, 2)
    begun = await begin(client, one)
    await send(client, begun["id"], 0, one.data[:3_000_000])
    found = await send(client, begun["id"], 3_000_000, one.data[3_000_000:])
    assert found.json()["complete"]
    begun = await begin(client, wrong)
    assert (await send(client, begun["id"], 0, blob(100, 3).data)).json()["code"] == "wrong_hash"
    await upload(client, blob(0))
    address = f"{ARTIFACTS}/{one.sha256}/content"
    answer = await client.get(address, headers={"range": "bytes=100-8999999"})
    if redirect:
        assert answer.status_code == 307
        assert answer.headers["cache-control"] == "no-store"
        async with httpx2.AsyncClient() as stranger:  # who holds the link needs nothing else
            answer = await stranger.get(answer.headers["location"], headers={"range": "bytes=100-8999999"})
    assert (answer.status_code, answer.content) == (206, one.data[100:])
    assert (await client.head(address)).headers["content-length"] == "9000000"
    assert (await client.delete(f"{ARTIFACTS}/{one.sha256}")).status_code == 204
    assert not (node.settings.data_dir / "artifacts").exists()
    assert UPLOADS not in str(list(node.settings.data_dir.iterdir()))
