"""Whether the keys that this machine trusts vouch for a version of the agent: The Update Framework, by python-tuf.

In a process of its own (``prepare``): it takes a dozen megabytes that the agent has no use for afterwards. Trust
begins at the root that this machine's own root has put here; what was once seen is remembered beside, so that whoever
hands metadata on can neither go back (versions), nor stand still (expiry), nor mix (the snapshot).
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from tuf.api._payload import TargetFile
from tuf.api.exceptions import DownloadHTTPError, ExpiredMetadataError, RepositoryError
from tuf.ngclient.config import UpdaterConfig
from tuf.ngclient.fetcher import FetcherInterface
from tuf.ngclient.updater import Updater

from deployx_agent.state.durable import sync_file, sync_folder
from deployx_protocol.updates import METADATA_MAX_BYTES, read_custom, target_of

_PIN = "pinned"
_ORIGIN = "deployx:///"


class Untrusted(Exception):
    """They do not; the sentence says why, and what to do."""


class _Carried(FetcherInterface):
    """Reads what has come with the release instead of asking a server."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = files

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            return iter((self._files[url.removeprefix(_ORIGIN)].encode(),))
        except KeyError:
            raise DownloadHTTPError("not among what has come", 404) from None


class Trust:
    """Refreshed from ``files``, with what is remembered in ``folder``. Raises Untrusted, OSError."""

    def __init__(self, pinned: bytes, folder: Path, files: Mapping[str, str]) -> None:
        self._remember_pin(pinned, folder)
        config = UpdaterConfig(
            max_root_rotations=256,
            root_max_length=METADATA_MAX_BYTES,
            timestamp_max_length=METADATA_MAX_BYTES,
            snapshot_max_length=METADATA_MAX_BYTES,
            targets_max_length=METADATA_MAX_BYTES,
        )
        try:
            self._updater = Updater(str(folder), _ORIGIN, fetcher=_Carried(files), config=config, bootstrap=pinned)
            self._updater.refresh()
        except ExpiredMetadataError as error:
            raise Untrusted(
                f"The metadata of this update is too old ({error}). Make it anew with `deployx agent-update refresh`; "
                "or the clock of this machine is wrong."
            ) from None
        except (RepositoryError, DownloadHTTPError) as error:
            raise Untrusted(f"The update metadata is not what the keys of this machine vouch for ({error}).") from None
        except ValueError as error:
            raise Untrusted(f"The update metadata cannot be read ({error}).") from None
        finally:
            _sync(folder)

    @staticmethod
    def _remember_pin(pinned: bytes, folder: Path) -> None:
        """Another root, by the hand of this machine's own, begins anew: nothing of before counts."""
        now, known = hashlib.sha256(pinned).hexdigest(), folder / _PIN
        if known.exists() and known.read_text() != now:
            shutil.rmtree(folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(known, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(now)

    def number_of(self, version: str) -> int:
        """The number of a version that may be here. Raises Untrusted."""
        return self._vouched(version)[1]

    def bundle(self, version: str, path: Path, highest: int) -> int:
        """The number of ``version``, if ``path`` is its bundle and ``highest`` does not forbid it. Raises Untrusted,
        OSError."""
        target, number = self._vouched(version)
        try:
            with path.open("rb") as file:
                target.verify_length_and_hashes(file)
        except RepositoryError as error:
            raise Untrusted(f"The bundle is not the one that was signed as {version} ({error}).") from None
        if number < highest:
            raise Untrusted(
                f"Version {version} is number {number}, and number {highest} was here: the agent never goes below. "
                "Add the old content as a new version."
            )
        return number

    def _vouched(self, version: str) -> tuple[TargetFile, int]:
        target = self._updater.get_targetinfo(target_of(version))
        if target is None:
            raise Untrusted(f"The update metadata does not name version {version}, or not any more.")
        try:
            named, number = read_custom(target.custom)
        except ValueError as error:
            raise Untrusted(f"The update metadata cannot be used: {error}.") from None
        if named != version:
            raise Untrusted(f"The update metadata says that {version} is {named}.")
        return target, number


def _sync(folder: Path) -> None:
    """What is remembered is on the disk before anything follows from it."""
    for path in folder.rglob("*"):
        if path.is_file():
            sync_file(path)
    for path in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        sync_folder(path)
