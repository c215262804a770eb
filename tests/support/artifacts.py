"""What tests of artifacts share: bytes, how they are uploaded, and the service that people ask nothing of."""

import contextlib
import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2

from app.artifacts.service import ArtifactService
from app.artifacts.stores import store_of
from app.artifacts.uploads import Uploads
from app.uow import UnitOfWork
from tests.support.node import RunningNode

ARTIFACTS = "/api/v1/artifacts"


@dataclass(frozen=True)
class Blob:
    """Bytes, and how they are announced."""

    data: bytes
    name: str = "shop.tar.gz"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def announced(self) -> dict[str, Any]:
        return {"sha256": self.sha256, "size": len(self.data), "name": self.name}


def blob(size: int, seed: int = 1, name: str = "shop.tar.gz") -> Blob:
    """The same bytes for the same seed."""
    return Blob(random.Random(seed).randbytes(size), name)


async def begin(client: httpx2.AsyncClient, one: Blob) -> dict[str, Any]:
    """A new upload."""
    answer = await client.post(f"{ARTIFACTS}/uploads", json=one.announced)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def send(client: httpx2.AsyncClient, upload_id: str, offset: int, data: bytes) -> httpx2.Response:
    """One piece."""
    headers = {"upload-offset": str(offset)}
    return await client.patch(f"{ARTIFACTS}/uploads/{upload_id}", content=data, headers=headers)


async def upload(client: httpx2.AsyncClient, one: Blob, piece: int = 1 << 20) -> dict[str, Any]:
    """All of it; the finished upload."""
    begun = await begin(client, one)
    for at in range(0, max(len(one.data), 1), piece):
        answer = await send(client, begun["id"], at, one.data[at : at + piece])
        assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["complete"], found
    return found


def files(node: RunningNode) -> list[Path]:
    """All files of the store."""
    return sorted(path for path in (node.settings.data_dir / "artifacts").rglob("*") if path.is_file())


@contextlib.contextmanager
def service_of(node: RunningNode, clock: Callable[[], datetime]) -> Iterator[ArtifactService]:
    """Another server's service on the same database and store, with a clock of the test's."""
    uow, store = UnitOfWork(node.db, lambda _: None), store_of(node.settings)
    uploads = Uploads(uow, node.db, store, node.settings, "another", clock)
    yield ArtifactService(uow, node.db, store, uploads, node.settings, clock)
    store.close()
