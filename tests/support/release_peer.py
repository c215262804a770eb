"""A scripted server that has releases: it hands out tasks that name them, their payloads and their artifacts."""

import gzip
import hashlib
import io
import itertools
import tarfile
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import web

from deployx_protocol.dsse import Signature
from deployx_protocol.releases import Action, Artifact, Kind, Manifest, Outcome, Phase, payload_of
from deployx_protocol.task_messages import ReleaseOrder, Task, TaskUpdate
from tests.support.task_peer import TaskPeer


def archive_of(files: Mapping[str, str | bytes], top: str = "app-1") -> bytes:
    """A tar.gz with these below one folder."""
    into = io.BytesIO()
    with gzip.GzipFile(fileobj=into, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        for name, content in files.items():
            body = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size, member.mode = len(body), 0o755 if body[:2] == b"#!" else 0o644
            tar.addfile(member, io.BytesIO(body))
    return into.getvalue()


class ReleasePeer(TaskPeer):
    """``artifacts`` and ``payloads`` by their hash; what of them was asked for is in ``asked``."""

    def __init__(self) -> None:
        super().__init__()
        self.payloads: dict[str, bytes] = {}
        self.artifacts: dict[str, bytes] = {}
        self.asked: list[str] = []

    # ------------------------------------------------------------ making

    def artifact(self, name: str, body: bytes) -> Artifact:
        """One that can be fetched from here."""
        sha256 = hashlib.sha256(body).hexdigest()
        self.artifacts[sha256] = body
        return Artifact(name=name, sha256=sha256, size=len(body))

    def order(
        self, manifest: Manifest, action: Action = Action.INSTALL, signatures: Sequence[Signature] = ()
    ) -> ReleaseOrder:
        """An order for a release that can be fetched from here."""
        payload = payload_of(manifest)
        sha256 = hashlib.sha256(payload).hexdigest()
        self.payloads[sha256] = payload
        return ReleaseOrder(action=action, sha256=sha256, size=len(payload), signatures=list(signatures))

    def release_task(self, manifest: Manifest, action: Action = Action.INSTALL, **fields: Any) -> Task:
        """A task for it."""
        signatures = fields.pop("signatures", ())
        return self.task(release=self.order(manifest, action, signatures), **{"timeout_s": 300, **fields})

    async def follow(self, manifest: Manifest, action: Action = Action.INSTALL, **fields: Any) -> TaskUpdate:
        """Have it done; how it ended."""
        task = self.release_task(manifest, action, **fields)
        await self.submit(task)
        return await self.ended(task.task_id)

    # ------------------------------------------------------------ what came

    def phases(self, task_id: str) -> list[Phase]:
        """What was reported, repeats left out."""
        said = [update.phase for update in self.updates if update.task_id == task_id and update.phase]
        return [phase for phase, _ in itertools.groupby(said)]

    # ------------------------------------------------------------ HTTP

    def extend(self, application: web.Application) -> None:
        super().extend(application)
        application.router.add_get("/api/agent/v1/releases/{sha256}", self._get_payload)
        application.router.add_get("/api/agent/v1/artifacts/{sha256}", self._get_artifact)

    async def _get_payload(self, request: web.Request) -> web.Response:
        return self._get(request, self.payloads)

    async def _get_artifact(self, request: web.Request) -> web.Response:
        return self._get(request, self.artifacts)

    def _get(self, request: web.Request, found: Mapping[str, bytes]) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {self.http_token}":
            return web.Response(status=401)
        sha256 = request.match_info["sha256"]
        self.asked.append(sha256)
        body = found.get(sha256)
        if body is None:
            return web.Response(status=404)
        begin = request.http_range.start or 0
        if not begin:
            return web.Response(body=body)
        headers = {"Content-Range": f"bytes {begin}-{len(body) - 1}/{len(body)}"}
        return web.Response(status=206, body=body[begin:], headers=headers)


def manifest(name: str = "app", number: int = 1, **fields: Any) -> Manifest:
    """A release for any machine; a script unless ``fields`` say otherwise."""
    given = {"version": f"{number}.0", "kind": Kind.SCRIPT, "platforms": ["linux"], **fields}
    return msgspec.convert(msgspec.to_builtins({"name": name, "number": number, **given}), Manifest)


def told(update: TaskUpdate) -> tuple[str, Outcome]:
    """How it ended, in short."""
    return update.state.value, update.outcome
