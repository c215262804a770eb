"""The agents: so many connections of one process, as cheap as they can be, so that the server is what is measured."""

import asyncio
import time
from collections.abc import Callable

import msgspec
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

AT_ONCE = 200
"""Handshakes under way at a time."""
PATIENCE_S = 300.0


class Agent(WSListener):
    """One agent: it registers, answers pings, and reports each task that it is handed."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.ws: WSTransport | None = None
        self.registered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answered: Callable[[int], None] = lambda _: None

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The websocket is open; Engine.IO speaks first."""
        self.ws = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """One packet."""
        raw = frame.get_payload_as_bytes()
        if raw.startswith(b'42["task_assigned"'):
            self.say(b'423["task_updates",{"updates":[{"task_id":"%b","state":"succeeded","code":0}]}]' % (b"0" * 32))
        elif raw.startswith(b"43"):
            ack = int(raw[2 : raw.index(b"[")])
            if ack == 1:
                self.registered.set_result(None)
            else:
                self.answered(ack)
        elif raw == b"2":
            self.say(b"3")
        elif raw[:1] == b"0":
            self.say(b"40")
        elif raw.startswith(b"40"):
            seed = dict.fromkeys(("agent_id", "hostname", "machine_id"), f"agent-{self._number}")
            seed |= {"platform": "linux", "ip_address": "10.0.0.1"}
            self.say(b"421" + msgspec.json.encode(["agent_register", seed]))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The server is gone, or this one was cut."""
        if not self.registered.done():
            self.registered.set_exception(ConnectionError("cut before it was registered"))

    def say(self, raw: bytes) -> None:
        """Send one packet."""
        assert self.ws is not None
        self.ws.send(WSMsgType.TEXT, raw)


class Crowd:
    """All agents of one server at ``url``."""

    def __init__(self, url: str) -> None:
        self._address = f"{url.replace('http', 'ws', 1)}/socket.io/?EIO=4&transport=websocket"
        self.agents: list[Agent] = []

    async def come(self, count: int) -> float:
        """``count`` agents connect and register; how many seconds it takes."""
        places = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> Agent:
            async with places:
                _, agent = await ws_connect(lambda: Agent(number), self._address)
                assert isinstance(agent, Agent)
                await agent.registered
                return agent

        began = time.perf_counter()
        async with asyncio.timeout(PATIENCE_S):
            self.agents = await asyncio.gather(*(one(number) for number in range(count)))
        return time.perf_counter() - began

    async def heartbeats(self, over_s: float) -> list[float]:
        """One of each agent, spread over ``over_s``; how many seconds each waits for its acknowledgement."""
        loop = asyncio.get_running_loop()
        took: list[float] = []
        all_there = asyncio.Event()

        def beat(agent: Agent) -> None:
            at = time.perf_counter()

            def answered(_ack: int) -> None:
                took.append(time.perf_counter() - at)
                if len(took) == len(self.agents):
                    all_there.set()

            agent.answered = answered
            agent.say(b'422["ping",{}]')

        for number, agent in enumerate(self.agents):
            loop.call_later(over_s * number / len(self.agents), beat, agent)
        async with asyncio.timeout(PATIENCE_S):
            await all_there.wait()
        return took

    async def fan_out(self) -> list[float]:
        """An event to all, of which each says that it is done; how many seconds until each is acknowledged."""
        took: list[float] = []
        all_there = asyncio.Event()
        began = time.perf_counter()

        def answered(ack: int) -> None:
            if ack == 3:
                took.append(time.perf_counter() - began)
                if len(took) == len(self.agents):
                    all_there.set()

        for agent in self.agents:
            agent.answered = answered
        self.agents[0].say(b'424["fan_out",{}]')
        async with asyncio.timeout(PATIENCE_S):
            await all_there.wait()
        return took

    async def leave(self) -> None:
        """All are gone."""
        for agent in self.agents:
            if agent.ws:
                agent.ws.disconnect(False)
        await asyncio.sleep(0)
