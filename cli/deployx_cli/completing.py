"""What the Tab key offers for selectors, runs, releases and groups, asked of the server while somebody types.

Invariant: completion never prints a complaint and never takes long; where no server answers, it offers nothing.
Which keys and values there are, and how they are written, is the server's word (`/selectors/words`).
"""

import os
import re
import shlex
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

from deployx_cli.errors import CommandError

TIMEOUT_S = 3.0
_RUNS = 20
_BREAKS = "=:"
"""Where bash cuts words outside quotes, although no shell and no selector does."""
_VALUE = re.compile(
    r"\s*(?P<key>\"(?:[^\"\\]|\\.)*\"|[^\s=!(),]+)\s*(?:!=|==|=|\s(?:not\s*)?in\s*\()(?P<values>.*)", re.DOTALL
)
"""A condition up to where its values begin, and what is typed of those."""


def prepare_bash(env: MutableMapping[str, str]) -> None:
    """Put together again what bash cut of a selector; what the candidates must not repeat goes to `_DEPLOYX_TYPED`."""
    if env.get("_DEPLOYX_COMPLETE") != "complete_bash":
        return
    words, at = env.get("COMP_WORDS", "").split("\n"), int(env.get("COMP_CWORD", "0"))
    begun = next((place for place in range(min(at, len(words)) - 1, 0, -1) if words[place] == "--on"), None)
    if begun is None or at - begun < 2 or any(word[:1] in ("'", '"') for word in words[begun + 1 : at + 1]):
        return
    parts = words[begun + 1 : at + 1]
    joined = "".join(parts)
    if not any(part and not part.strip(_BREAKS) for part in parts):
        return  # words of their own, with spaces between them
    cut = max(joined.rfind(sign) for sign in _BREAKS) + 1
    env["COMP_WORDS"] = "\n".join([*words[: begun + 1], shlex.quote(joined[cut:]) if joined[cut:] else ""])
    env["COMP_CWORD"], env["_DEPLOYX_TYPED"] = str(begun + 1), joined[:cut]


def selector(incomplete: str) -> list[str]:
    """For `--on`."""
    typed = os.environ.get("_DEPLOYX_TYPED", "")
    found = candidates(typed + incomplete, _words())
    return [text[len(typed) :] for text in found if text.startswith(typed)]


def run(incomplete: str) -> list[tuple[str, str]]:
    """For the id of a run, with what it runs."""
    items = _ask("/runs", {"limit": str(_RUNS)}).get("items", [])
    found = [("last", "the newest")] + [(str(one["id"]), str(one["title"])) for one in items]
    return [one for one in found if one[0].startswith(incomplete)]


def group(incomplete: str) -> list[str]:
    """For the name of a group."""
    names = [str(one["name"]) for one in _ask("/groups").get("items", [])]
    return [name for name in names if name.startswith(incomplete)]


def release(incomplete: str) -> list[str]:
    """For `NAME@VERSION`: the newest, of the name that is typed."""
    name = incomplete.partition("@")[0] if "@" in incomplete else ""
    found = _ask("/releases", {"limit": "100", **({"name": name} if name else {})}).get("items", [])
    called = [f"{one['name']}@{one['version']}" for one in found]
    return [one for one in called if one.startswith(incomplete)]


def deployment(incomplete: str) -> list[tuple[str, str]]:
    """For the id of a deployment, with its release."""
    items = _ask("/deployments", {"limit": str(_RUNS)}).get("items", [])
    found = [("last", "the newest")] + [(str(one["id"]), f"{one['title']}, {one['state']}") for one in items]
    return [one for one in found if one[0].startswith(incomplete)]


def candidates(text: str, words: Mapping[str, Sequence[str]]) -> list[str]:
    """How a selector that begins with `text` may go on: with a key, or a value of its last. `words`: key → values."""
    done, last = _split(text)
    if found := _VALUE.fullmatch(last):
        listed = found["values"]
        at = listed.rfind(",") + 1 if "(" in last else 0
        at += len(listed[at:]) - len(listed[at:].lstrip())
        before = text[: len(text) - len(listed) + at]
        return [before + value for value in words.get(found["key"], ()) if value.startswith(listed[at:])]
    negated = re.match(r"\s*!?", last)
    start = negated.end() if negated else 0
    keys = [key for key in words if key.startswith(last[start:])]
    before = done + last[:start]
    if len(keys) == 1 and words[keys[0]] and not last[:start].strip():  # a shell puts a space behind the only candidate
        return [f"{before}{keys[0]}={value}" for value in words[keys[0]]]
    return [before + (f"{key}=" if words[key] and not last[:start].strip() else key) for key in keys]


def _split(text: str) -> tuple[str, str]:
    """The conditions that are complete, with their last comma, and the one that is being typed."""
    start, depth, quoted, escaped = 0, 0, False, False
    for at, character in enumerate(text):
        if escaped:
            escaped = False
        elif quoted:
            quoted, escaped = character != '"', character == "\\"
        elif character == '"':
            quoted = True
        elif character in "()":
            depth += 1 if character == "(" else -1
        elif character == "," and depth == 0:
            start = at + 1
    return text[:start], text[start:]


def _words() -> dict[str, list[str]]:
    values = _ask("/selectors/words").get("values")
    return values if isinstance(values, dict) else {}


def _ask(path: str, params: Mapping[str, str] | None = None) -> dict[str, Any]:
    from deployx_cli.connection import connected

    try:
        with connected(insecure_http=False, timeout_s=TIMEOUT_S) as api:
            return api.object("GET", path, params=dict(params or {}))
    except (CommandError, OSError):
        return {}
