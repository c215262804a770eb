"""The payloads and artifacts that are on this machine, by their hashes, and the work folders in which steps find them.

Invariants: what is taken from here has the hash it is kept under, checked each time. What an installed release, the one
it would give way to, or the one under way refers to stays; everything else goes when a release is over.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from deployx_agent.connection.background import in_thread
from deployx_agent.connection.transport import RequestError
from deployx_agent.logs import Log
from deployx_agent.releases.failure import Failure, unfit
from deployx_agent.releases.fetch import DISK_RESERVE_BYTES, Fetcher, FetchError, Why
from deployx_agent.releases.partial import is_whole
from deployx_agent.state import durable
from deployx_agent.tasks.outbox import Connection
from deployx_agent.tasks.runner import Control
from deployx_protocol import checks
from deployx_protocol.releases import Artifact, Manifest
from deployx_protocol.tasks import TaskCode

_TRIES = 3
_RETRY_S = 1.0
_NEVER = (400, 403, 404, 410, 422)


class Depot:
    """Below ``folder``."""

    def __init__(self, folder: Path, fetcher: Fetcher, connection: Callable[[], Connection | None], log: Log) -> None:
        self._folder = folder
        self._blobs = folder / "blobs"
        self._payloads = folder / "payloads"
        self._fetcher = fetcher
        self._connection = connection
        self._log = log

    # ------------------------------------------------------------ payloads

    def payload(self, sha256: str) -> bytes | None:
        """If it is here, and whole."""
        try:
            raw = (self._payloads / sha256).read_bytes()
        except OSError:
            return None
        return raw if hashlib.sha256(raw).hexdigest() == sha256 else None

    async def fetch_payload(self, sha256: str, size: int, control: Control) -> bytes:
        """From here or from the server, however long that is away. Raises Failure; what it returns may be empty if
        ``control`` has an ending."""
        if not checks.is_hex(sha256, 64):
            raise Failure(TaskCode.RELEASE_UNREADABLE, "The task names a release by something that is no SHA-256.")
        found = self.payload(sha256)
        tries = 0
        while found is None and control.ending is None:
            why = "there is no connection"
            if connection := self._connection():
                try:
                    path = f"/api/agent/v1/releases/{sha256}"
                    answer = await connection.link.request("GET", path, connection.http_token)
                    if answer.status == 200 and hashlib.sha256(answer.body).hexdigest() == sha256:
                        await in_thread(lambda body=answer.body: self._keep(sha256, body), "payload")  # type: ignore[misc]
                        return answer.body
                    why = "its hash is wrong" if answer.status == 200 else f"the server answered {answer.status}"
                    tries += 1 if answer.status == 200 else _TRIES if answer.status in _NEVER else 0
                except RequestError as error:
                    why = str(error)
                except OSError as error:
                    raise _full(error) from None
            if tries >= _TRIES:
                raise Failure(TaskCode.RELEASE_UNAVAILABLE, f"The release cannot be fetched: {why}.")
            self._log.warning("A release could not be fetched; it is tried again", sha256=sha256[:12], error=why)
            await control.wait(_RETRY_S)
        return found or b""

    def _keep(self, sha256: str, body: bytes) -> None:
        self._payloads.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = self._payloads / f".{sha256}"
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._payloads / sha256)
        durable.sync_folder(self._payloads)

    # ------------------------------------------------------------ artifacts

    def artifact(self, one: Artifact) -> Path:
        """Where it is once it was fetched."""
        return self._blobs / one.sha256

    async def missing(self, wanted: Iterable[Artifact]) -> list[Artifact]:
        """Which of them are not here, or not whole."""
        unique = {one.sha256: one for one in wanted}
        return await in_thread(
            lambda: [one for one in unique.values() if not is_whole(self.artifact(one), one.sha256, one.size)], "hash"
        )

    async def fetch(self, wanted: Iterable[Artifact], more_bytes: int, progress: Callable[[int, int], None]) -> None:
        """Have them all here, and room for ``more_bytes`` beside; ``progress`` is told how many bytes of how many have
        come. Raises Failure."""
        missing = await self.missing(wanted)
        total = sum(one.size for one in missing)
        self.check_room(self._folder, total + more_bytes)
        self._blobs.mkdir(mode=0o700, parents=True, exist_ok=True)
        had = 0
        for one in missing:
            try:
                await self._fetcher.fetch(
                    one.sha256,
                    one.size,
                    self.artifact(one),
                    progress=lambda have, had=had: progress(had + have, total),  # type: ignore[misc]
                )
            except FetchError as error:
                code = TaskCode.DISK_FULL if error.why is Why.DISK else TaskCode.RELEASE_UNAVAILABLE
                raise Failure(code, str(error)) from None
            had += one.size

    def check_room(self, folder: Path, wanted: int) -> None:
        """Whether the disk of ``folder``, or of the first above that exists, has it. Raises Failure."""
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        free = shutil.disk_usage(folder).free
        if free < wanted + DISK_RESERVE_BYTES:
            raise Failure(
                TaskCode.DISK_FULL,
                f"The disk of {folder} has {free >> 20} MiB left, and the release needs {wanted >> 20} MiB beside "
                f"{DISK_RESERVE_BYTES >> 20} MiB that stay free; make room there.",
            )

    # ------------------------------------------------------------ work folders

    async def work_folder(self, manifest: Manifest, wanted: Iterable[str]) -> Path:
        """A folder with the artifacts named ``wanted``, whole, as steps find them. Raises Failure."""
        by_name = {one.name: one for one in manifest.artifacts}
        return await in_thread(lambda: self._lay_out(manifest, [by_name[name] for name in sorted(wanted)]), "work")

    def _lay_out(self, manifest: Manifest, artifacts: list[Artifact]) -> Path:
        folder = self._folder / "work" / f"{manifest.name}-{manifest.number}"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for one in artifacts:
                path, blob = folder / one.name, self.artifact(one)
                if path.exists() and is_whole(path, one.sha256, one.size):
                    continue
                if not is_whole(blob, one.sha256, one.size):
                    raise unfit(f"The artifact {one.name} is not on this machine any more.")
                path.unlink(missing_ok=True)
                blob.chmod(0o700)
                os.link(blob, path)  # a step that writes into it spoils its hash, and it is fetched anew
        except OSError as error:
            raise _full(error) from None
        return folder

    def tidy(self, kept_payloads: set[str], kept_artifacts: set[str]) -> None:
        """Remove all else. It blocks."""
        for folder, kept in ((self._payloads, kept_payloads), (self._blobs, kept_artifacts)):
            with suppress(OSError):
                for path in folder.iterdir():
                    if path.name not in kept:
                        path.unlink(missing_ok=True)
        shutil.rmtree(self._folder / "work", ignore_errors=True)
        self._fetcher.forget()


def _full(error: OSError) -> Failure:
    code = TaskCode.DISK_FULL if error.errno == 28 else TaskCode.START_FAILED
    return Failure(code, f"The agent's disk does not take the release ({error.strerror or error}).")
