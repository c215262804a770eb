"""Many agents in one process: `python -m tests.support.crowd URL FIRST LAST`. To kill it is to lose them all at once.

Each speaks the specification's five fields on a websocket of its own, as the device that ``rows.device`` describes.
It prints `ready` when all have registered, and then keeps every connection alive.
"""

import asyncio
import sys
from contextlib import AsyncExitStack

from deployx_protocol import events
from tests.support.rawlink import RawLink

AT_ONCE = 20


async def register_as(link: RawLink, number: int) -> None:
    """Register as the device that ``rows.device(number, public_key=None, trust="unverified")`` describes."""
    seed = {
        "agent_id": f"agent-{number:05}",
        "hostname": f"host-{number:05}",
        "platform": "Linux-6.1-x86_64",
        "ip_address": f"192.0.2.{number % 250 + 1}",
        "machine_id": f"machine-{number:05}",
    }
    await link.emit(events.AGENT_REGISTER, seed)
    await link.event(events.REGISTRATION_SUCCESS)


async def main(url: str, first: int, last: int) -> None:
    """Connect and register all, then answer pings for ever."""
    turn = asyncio.Semaphore(AT_ONCE)
    async with AsyncExitStack() as stack:

        async def enter(number: int) -> RawLink:
            async with turn:
                link = await stack.enter_async_context(RawLink.connected(url))
                await register_as(link, number)
                return link

        links = await asyncio.gather(*(enter(number) for number in range(first, last)))
        print("ready", flush=True)
        await asyncio.gather(*(link.event("never") for link in links))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
