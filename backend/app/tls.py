"""TLS with the server's own certificate, where no proxy stands in front of it.

Invariant: a key that other users of the machine can read is refused at the start. A renewed certificate holds for new
connections within a minute; one that cannot be used is said, and the old one stays.
"""

import asyncio
import os
import ssl
import stat
from pathlib import Path

import structlog

from app.settings import Settings

CHECK_S = 60.0

log = structlog.get_logger()


class UnusableCertificate(Exception):
    """The certificate or its key cannot be used. The message is a sentence that says why and what to do."""


class Certificate:
    """The files of ``settings``, loaded. Raises UnusableCertificate."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._files = (certificate, key)
        self._loaded = _marks(self._files)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self._load()

    def _load(self) -> None:
        certificate, key = self._files
        try:
            mode = key.stat().st_mode
            if os.name == "posix" and mode & (stat.S_IRWXO | stat.S_IWGRP):
                raise UnusableCertificate(f"Others can read or change the key {key}: chmod 640 it, or less.")
            self.context.load_cert_chain(certificate, key)
        except ssl.SSLError as error:
            reason = (error.reason or str(error)).replace("_", " ").lower()
            raise UnusableCertificate(f"{certificate} and {key} are no certificate with its key: {reason}.") from None
        except OSError as error:
            raise UnusableCertificate(f"{error.filename or certificate} cannot be read: {error.strerror}.") from None

    async def follow(self) -> None:
        """Load the files again whenever they change. Runs until cancelled."""
        while True:
            await asyncio.sleep(CHECK_S)
            try:
                marks = _marks(self._files)
                if marks == self._loaded:
                    continue
                self._load()
            except UnusableCertificate as error:
                log.error("tls.certificate_unusable", why=str(error))
            else:
                log.info("tls.certificate_renewed", certificate=str(self._files[0]))
                self._loaded = marks


def certificate(settings: Settings) -> Certificate | None:
    """The server's own certificate; None where it has none. Raises UnusableCertificate."""
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    return Certificate(settings.tls_certificate, settings.tls_key)


def _marks(files: tuple[Path, ...]) -> list[tuple[int, int, int]]:
    try:
        return [(found.st_mtime_ns, found.st_size, found.st_ino) for found in (file.stat() for file in files)]
    except OSError as error:
        raise UnusableCertificate(f"{error.filename} cannot be read: {error.strerror}.") from None
