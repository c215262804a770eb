"""Packets for a Socket.IO server that no client of ours would send, the same ones each time for a ``seed``.

Most are events that can be read, with values that nobody expects, because only those get as far as a handler; the rest
is damaged somewhere, of another kind, or no packet at all.
"""

import json
import random
from collections.abc import Iterator, Mapping
from typing import Any

from deployx_protocol import events
from tests.support.openapi import IN_JSON

_BROKEN: tuple[str | bytes, ...] = (
    *(
        "",
        "1",
        "4",
        "40",
        "41",
        "42",
        "42[]",
        "42{}",
        "42[1]",
        "42[null]",
        '42["ping"',
        "43[]",
        "431[{}]",
        "43abc[]",
        "44",
        "49",
    ),
    *(
        "9",
        "5",
        "6",
        "2probe",
        '40{"token":1}',
        '40{"token":"\\u0000"}',
        "40[",
        "40/admin,",
        "42/other,[]",
        "41/other,",
    ),
    *(
        '450-["ping"]',
        '451-["agent_register",{"_placeholder":true,"num":0}]',
        '42-1["ping"]',
        '42999999999999999999999["ping"]',
    ),
    *(
        "42" + "[" * 3000 + "]" * 3000,
        '42["' + "e" * 20_000 + '"]',
        "4" + "\ud7ff" * 20,
        "b" + "A" * 30,
        "\x1e42",
        "bAAEC",
    ),
    *(b"", b"\x00\x01\x02", b"42[]", b"\xff" * 300),
)
_STRANGE = ("", "*", "no_such_event", "__class__", "Ping", "ping\0", "task_assigned", "registration_success", "e" * 200)


def packets(seed: int, count: int, payloads: Mapping[str, Mapping[str, Any]]) -> Iterator[str | bytes]:
    """So many. ``payloads``: for each event that is taken, one that is right, of which the wild ones are made."""
    dice = random.Random(seed)
    for _ in range(count):
        chance = dice.random()
        if chance < 0.03:
            yield dice.choice(_BROKEN)
        elif chance < 0.05:
            yield f"42{json.dumps([dice.choice(sorted(events.RESERVED)), {}])}"
        else:
            text = _event(dice, payloads)
            yield _damaged(dice, text) if chance < 0.08 else text


def _event(dice: random.Random, payloads: Mapping[str, Mapping[str, Any]]) -> str:
    name = dice.choice(_STRANGE if dice.random() < 0.1 else tuple(payloads))
    arguments: list[Any] = [
        _payload(dice, payloads.get(name, {})) for _ in range(dice.choice((0, 1, 1, 1, 1, 1, 1, 2)))
    ]
    number = dice.choice(("", "7", str(dice.randrange(10**6))))
    return f"42{number}{json.dumps([name, *arguments])}"


def _payload(dice: random.Random, right: Mapping[str, Any]) -> Any:
    if not right or dice.random() < 0.2:
        return dice.choice(IN_JSON)
    wild = dict(right)
    for _ in range(dice.choice((0, 1, 1, 1, 2, 3))):
        field = dice.choice((*right, "no_such_field"))
        if dice.random() < 0.2:
            wild.pop(field, None)
        elif isinstance(inner := right.get(field), list) and dice.random() < 0.8:
            wild[field] = [_payload(dice, one) for one in inner]
        else:
            wild[field] = dice.choice(IN_JSON)
    return wild


def _damaged(dice: random.Random, text: str) -> str:
    at = dice.randrange(len(text))
    match dice.randrange(3):
        case 0:
            return text[:at]
        case 1:
            return text[:at] + chr(dice.randrange(32, 0xD800)) + text[at + 1 :]
        case _:
            return text[:at] + text[at:] * 2
