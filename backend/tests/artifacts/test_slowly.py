"""An upload has as long as it keeps coming; one that stands still is cut off, and what came is kept."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.support.artifacts import ARTIFACTS, begin, blob
from tests.support.node import Lines, RunningNode, Serve, eventually

pytestmark = pytest.mark.databases("sqlite")


@pytest.fixture
async def node(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> RunningNode:
    """A server that is in a hurry."""
    monkeypatch.setattr("app.http.REQUEST_S", 0.6)
    monkeypatch.setattr("app.http.PROMPT_S", 0.2)
    return await serve()


async def test_fault_18_an_upload_has_time_as_long_as_it_keeps_coming(
    node: RunningNode, client: httpx2.AsyncClient, lines: Lines
) -> None:
    one = blob(20 * 16_384)
    begun = await begin(client, one)
    address = f"{ARTIFACTS}/uploads/{begun['id']}"
    head = f"PATCH {address} HTTP/1.1\r\nHost: here\r\nAuthorization: {client.headers['authorization']}\r\n"
    head += f"Upload-Offset: 0\r\nContent-Length: {len(one.data)}\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", node.settings.port)
    writer.write(head.encode() + one.data[:16_384])
    assert await reader.read() == b""  # cut off
    writer.close()

    async def is_kept() -> bool:
        return bool((await client.get(address)).json()["offset"] == 16_384)

    await eventually(is_kept)

    async def slowly() -> AsyncIterator[bytes]:
        for at in range(16_384, len(one.data), 16_384):
            yield one.data[at : at + 16_384]
            await asyncio.sleep(0.1)

    answer = await client.patch(address, content=slowly(), headers={"upload-offset": "16384"})
    assert answer.json()["complete"], answer.text
    assert not [line for line in lines() if "request.crashed" in line]
