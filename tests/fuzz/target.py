"""What atheris runs, as a program of its own: bytes as a peer sends them, through everything that reads them unasked.

`python target.py REPORT [options of libFuzzer]`. A part of the mutations keeps to JSON, or few would get past its
parser. Any exception but the two refusals is a crash, and so is a packet that does not survive being written and read
again. REPORT gets the resident MiB after a tenth of the inputs and at the end.
"""

import json
import random
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import atheris

with atheris.instrument_imports(include=["deployx_protocol"]):
    from deployx_protocol import checks, dsse, events, messages, packets, releases, signed_runs, task_messages
    from deployx_protocol.checks import InvalidPayload
    from deployx_protocol.packets import Event, Packet, PacketError

STRUCTS: Final[dict[str, type[Any]]] = {
    events.AGENT_REGISTER: messages.AgentRegister,
    events.REGISTRATION_ACK: messages.RegistrationAck,
    events.PING: messages.Ping,
    events.AGENT_LEAVING: messages.AgentLeaving,
    events.TASK_UPDATES: task_messages.TaskUpdates,
    events.TASK_OUTPUT: task_messages.TaskOutput,
    events.TASK_ASSIGNED: task_messages.TaskAssigned,
    events.TASK_CANCEL: task_messages.TaskCancel,
    events.TASK_ACKNOWLEDGED: task_messages.TaskAcknowledged,
}
"""Both ends' words: an agent does not trust its server's form either."""
WORDS: Final = sorted({*STRUCTS, *(field for struct in STRUCTS.values() for field in struct.__struct_fields__)})


def resident_mib() -> float:
    """Of this process, now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def read(data: bytes) -> None:
    """One input."""
    try:
        packet = packets.decode(data)
    except PacketError as error:
        if error.event is not None:
            payload(error.event)
        return
    survives(packet)
    if isinstance(packet, Event):
        payload(packet)


def survives(packet: Packet) -> None:
    """What was read can be written, and means the same then; but for numbers that no JSON can hold any more."""
    try:
        raw = packets.encode(packet, max_bytes=1 << 20)
    except PacketError:
        return
    again = packets.decode(raw, max_bytes=1 << 20)
    assert packets.encode(again, max_bytes=1 << 20) == raw, f"{packet!r} became {again!r}"


def payload(event: Event) -> None:
    """The payload of an event is a struct, or is refused with a sentence."""
    struct = STRUCTS.get(event.name)
    if struct is None or not event.args:
        return
    with suppress(InvalidPayload):
        found = checks.decode(event.args[0], struct)
        for task in getattr(found, "tasks", ()):
            if task.envelope is not None:
                signed(task.envelope)


def signed(envelope: dsse.Envelope) -> None:
    """What somebody has signed, or says so."""
    with suppress(InvalidPayload):
        releases.parse(envelope.body())
    with suppress(InvalidPayload):
        signed_runs.read(envelope)


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Another input made of ``data``: its bytes are changed, or a value somewhere in its JSON."""
    dice = random.Random(seed)
    head = data[: len(data) - len(data.lstrip(b"0123456789"))]
    if dice.random() < 0.3:
        with suppress(ValueError, RecursionError):
            tree = [json.loads(data[len(head) :])]
            within(tree, dice)
            return (head + json.dumps(tree[0], separators=(",", ":")).encode())[:max_size]
    changed: bytes = atheris.Mutate(data, max_size)
    return changed


def within(tree: Any, dice: random.Random) -> None:
    """Change one value somewhere in ``tree``, a list that is not empty."""
    places: list[tuple[Any, Any]] = []
    level: list[Any] = [tree]
    while level:
        inner = level.pop()
        here = list(inner) if isinstance(inner, dict) else range(len(inner))
        places += [(inner, at) for at in here]
        level += [inner[at] for at in here if isinstance(inner[at], dict | list)]
    holder, at = dice.choice(places)
    if isinstance(holder, dict) and dice.random() < 0.3:
        holder[dice.choice(WORDS)] = holder.pop(at)
        return
    old = holder[at]
    strange = [
        None,
        True,
        -1,
        2**63,
        1e308,
        "",
        "\0",
        "\ud800",
        "a" * 300,
        [],
        {},
        [old],
        {"": old},
        dice.choice(WORDS),
    ]
    holder[at] = dice.choice(strange)


def main() -> None:
    """Until libFuzzer has enough."""
    report, *options = sys.argv[1:]
    runs = next(int(option.removeprefix("-runs=")) for option in options if option.startswith("-runs="))
    done, early = 0, 0.0

    def one_input(data: bytes) -> None:
        nonlocal done, early
        done += 1
        if done == runs // 10:
            early = resident_mib()
        elif done == runs:  # the last one: libFuzzer ends the process itself
            Path(report).write_text(f"{done} {early:.1f} {resident_mib():.1f}\n")
        read(data)

    atheris.Setup([sys.argv[0], *options], one_input, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
