"""Moments in the server's sentences, as people read them: in their own time, and no longer than they need."""

import re
from datetime import UTC, datetime

_MOMENT = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
"""How the server writes a moment in a sentence, and nothing else."""


def for_people(text: str, now: datetime | None = None) -> str:
    """`offline since 14:02`, `until 26 Nov 14:02`: each moment in this machine's time, the day where it is another."""
    today = (now or datetime.now(UTC)).astimezone().date()

    def local(found: re.Match[str]) -> str:
        moment = datetime.fromisoformat(found[0]).astimezone()
        if moment.date() == today:
            return f"{moment:%H:%M}"
        return f"{moment.day} {moment:%b %H:%M}" if moment.year == today.year else f"{moment:%Y-%m-%d %H:%M}"

    return _MOMENT.sub(local, text)
