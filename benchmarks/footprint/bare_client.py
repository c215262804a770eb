"""The least that python-socketio and aiohttp can do: connect, send the specification's five fields, stay connected.

It is what an agent would cost at least that is built on them; ours is not, and does more.
"""

import asyncio
import socket
import sys

import socketio


async def main(origin: str, agent_id: str) -> None:
    """Until it is ended from outside."""
    client = socketio.AsyncClient(reconnection=False)

    async def registered(_payload: object) -> None:
        print("registered", flush=True)

    client.on("registration_success", registered)
    await client.connect(origin, transports=["websocket"])
    await client.emit(
        "agent_register",
        {
            "agent_id": agent_id,
            "hostname": socket.gethostname(),
            "platform": sys.platform,
            "ip_address": "127.0.0.1",
            "machine_id": agent_id,
        },
    )
    await client.wait()


asyncio.run(main(*sys.argv[1:]))
