"""Where audit records ended when they were last verified: one file beside the stored login, by server."""

import json
from pathlib import Path

from deployx_cli import store
from deployx_cli.audit_chain import Head
from deployx_cli.errors import CommandError


def path() -> Path:
    """The file."""
    return store.path().with_name("audit-heads.json")


def load(url: str) -> list[Head]:
    """What is known of the server at ``url``: one head, or none. Raises CommandError for a damaged file."""
    known = _all().get(url)
    return [Head.of(known)] if known else []


def save(url: str, head: Head) -> None:
    """Remember ``head``. Raises CommandError."""
    known = _all() | {url: str(head)}
    try:
        store.write(path(), known)
    except OSError as error:
        raise CommandError(f"Where the record ended could not be kept: {error}.") from None


def _all() -> dict[str, str]:
    try:
        known = json.loads(path().read_text())
        for told in known.values():
            Head.of(told)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CommandError(f"{path()} cannot be read: {error}.") from None
    except (ValueError, TypeError, AttributeError):
        text = f"{path()} is damaged. If you know why, delete it; what it remembered cannot be checked any more."
        raise CommandError(text) from None
    return dict(known)
