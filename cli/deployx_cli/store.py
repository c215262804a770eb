"""The stored login, one file below the user's configuration folder.

Invariant: only its owner can read the file (0600 from its first byte), and a token goes to no other server than the
one that issued it.
"""

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deployx_cli.address import DEFAULT_URL, normalise
from deployx_cli.errors import CommandError, NotAllowed


@dataclass(frozen=True, slots=True)
class Login:
    """A server and the token for it."""

    url: str
    token: str
    token_id: str = ""
    """For `deployx logout`, when `deployx login` has made the token."""
    email: str = ""


def path() -> Path:
    """Where the login is kept."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "deployx" / "login.json"


def load() -> Login | None:
    """The stored login, if there is one. Raises CommandError when the file is damaged."""
    file = path()
    try:
        return Login(**json.loads(file.read_text()))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CommandError(f"Could not read the stored login: {error}.") from None
    except (ValueError, TypeError):
        raise CommandError(f"{file} is damaged. Delete it, then run: deployx login") from None


def save(login: Login) -> Path:
    """Store the login in place of the old one."""
    try:
        return write(path(), asdict(login))
    except OSError as error:
        raise CommandError(f"Could not store the login: {error}.") from None


def write(file: Path, content: Any) -> Path:
    """Put ``content``, as JSON, in place of what ``file`` holds, whole or not at all; ``file``. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, partial = tempfile.mkstemp(dir=file.parent, prefix=f"{file.stem}.")  # mkstemp: 0600
    with os.fdopen(descriptor, "w") as stream:
        json.dump(content, stream, indent=1)
        stream.write("\n")
    Path(partial).replace(file)
    return file


def forget() -> None:
    """Delete the stored login."""
    path().unlink(missing_ok=True)


def current() -> Login:
    """Whom to talk to as whom: `DEPLOYX_URL` and `DEPLOYX_TOKEN` before what is stored. Raises NotAllowed."""
    url, token = os.environ.get("DEPLOYX_URL", ""), os.environ.get("DEPLOYX_TOKEN", "").strip()
    stored = None if url and token else load()
    if token:
        return Login(url=normalise(url) if url else (stored.url if stored else DEFAULT_URL), token=token)
    if stored is None:
        raise NotAllowed("You are not signed in. Run: deployx login, or set DEPLOYX_URL and DEPLOYX_TOKEN.")
    if url and normalise(url) != stored.url:
        raise NotAllowed(
            f"DEPLOYX_URL is {normalise(url)}, but the stored login is for {stored.url}. "
            "Set DEPLOYX_TOKEN as well, or run: deployx login"
        )
    return stored
