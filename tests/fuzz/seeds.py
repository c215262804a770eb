"""Where the fuzzer begins: one packet of each kind, and one event of each name with a payload that is taken."""

from pathlib import Path

import msgspec

from deployx_protocol import dsse, events, packets, releases, task_messages
from deployx_protocol.tasks import TaskState

_ID = "0190a0a0-0000-7000-8000-000000000000"
_REGISTER = {
    "agent_id": "web-1",
    "hostname": "web-1",
    "platform": "Linux",
    "ip_address": "192.0.2.1",
    "machine_id": "m-1",
    "protocol": 1,
    "tags": {"role": "web"},
    "fingerprint": {"cpu": "a" * 64},
}
_RELEASE = {
    "name": "shop",
    "version": "1.2",
    "number": 3,
    "kind": "script",
    "platforms": ["linux"],
    "install": {"command": ["true"]},
    "detect": {"shell": "true"},
}


def write(folder: Path) -> None:
    """The seeds and, in ``words``, what a mutation would hardly guess."""
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, packet in enumerate(_packets()):
        (corpus / str(number)).write_bytes(packets.encode(packet))
    names = sorted(events.FROM_AGENT | {events.TASK_ASSIGNED, events.TASK_CANCEL, events.TASK_ACKNOWLEDGED})
    words = [
        *names,
        *_REGISTER,
        *(state.value for state in TaskState),
        releases.PAYLOAD_TYPE,
        _ID,
        '42["',
        '":',
        "\\u0000",
    ]
    lines = ("".join(f"\\x{byte:02x}" for byte in word.encode()) for word in words)
    (folder / "words").write_text("".join(f'"{line}"\n' for line in lines))


def _packets() -> list[packets.Packet]:
    said: list[tuple[str, object]] = [
        (events.AGENT_REGISTER, _REGISTER),
        (events.REGISTRATION_ACK, {"generation": 2}),
        (events.PING, {}),
        (events.AGENT_LEAVING, {"reason": "stopped"}),
        (events.TASK_UPDATES, {"updates": [{"task_id": _ID, "state": "running", "phase": "installing", "percent": 4}]}),
        (events.TASK_OUTPUT, {"task_id": _ID, "chunks": [{"seq": 0, "stream": 1, "data": "aGk="}]}),
        (events.TASK_ASSIGNED, msgspec.to_builtins(task_messages.TaskAssigned(tasks=[_task()]))),
        (events.TASK_CANCEL, {"task_ids": [_ID]}),
        (events.TASK_ACKNOWLEDGED, {"updates": [{"task_id": _ID, "state": "running"}], "unknown": [_ID]}),
    ]
    return [
        packets.Open("sid", 25_000, 60_000),
        packets.Close(),
        packets.Ping(),
        packets.Connect({"token": "t"}),
        packets.ConnectError({"message": "no"}),
        packets.Disconnect(),
        packets.Ack(7, [{"ok": True}]),
        *(packets.Event(name, [payload], number) for number, (name, payload) in enumerate(said)),
    ]


def _task() -> task_messages.Task:
    body = msgspec.json.encode(_RELEASE)
    signature = dsse.Signature(sig="AAAA")
    payload = msgspec.json.encode(body).decode().strip('"')  # msgspec writes bytes as base64
    return task_messages.Task(
        task_id=_ID,
        agent_id="web-1",
        argv=["echo", "hi"],
        timeout_s=60,
        expires_in_s=60,
        output_quota_bytes=1_000,
        envelope=dsse.Envelope(payload=payload, payloadType=releases.PAYLOAD_TYPE, signatures=[signature]),
    )
