"""An agent for tests of outages: it stays registered for as long as it is there, whatever the server goes through."""

import asyncio

from deployx_protocol import events
from tests.support.machines import AgentPeer, Machine

RETURNS_S = 0.5
"""How long it waits before it tries again, whatever the server advises."""


class Returning(AgentPeer):
    """An agent that does what ours does: it registers again when it is asked to, or when it was refused for a while."""

    def __init__(self, url: str, machine: Machine | None = None) -> None:
        super().__init__(url, machine)
        self.refusals: list[str] = []
        self.registered = False
        self._loop: asyncio.Task[None] | None = None

    async def come(self) -> None:
        """Connect and stay registered until it leaves."""
        await self.connect()
        self._loop = asyncio.create_task(self._stay())

    async def leave(self, how: int) -> None:
        """Go, in one of three ways."""
        if self._loop:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)
        if how == 0:
            await self.abort()
        elif how == 1:
            await self.emit(events.AGENT_LEAVING, {"reason": "the machine shuts down"})
        await self.close()

    async def _stay(self) -> None:
        name, answer = await self.register()
        while True:
            self.registered = name == events.REGISTRATION_SUCCESS
            if name == events.REGISTRATION_FAILED:
                assert answer["retryable"], answer
                self.refusals.append(answer["code"])
                await asyncio.sleep(RETURNS_S)
            else:
                await self.payload(events.REGISTRATION_REQUIRED, within_s=600)
            name, answer = await self.register()
