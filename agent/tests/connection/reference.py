"""python-socketio's server, with the script that ``reference.mjs`` has as well: what it does is asked for by events.

Its argument is options as JSON. It prints its port, and ends with its input.
"""

import asyncio
import json
import sys
from typing import Any

import socketio
from aiohttp import web


def server(options: dict[str, Any]) -> socketio.AsyncServer:
    """One that does what it is asked to."""
    sio = socketio.AsyncServer(
        async_mode="aiohttp",
        ping_interval=options["ping_interval_s"],
        ping_timeout=options["ping_timeout_s"],
        max_http_buffer_size=options["max_bytes"],
        transports=["websocket"],
    )
    shown: dict[str, Any] = {}

    async def connect(sid: str, _environ: Any, auth: Any) -> None:
        if refuse := options["refuse"]:
            raise socketio.exceptions.ConnectionRefusedError(refuse["message"], refuse["data"])
        shown[sid] = auth or {}

    async def disconnect(_sid: str, reason: str) -> None:
        print(f"left: {reason}", flush=True)

    async def who(sid: str, _payload: Any) -> None:
        await sio.emit("you", shown[sid], to=sid)

    async def ask(sid: str, payload: Any) -> Any:
        await sio.emit("answer", payload, to=sid)
        return payload

    async def question(sid: str, _payload: Any) -> None:
        async def said(*arguments: Any) -> None:
            await sio.emit("answered", list(arguments), to=sid)

        await sio.emit("question", {}, to=sid, callback=said)

    async def later(sid: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await sio.emit("answer", seconds, to=sid)

    async def send_long(sid: str, length: int) -> None:
        await sio.emit("answer", "x" * length, to=sid)

    async def send_binary(sid: str, _payload: Any) -> None:
        await sio.emit("answer", b"\x01\x02\x03", to=sid)

    async def leave(sid: str, _payload: Any) -> None:
        await sio.disconnect(sid)

    async def drop(sid: str, _payload: Any) -> None:
        await sio.eio.disconnect(sio.manager.eio_sid_from_sid(sid, "/"))

    for handler in (connect, disconnect, who, ask, question, later, send_long, send_binary, leave, drop):
        sio.on(handler.__name__, handler)
    return sio


async def main(options: dict[str, Any]) -> None:
    """Until standard input ends."""
    application = web.Application()
    server(options).attach(application)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)  # type: ignore[union-attr]
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
