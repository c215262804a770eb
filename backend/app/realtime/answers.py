"""What peers get as the acknowledgement of an event: `{ok, data}`, or `{ok, error: {code, message}}`."""

from typing import Any

import msgspec

from deployx_protocol.messages import Message

UNKNOWN_EVENT: dict[str, Any] = {
    "ok": False,
    "error": {"code": "unknown_event", "message": "There is no such event here."},
}


def accepted(data: Message | None = None) -> dict[str, Any]:
    """It is done; ``data`` is what came of it."""
    return {"ok": True, "data": msgspec.to_builtins(data) if data else {}}


def refusal(code: str, message: str) -> dict[str, Any]:
    """It is not done, and why."""
    return {"ok": False, "error": {"code": str(code), "message": message}}
