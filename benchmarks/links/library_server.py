"""The same on python-socketio and uvicorn's websockets, with the collector set as for ours. Prints its address."""

from typing import Any

import socketio

from links.serving import serve

YES: dict[str, Any] = {"ok": True, "data": {}}
sio = socketio.AsyncServer(async_mode="asgi", transports=["websocket"], async_handlers=False)
agents: set[str] = set()


@sio.event  # type: ignore[untyped-decorator]
async def disconnect(sid: str, reason: str) -> None:
    """It is gone."""
    agents.discard(sid)


@sio.event  # type: ignore[untyped-decorator]
async def agent_register(sid: str, payload: Any) -> Any:
    """A registration."""
    agents.add(sid)
    await sio.emit("registration_success", {"agent_id": payload["agent_id"]}, to=sid)
    return YES


@sio.event  # type: ignore[untyped-decorator]
async def ping(sid: str, payload: Any) -> Any:
    """A heartbeat."""
    await sio.emit("pong", {}, to=sid)
    return YES


@sio.event  # type: ignore[untyped-decorator]
async def task_updates(sid: str, payload: Any) -> Any:
    """A report."""
    return YES


@sio.event  # type: ignore[untyped-decorator]
async def fan_out(sid: str, payload: Any) -> Any:
    """The wish to hear all of them at once."""
    for agent in list(agents):
        await sio.emit("task_assigned", {"task_id": "0" * 32, "command": ["echo", "hi"]}, to=agent)
    return YES


def main() -> None:
    """Serve until killed."""
    app = socketio.ASGIApp(sio, socketio_path="/socket.io")
    serve(app, ws="websockets-sansio", ws_per_message_deflate=False, ws_ping_interval=None)


if __name__ == "__main__":
    main()
