"""The agent's fetching against a real server: cut, restarted, damaged, redirected, refused."""

import asyncio
import contextlib
import errno
import logging
import os
import secrets
import tracemalloc
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from app.accounts.hashing import secret_hash
from app.artifacts import uses
from app.devices.models import Device
from deployx_agent.connection.downloads import download
from deployx_agent.connection.socketio_transport import tls_context
from deployx_agent.connection.transport import RequestError, Sink
from deployx_agent.logs import Log
from deployx_agent.releases import fetch
from deployx_agent.releases.fetch import Fetcher, FetchError, Why
from deployx_agent.releases.pace import Pace
from deployx_agent.releases.partial import Partial
from deployx_agent.tasks.outbox import Connection
from deployx_protocol.states import Trust
from tests.support import rows, work
from tests.support.artifacts import Blob, blob, files, upload
from tests.support.authority import Authority
from tests.support.node import RunningNode, eventually
from tests.support.proxy import proxying

RELEASE = "cd" * 32


class Link:
    """A connection of which only downloads are wanted. ``begun`` has the first byte that each asked for."""

    def __init__(self, origin: str, ca_file: Path | None = None) -> None:
        self.origin = origin
        self.tls = tls_context(ca_file) if origin.startswith("https") else None
        self.begun: list[int] = []
        self.under_way = 0
        self.most = 0

    async def send(self, event: str, payload: dict[str, Any]) -> None:
        raise AssertionError("nothing is sent")

    async def request(self, method: str, path: str, bearer: str, body: bytes = b"") -> Any:
        raise AssertionError("nothing is asked")

    async def download(self, path: str, bearer: str, begin: int, sink: Sink) -> None:
        self.begun.append(begin)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            peer = ("127.0.0.1", int(self.origin.rpartition(":")[2]))
            await download(self.origin, peer, self.tls, path, bearer, begin, sink)
        finally:
            self.under_way -= 1


class Machine:
    """An agent's state folder, its connection, and what its device may have."""

    def __init__(self, folder: Path, link: Link, token: str) -> None:
        self.folder = folder
        self.link = link
        self.connection: Connection | None = Connection(link, "agent", token)

    @property
    def into(self) -> Path:
        return self.folder / "fetched"

    def fetcher(self, **options: Any) -> Fetcher:
        """As after a start."""
        return Fetcher(self.folder, lambda: self.connection, Log(logging.Logger("quiet", 99)), **options)

    def part(self, one: Blob) -> Path:
        return self.folder / fetch.FOLDER / f"{one.sha256}.part"


MakeMachine = Callable[..., Any]


@pytest.fixture(autouse=True)
def _small_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "_RETRY_S", 0.02)
    monkeypatch.setattr(fetch, "_RETRY_MAX_S", 0.1)


@pytest.fixture
def machine(node: RunningNode, tmp_path: Path) -> MakeMachine:
    """``await machine(one, url=…)``: one whose device has a task of a release that brings the artifact."""

    async def make(one: Blob | None = None, *, url: str = "", trust: Trust = Trust.TRUSTED) -> Machine:
        token = secrets.token_hex(16)
        run = work.run(kind="deployment", release_sha256=RELEASE)
        device = rows.device(secrets.randbelow(10**9), http_token_hash=secret_hash(token), trust=trust)
        async with node.db.write() as session:
            session.add_all([run, device])
            await session.flush()
            session.add(work.task(run, device.id))
            if one:
                await uses.take(session, RELEASE, {one.sha256: len(one.data)})
        folder = tmp_path / f"state-{device.id}"
        folder.mkdir()
        return Machine(folder, Link(url or node.url), token)

    return make


async def test_fault_14_a_download_that_is_cut_goes_on_at_its_byte(
    node: RunningNode, client: httpx2.AsyncClient, machine: MakeMachine
) -> None:
    one = blob(3_000_000)
    await upload(client, one)
    async with proxying(int(node.url.rpartition(":")[2])) as proxy:
        proxy.cut_after_bytes = 700_000
        agent = await machine(one, url=proxy.url)
        heard: list[int] = []
        await agent.fetcher().fetch(one.sha256, 3_000_000, agent.into, progress=heard.append)
        assert agent.into.read_bytes() == one.data
        assert not agent.part(one).exists()
        assert proxy.connections >= 5
        assert agent.link.begun == sorted(set(agent.link.begun))
        assert proxy.to_agent_bytes < 3_000_000 + 5_000 * proxy.connections  # each byte once, and the heads
        assert heard[-1] == 3_000_000


async def test_fault_14_a_download_goes_on_at_its_byte_after_a_restart(
    node: RunningNode, client: httpx2.AsyncClient, machine: MakeMachine
) -> None:
    one = blob(4_000_000)
    await upload(client, one)
    agent = await machine(one)
    before = agent.fetcher(rate=1_000_000)
    fetching = asyncio.create_task(before.fetch(one.sha256, 4_000_000, agent.into))
    await eventually(lambda: agent.part(one).exists() and agent.part(one).stat().st_size > 300_000)
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    there = agent.part(one).stat().st_size
    assert there < 4_000_000
    await agent.fetcher().fetch(one.sha256, 4_000_000, agent.into)
    assert agent.link.begun == [0, there]
    assert agent.into.read_bytes() == one.data
    await agent.fetcher().fetch(one.sha256, 4_000_000, agent.into)
    assert len(agent.link.begun) == 2  # it is there already


async def test_fault_14_a_wrong_hash_is_dropped_and_tried_three_times(
    node: RunningNode, client: httpx2.AsyncClient, machine: MakeMachine
) -> None:
    one = blob(500_000)
    await upload(client, one)
    agent = await machine(one)
    [kept] = files(node)
    kept.write_bytes(bytes(500_000))
    with pytest.raises(FetchError, match="damaged 3 times: its hash is wrong") as refused:
        await agent.fetcher().fetch(one.sha256, 500_000, agent.into)
    assert refused.value.why is Why.DAMAGED
    assert agent.link.begun == [0, 0, 0]
    assert not agent.into.exists()
    assert not agent.part(one).exists()
    kept.write_bytes(one.data)
    agent.part(one).write_bytes(b"\xff" * 1_000)  # a power cut left what was never written
    await agent.fetcher().fetch(one.sha256, 500_000, agent.into)
    assert agent.link.begun[3:] == [1_000, 0]
    assert agent.into.read_bytes() == one.data


async def test_fault_14_what_is_longer_or_shorter_than_it_should_be_is_not_taken(tmp_path: Path) -> None:
    one = blob(10_000)
    answers = [one.data + b"x", one.data + b"x", one.data + b"x"]
    async with saying(lambda _head: _ok(answers.pop(0))) as origin:
        agent = Machine(tmp_path, Link(origin), "t")
        with pytest.raises(FetchError, match="longer than it should be"):
            await agent.fetcher().fetch(one.sha256, 10_000, agent.into)
    shorter = [one.data[:9_000], one.data]
    async with saying(lambda _head: _ok(shorter.pop(0))) as origin:
        agent = Machine(tmp_path, Link(origin), "t")
        await agent.fetcher().fetch(one.sha256, 10_000, agent.into)
    assert agent.into.read_bytes() == one.data


@pytest.mark.databases("sqlite")
async def test_a_device_may_have_what_its_tasks_name_and_nothing_else(
    node: RunningNode, client: httpx2.AsyncClient, machine: MakeMachine
) -> None:
    one, other = blob(100, 1), blob(100, 2)
    await upload(client, one)
    await upload(client, other)
    agent = await machine(one)
    for trust in (Trust.QUARANTINED, Trust.PENDING):
        async with node.db.write() as session:
            await session.execute(sa.update(Device).values(trust=trust))
        with pytest.raises(FetchError) as refused:
            await agent.fetcher().fetch(one.sha256, 100, agent.into)
        assert refused.value.why is Why.UNAVAILABLE
    async with node.db.write() as session:
        await session.execute(sa.update(Device).values(trust=Trust.TRUSTED))
    for stranger in (other, blob(100, 3)):
        with pytest.raises(FetchError, match="has no artifact") as refused:
            await agent.fetcher().fetch(stranger.sha256, 100, agent.into)
    await agent.fetcher().fetch(one.sha256, 100, agent.into)
    assert agent.into.read_bytes() == one.data


async def test_it_waits_for_a_connection_and_for_a_token_that_is_good(
    node: RunningNode, client: httpx2.AsyncClient, machine: MakeMachine
) -> None:
    one = blob(1_000)
    await upload(client, one)
    agent = await machine(one)
    good, agent.connection = agent.connection, None
    fetching = asyncio.create_task(agent.fetcher().fetch(one.sha256, 1_000, agent.into))
    await eventually(agent.part(one).exists)
    agent.connection = Connection(agent.link, "agent", "old")
    await eventually(lambda: len(agent.link.begun) >= 2)
    agent.connection = good
    await fetching
    assert agent.into.read_bytes() == one.data


async def test_the_same_at_once_is_fetched_once_and_others_have_their_turns(
    node: RunningNode, client: httpx2.AsyncClient, machine: MakeMachine
) -> None:
    blobs = [blob(200_000, seed) for seed in range(4)]
    for one in blobs:
        await upload(client, one)
    agent = await machine(blobs[0])
    async with node.db.write() as session:
        for one in blobs[1:]:
            await uses.take(session, RELEASE, {one.sha256: 200_000})
    fetcher = agent.fetcher(parallel=2)
    wanted = [(one, agent.folder / f"{number}") for number, one in enumerate([*blobs, *blobs])]
    await asyncio.gather(*(fetcher.fetch(one.sha256, 200_000, agent.folder / one.sha256) for one, _ in wanted))
    assert len(agent.link.begun) == 4
    assert agent.link.most <= 2
    assert all((agent.folder / one.sha256).read_bytes() == one.data for one in blobs)


@pytest.mark.databases("sqlite")
async def test_room_is_looked_for_first_and_a_full_disk_is_said(
    node: RunningNode, client: httpx2.AsyncClient, machine: MakeMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = blob(600_000)
    await upload(client, one)
    agent = await machine(one)
    monkeypatch.setattr(fetch, "DISK_RESERVE_BYTES", 1 << 60)
    with pytest.raises(FetchError, match="MiB left") as refused:
        await agent.fetcher().fetch(one.sha256, 600_000, agent.into)
    assert refused.value.why is Why.DISK
    assert agent.link.begun == []
    monkeypatch.undo()
    real = os.write

    def write(file: int, data: Any) -> int:
        if len(data) > 1_000 and os.fstat(file).st_size > 100_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, data)

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(FetchError, match="disk is full") as refused:
        await agent.fetcher().fetch(one.sha256, 600_000, agent.into)
    assert refused.value.why is Why.DISK
    monkeypatch.undo()
    there = agent.part(one).stat().st_size
    assert there > 0
    await agent.fetcher().fetch(one.sha256, 600_000, agent.into)
    assert agent.link.begun[-1] == there


@pytest.mark.databases("sqlite")
async def test_memory_does_not_grow_with_the_artifact(
    node: RunningNode, client: httpx2.AsyncClient, machine: MakeMachine
) -> None:
    one = blob(32 << 20)
    await upload(client, one, 16 << 20)
    agent = await machine(one)
    tracemalloc.start()
    try:
        await agent.fetcher().fetch(one.sha256, 32 << 20, agent.into)
        assert tracemalloc.get_traced_memory()[1] < 6 << 20  # of both ends
    finally:
        tracemalloc.stop()


# ------------------------------------------------------------ redirects


def _ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def _redirect(to: str) -> bytes:
    return b"HTTP/1.1 307 Temporary Redirect\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % to.encode()


@contextlib.asynccontextmanager
async def saying(answer: Callable[[str], bytes], tls: Any = None) -> AsyncIterator[str]:
    """The origin of a server that answers each head of a request so."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            writer.write(answer((await reader.readuntil(b"\r\n\r\n")).decode()))
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls) as listener:
        yield f"http{'s' * bool(tls)}://127.0.0.1:{listener.sockets[0].getsockname()[1]}"


async def test_threat_18_a_redirect_gets_no_credentials_and_leads_to_https_alone(tmp_path: Path) -> None:
    one, heads = blob(10_000), list[str]()
    authority = Authority(tmp_path / "ca").make()

    def store(head: str) -> bytes:
        heads.append(head)
        return _ok(one.data)

    async with saying(store, authority.issue("IP:127.0.0.1")) as elsewhere, saying(store) as plain:
        for to, reason in ((f"{elsewhere}/bucket/x?signature=1", ""), (f"{plain}/x", "not https"), ("", "not https")):
            async with saying(lambda _head, to=to: _redirect(to), authority.issue("IP:127.0.0.1")) as origin:  # type: ignore[misc]
                agent = Machine(tmp_path, Link(origin, authority.certificate), "secret-token")
                if reason:
                    with pytest.raises(RequestError, match=reason):
                        await agent.link.download("/x", "secret-token", 0, _nothing(agent))
                else:
                    await agent.fetcher().fetch(one.sha256, 10_000, agent.into)
    [head] = heads
    assert head.startswith("GET /bucket/x?signature=1 HTTP/1.1\r\n")
    assert f"\r\nHost: {elsewhere.removeprefix('https://')}\r\n" in head
    assert "secret-token" not in head
    assert "authorization" not in head.lower()
    assert agent.into.read_bytes() == one.data


def _nothing(agent: Machine) -> Sink:
    return fetch._Sink(Partial(agent.folder / "none", "a" * 64, 1), Pace(0), lambda _: None)


async def test_a_server_that_redirects_for_ever_is_left(tmp_path: Path) -> None:
    async with saying(lambda _head: _redirect("/again")) as origin:
        agent = Machine(tmp_path, Link(origin), "t")
        with pytest.raises(RequestError, match="again and again"):
            await agent.link.download("/x", "t", 0, _nothing(agent))


def test_downloads_share_a_rate() -> None:
    now, waits = [100.0], list[float]()

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    pace = Pace(1_000_000, lambda: now[0], sleep)
    assert pace.block == 250_000
    for _ in range(8):
        pace.spend(pace.block)
    assert now[0] == pytest.approx(102.0)
    now[0] += 60  # nothing is saved up
    pace.spend(500_000)
    assert now[0] == pytest.approx(162.5)
    assert Pace(100).block == 4_096
    assert Pace(0).block == 262_144
