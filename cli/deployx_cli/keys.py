"""Operators' keys: Ed25519, one PEM file each below the user's configuration folder, with a passphrase if wanted.

Invariant: only its owner can read a key's file (0600 from its first byte), and none is ever written over. What signs is
imported when a key is used: it takes longer to load than all the rest.
"""

import hashlib
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from deployx_cli import store
from deployx_cli.errors import CommandError, WrongUsage

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from securesystemslib.signer import CryptoSigner

_SUFFIX = ".pem"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_KEY_ID_LENGTH = 32


class Key:
    """A key that is open."""

    def __init__(self, name: str, private: "Ed25519PrivateKey") -> None:
        self.name = name
        self._private = private
        self.public = private.public_key().public_bytes_raw().hex()
        """64 hexadecimal digits."""
        self.key_id = hashlib.sha256(bytes.fromhex(self.public)).hexdigest()[:_KEY_ID_LENGTH]

    def signer(self) -> "CryptoSigner":
        """What signs with it, under its id."""
        from securesystemslib.signer import CryptoSigner, SSlibKey

        public = SSlibKey(self.key_id, "ed25519", "ed25519", {"public": self.public})
        return CryptoSigner(self._private, public)


def folder() -> Path:
    """Where keys are kept."""
    return store.path().with_name("keys")


def path_of(name: str) -> Path:
    """The file of a key that is named, or given by its path. Raises WrongUsage."""
    if os.sep in name or name.endswith(_SUFFIX):
        return Path(name).expanduser()
    return folder() / f"{_checked(name)}{_SUFFIX}"


def create(name: str, passphrase: str) -> tuple[Path, Key]:
    """Make a key. Raises WrongUsage for a bad name, CommandError if there is one already or it cannot be written."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    path = folder() / f"{_checked(name)}{_SUFFIX}"
    private = Ed25519PrivateKey.generate()
    sealed: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        sealed = serialization.BestAvailableEncryption(passphrase.encode())
    pem = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise CommandError(f"There is a key {name} already, in {path}; choose another name.") from None
    except OSError as error:
        raise CommandError(f"The key cannot be stored: {error}.") from None
    return path, Key(name, private)


def load(name: str) -> Key:
    """Open a key; its passphrase is asked for if it has one. Raises CommandError."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    path = path_of(name)
    try:
        pem = path.read_bytes()
        if os.name != "nt" and path.stat().st_mode & 0o077:
            raise CommandError(f"Others can read the key {path}. If nobody has, run: chmod 600 {path}")
        try:
            private = load_pem_private_key(pem, None)
        except TypeError:  # it has one
            private = load_pem_private_key(pem, _ask(path.stem).encode())
    except FileNotFoundError:
        raise CommandError(f"There is no key in {path}. Make one with: deployx key create NAME") from None
    except OSError as error:
        raise CommandError(f"The key cannot be read: {error}.") from None
    except ValueError:
        raise CommandError(f"{path} cannot be opened: the passphrase is wrong, or it is no private key.") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise CommandError(f"{path} is no Ed25519 key.")
    return Key(path.stem, private)


def names() -> list[str]:
    """The keys in the folder."""
    return sorted(path.stem for path in folder().glob(f"*{_SUFFIX}"))


def new_passphrase() -> str:
    """Ask for a passphrase for a new key; empty for none. Raises WrongUsage when there is nobody to ask."""
    if not sys.stdin.isatty():
        raise WrongUsage("There is nobody to ask for a passphrase; say --no-passphrase if the key is to have none.")
    return str(
        typer.prompt(
            "Passphrase (empty for none)",
            default="",
            hide_input=True,
            show_default=False,
            confirmation_prompt=True,
            err=True,
        )
    )


def _ask(name: str) -> str:
    if not sys.stderr.isatty():
        raise CommandError(f"The key {name} has a passphrase, and there is nobody to ask for it.")
    return str(typer.prompt(f"Passphrase of the key {name}", hide_input=True, err=True))


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise WrongUsage(f"{name!r} cannot name a key; letters, digits and . _ - can.")
    return name
