"""kill -9 of the server in the middle of an upload, and of what an agent fetches: both go on where they were."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.accounts.hashing import secret_hash
from app.artifacts import uses
from deployx_agent.connection.downloads import download
from deployx_agent.connection.transport import Answer, Sink
from deployx_agent.logs import Log
from deployx_agent.releases.fetch import Fetcher
from deployx_agent.tasks.outbox import Connection
from tests.conftest import Operate, StartServer
from tests.support import rows, work
from tests.support.artifacts import Blob, blob
from tests.support.node import eventually
from tests.support.server_process import Operator, ServerProcess

SIZE = 40 << 20


class Downloads:
    """A connection to the server, of which only downloads are wanted."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self.begun: list[int] = []

    async def send(self, event: str, payload: dict[str, Any]) -> None:
        raise AssertionError("nothing is sent")

    async def request(self, method: str, path: str, bearer: str, body: bytes = b"") -> Answer:
        raise AssertionError("nothing is asked")

    async def download(self, path: str, bearer: str, begin: int, sink: Sink) -> None:
        self.begun.append(begin)
        await download(self._server.url, ("127.0.0.1", self._server.port), None, path, bearer, begin, sink)


@pytest.mark.databases("sqlite")
async def test_fault_14_uploads_and_downloads_outlive_the_server(
    database_url: str, start_server: StartServer, operate: Operate, tmp_path: Path
) -> None:
    server = await start_server(database_url)
    operator = await operate(server)
    one = blob(SIZE)
    await _upload_through_a_kill(server, operator, one)
    await _fetch_through_a_kill(server, one, tmp_path)


async def _upload_through_a_kill(server: ServerProcess, operator: Operator, one: Blob) -> None:
    begun = await operator.ask("POST", "/artifacts/uploads", one.announced)
    address = f"/artifacts/uploads/{begun['id']}"

    async def until_killed() -> AsyncIterator[bytes]:
        for at in range(0, 36 << 20, 1 << 20):
            yield one.data[at : at + (1 << 20)]
        await asyncio.Event().wait()

    sending = asyncio.create_task(
        operator.client.patch(address, content=until_killed(), headers={"upload-offset": "0"})
    )

    async def is_saved() -> bool:
        return bool((await operator.ask("GET", address))["offset"] >= 32 << 20)

    await eventually(is_saved, within_s=60)
    await server.kill()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    await server.start()
    offset = (await operator.ask("GET", address))["offset"]
    assert 32 << 20 <= offset <= 36 << 20
    rest = await operator.client.patch(address, content=one.data[offset:], headers={"upload-offset": str(offset)})
    assert rest.json()["complete"], rest.text
    content = await operator.client.get(f"/artifacts/{one.sha256}/content")
    assert hashlib.sha256(content.content).hexdigest() == one.sha256


async def _fetch_through_a_kill(server: ServerProcess, one: Blob, folder: Path) -> None:
    device, run, release = rows.device(7, http_token_hash=secret_hash("t")), work.run(release_sha256="e" * 64), "e" * 64
    async with server.db.write() as session:
        session.add_all([device, run])
        await session.flush()
        session.add(work.task(run, device.id))
        await uses.take(session, release, {one.sha256: SIZE})
    link = Downloads(server)
    fetcher = Fetcher(folder, lambda: Connection(link, "a", "t"), Log(logging.Logger("quiet", 99)), rate=30 << 20)
    fetching = asyncio.create_task(fetcher.fetch(one.sha256, SIZE, folder / "here"))
    part = folder / "artifacts" / f"{one.sha256}.part"
    await eventually(lambda: part.exists() and part.stat().st_size > 5 << 20)
    await server.kill()
    there = part.stat().st_size
    await server.start()
    await fetching
    assert (folder / "here").read_bytes() == one.data
    assert there <= min(begin for begin in link.begun if begin) < SIZE
