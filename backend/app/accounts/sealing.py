"""Secrets that the server has to read again, sealed with a key that is not in the database.

The key is ``DEPLOYX_SECRET_KEY``, or else a file of the data folder that is made when it is first needed. Invariant:
what is sealed for one purpose cannot be opened for another; whoever has the database alone has nothing.
"""

import hmac
import os
import secrets
from pathlib import Path

import structlog
from nacl.exceptions import CryptoError
from nacl.secret import Aead

from app.errors import Unavailable
from app.settings import Settings

KEY_FILE = "secret.key"
_PURPOSE = b"deployx sealing v1"
_MARK = b"deployx key mark v1"

log = structlog.get_logger()


class Unreadable(Exception):
    """It was sealed with another key, for another purpose, or is damaged."""


class Sealer:
    """Seals and opens (XChaCha20-Poly1305). The key is read when it is first needed."""

    def __init__(self, settings: Settings) -> None:
        self._given = settings.secret_key.get_secret_value()
        self._file = settings.data_dir.absolute() / KEY_FILE
        self._box: Aead | None = None

    def seal(self, secret: bytes, purpose: str) -> bytes:
        """``secret`` as it may be stored. Raises Unavailable when there is no key and none can be made."""
        return bytes(self._opened(make=True).encrypt(secret, purpose.encode()))

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """What was sealed for ``purpose``. Raises Unreadable."""
        try:
            return self._opened(make=False).decrypt(sealed, purpose.encode())
        except CryptoError:
            raise Unreadable from None

    def mark(self) -> str:
        """What tells this key from another and does not tell it. Raises Unavailable when there is none to be had."""
        key = self._given or self._read(make=True)
        return hmac.digest(_MARK, key.encode(), "sha256").hex()[:16]

    def _opened(self, *, make: bool) -> Aead:
        if self._box is None:
            key = self._given or self._read(make=make)
            self._box = Aead(hmac.digest(_PURPOSE, key.encode(), "sha256"))
        return self._box

    def _read(self, *, make: bool) -> str:
        try:
            if make and not self._file.exists():
                _make(self._file)
            return self._file.read_text().strip()
        except FileNotFoundError:
            raise Unreadable from None
        except (OSError, UnicodeDecodeError) as error:
            log.error("secret_key.unusable", file=str(self._file), error=str(error))
            raise Unavailable("The server cannot use its key; its log says why.") from error


def _make(file: Path) -> None:
    """A new key, durable before anything is sealed with it; one that another process made meanwhile stays."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    try:
        fresh.touch(mode=0o600, exist_ok=False)
        with fresh.open("w") as writing:
            writing.write(f"{secrets.token_hex(32)}\n")
            writing.flush()
            os.fsync(writing.fileno())
        file.hardlink_to(fresh)
    except FileExistsError:
        pass
    finally:
        fresh.unlink(missing_ok=True)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    log.info("secret_key.made", file=str(file))
