"""Downloads: whole, in ranges, by HEAD, by nginx, by devices that may; and none that may not."""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx2
import pytest

from app.accounts.permissions import Role
from app.zerocopy import ZeroCopy
from tests.support.artifacts import ARTIFACTS, blob, files, upload
from tests.support.node import RunningNode, Serve, eventually
from tests.support.server import Browse, MakePerson, Person


@pytest.fixture(params=["kernel", "blocks"])
def by_kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Both ways of sending, to be named before the server."""
    if request.param == "blocks":
        monkeypatch.setattr(ZeroCopy, "offered", lambda _self, app: app)
    return bool(request.param == "kernel")


@pytest.mark.databases("sqlite")
@pytest.mark.usefixtures("by_kernel")
class TestSending:
    """The same bytes and headers, whoever sends them."""

    async def test_all_of_it(self, node: RunningNode, client: httpx2.AsyncClient) -> None:
        one = blob(3_000_000, name="the shop ü.tar.gz")
        await upload(client, one)
        answer = await client.get(f"{ARTIFACTS}/{one.sha256}/content")
        assert answer.status_code == 200
        assert answer.content == one.data
        assert answer.headers["etag"] == f'"{one.sha256}"'
        assert answer.headers["accept-ranges"] == "bytes"
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["content-disposition"].endswith("''the_shop_%C3%BC.tar.gz")
        assert answer.headers["x-content-type-options"] == "nosniff"

    @pytest.mark.parametrize(
        ("asked", "start", "end"),
        [
            ("bytes=0-0", 0, 1),
            ("bytes=1000-", 1000, 200_000),
            ("bytes=-5", 199_995, 200_000),
            ("bytes=100-199", 100, 200),
        ],
    )
    async def test_ranges(self, client: httpx2.AsyncClient, asked: str, start: int, end: int) -> None:
        one = blob(200_000)
        await upload(client, one)
        address = f"{ARTIFACTS}/{one.sha256}/content"
        answer = await client.get(address, headers={"range": asked, "if-range": f'"{one.sha256}"'})
        assert (answer.status_code, answer.content) == (206, one.data[start:end])
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/200000"
        other = await client.get(address, headers={"range": asked, "if-range": '"another"'})
        assert (other.status_code, other.content) == (200, one.data)

    async def test_requests_follow_each_other_on_one_connection(self, client: httpx2.AsyncClient) -> None:
        one = blob(500_000)
        await upload(client, one)
        for at in range(0, 500_000, 100_000):
            asked = {"range": f"bytes={at}-{at + 99_999}"}
            answer = await client.get(f"{ARTIFACTS}/{one.sha256}/content", headers=asked)
            assert answer.content == one.data[at : at + 100_000]
            assert (await client.get(f"{ARTIFACTS}/{one.sha256}")).status_code == 200

    async def test_one_who_reads_slowly_gets_all_of_it(self, client: httpx2.AsyncClient) -> None:
        one = blob(20_000_000)
        await upload(client, one, 8 << 20)
        got = bytearray()
        async with client.stream("GET", f"{ARTIFACTS}/{one.sha256}/content") as answer:
            async for piece in answer.aiter_raw(1 << 20):
                got += piece
                await asyncio.sleep(0)
        assert got == one.data


async def test_head_and_what_is_known_already(client: httpx2.AsyncClient) -> None:
    one = blob(1_000)
    await upload(client, one)
    address = f"{ARTIFACTS}/{one.sha256}/content"
    head = await client.head(address)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", "1000")
    same = await client.get(address, headers={"if-none-match": f'"{one.sha256}"'})
    assert (same.status_code, same.content) == (304, b"")
    beyond = await client.get(address, headers={"range": "bytes=1000-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */1000")
    assert beyond.json()["code"] == "range_not_satisfiable"
    empty = await upload(client, blob(0))
    assert (await client.get(f"{ARTIFACTS}/{empty['sha256']}/content")).content == b""


async def test_a_file_that_is_lost_is_said_so_and_uploaded_again(node: RunningNode, client: httpx2.AsyncClient) -> None:
    one = blob(1_000)
    await upload(client, one)
    [kept] = files(node)
    kept.unlink()
    lost = await client.get(f"{ARTIFACTS}/{one.sha256}/content")
    assert (lost.status_code, lost.json()["code"]) == (404, "artifact_lost")
    await upload(client, one)
    assert (await client.get(f"{ARTIFACTS}/{one.sha256}/content")).content == one.data


@pytest.mark.databases("sqlite")
async def test_nginx_is_told_what_to_send(serve: Serve, ada: Person, browse: Browse) -> None:
    node = await serve(artifacts_accel="/artifacts/", artifact_send_rate=100)
    client = browse(node, ada.bearer)
    one = blob(1_000)
    await upload(client, one)
    answer = await client.get(f"{ARTIFACTS}/{one.sha256}/content")
    assert (answer.status_code, answer.content) == (200, b"")
    place = answer.headers["x-accel-redirect"].removeprefix("/artifacts/")
    assert (node.settings.data_dir / "artifacts" / place).read_bytes() == one.data
    assert answer.headers["x-accel-limit-rate"] == "102400"
    conf = (Path(__file__).parents[3] / "deploy" / "nginx.conf").read_text()
    assert re.search(r"location /stored-artifacts/ \{\s+internal;\s+alias \S+/artifacts/;", conf)


async def test_downloads_at_once_are_counted_until_they_end(serve: Serve, ada: Person, browse: Browse) -> None:
    node = await serve(downloads_max=1)
    client = browse(node, ada.bearer)
    one = blob(20_000_000)
    await upload(client, one, 8 << 20)
    address = f"{ARTIFACTS}/{one.sha256}/content"
    async with client.stream("GET", address):  # which nobody reads
        refused = await client.get(address)
        assert (refused.status_code, refused.json()["code"]) == (503, "too_many_downloads")
        assert refused.headers["retry-after"] == "5"
        assert (await client.head(address)).status_code == 200

    async def is_free() -> bool:
        async with client.stream("GET", address) as answer:
            return answer.status_code == 200

    await eventually(is_free, what="a download that was broken off is counted still")


@pytest.mark.databases("sqlite")
async def test_a_download_may_have_a_rate(serve: Serve, ada: Person, browse: Browse) -> None:
    node = await serve(artifact_send_rate=200)
    client = browse(node, ada.bearer)
    one = blob(100 * 1024)
    await upload(client, one)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    assert (await client.get(f"{ARTIFACTS}/{one.sha256}/content")).content == one.data
    assert loop.time() - begun >= 0.24  # half a second, without the last of its quarters


@pytest.mark.databases("sqlite")
async def test_who_may_see_releases_may_download_and_nobody_else(
    node: RunningNode, client: httpx2.AsyncClient, person: MakePerson, browse: Browse
) -> None:
    one = blob(10)
    await upload(client, one)
    viewer = browse(node, (await person("vi@example.test", Role.VIEWER)).bearer)
    assert (await viewer.get(f"{ARTIFACTS}/{one.sha256}/content")).content == one.data
    assert (await viewer.delete(f"{ARTIFACTS}/{one.sha256}")).status_code == 403
    nobody = browse(node)
    assert (await nobody.get(f"{ARTIFACTS}/{one.sha256}/content")).status_code == 401
    assert (await nobody.get(f"/api/agent/v1/artifacts/{one.sha256}")).status_code == 401
    assert (await nobody.get(f"/api/agent/v1/artifacts/{one.sha256}", headers=_speaks(client))).status_code == 401


def _speaks(client: httpx2.AsyncClient) -> dict[str, str]:
    return {"authorization": client.headers["authorization"]}


@pytest.mark.databases("sqlite")
async def test_a_file_that_goes_away_while_it_is_sent_is_sent_to_its_end(
    node: RunningNode, client: httpx2.AsyncClient
) -> None:
    one = blob(30_000_000)
    await upload(client, one, 8 << 20)
    got = bytearray()
    async with contextlib.aclosing(_pieces(client, one.sha256)) as pieces:
        async for piece in pieces:
            if not got:
                assert (await client.delete(f"{ARTIFACTS}/{one.sha256}")).status_code == 204
                assert files(node) == []
            got += piece
    assert got == one.data


async def _pieces(client: httpx2.AsyncClient, sha256: str) -> AsyncGenerator[bytes]:
    async with client.stream("GET", f"{ARTIFACTS}/{sha256}/content") as answer:
        async for piece in answer.aiter_raw(1 << 20):
            yield piece
