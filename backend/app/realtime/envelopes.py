"""Hints as the text of PostgreSQL's notifications: many in one, each text shorter than a notification may be.

Invariant: whatever the text is, reading it gives hints whose ids a database takes, or raises ``Malformed``: anybody
with a way into the database can say anything on the channel.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated

import msgspec

from app.hints import Hint, HintKind

TEXT_MAX_BYTES = 7_900
"""PostgreSQL takes less than 8,000."""

_Id = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
_Word = Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[0-9A-Za-z-]*\Z")]
_Rev = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    sender: _Word
    hints: list[tuple[str, _Id, _Rev, _Word, _Id, list[_Id | _Word]]]
    """Kind, user, rev, run, device; and which devices, or which tasks of it, or of no device in particular."""


class Malformed(ValueError):
    """The text is none of ours."""


_decoder = msgspec.json.Decoder(_Envelope)


def envelopes(sender: str, hints: Iterable[Hint]) -> Iterator[str]:
    """``hints`` in as few texts as they fit into; one that is empty says that ``sender`` is there."""
    opening = f'{{"sender":"{sender}","hints":['
    text, size = opening, len(opening)
    for head, items in _grouped(hints).items():
        begun = ""
        for item in items:
            piece = f",{item}" if begun else f"{',' if size > len(opening) else ''}{head}{item}"
            if size + len(piece) + 4 > TEXT_MAX_BYTES:
                yield f"{text}{']]' if begun else ''}]}}"
                text, size, piece = opening, len(opening), f"{head}{item}"
            text, size, begun = text + piece, size + len(piece), head
        text, size = f"{text}]]", size + 2
    yield f"{text}]}}"


def _grouped(hints: Iterable[Hint]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for hint in hints:
        device_id, item = (hint.device_id, f'"{hint.task_id}"') if hint.task_id else (0, str(hint.device_id))
        head = f'["{hint.kind}",{hint.user_id},{hint.rev},"{hint.run_id}",{device_id},['
        groups.setdefault(head, []).append(item)
    return groups


def opened(text: str) -> tuple[str, list[Hint]]:
    """Who says so, and the hints; those of kinds that this version does not know are left out. Raises Malformed."""
    try:
        envelope = _decoder.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Malformed(str(error)[:200]) from None
    found: list[Hint] = []
    for name, user_id, rev, run_id, device_id, items in envelope.hints:
        if name not in _KINDS:
            continue
        for item in items:
            if isinstance(item, int):
                found.append(Hint(_KINDS[name], item, user_id, rev, run_id))
            else:
                found.append(Hint(_KINDS[name], device_id, user_id, rev, run_id, item))
    return envelope.sender, found


_KINDS = {kind.value: kind for kind in HintKind}
