"""Agents with a key each: they register signed, confirm their generation, beat, and answer tasks."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable

import msgspec
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from app.sim.machine import Machine
from deployx_protocol import events

AT_ONCE = 150
"""Connections under way at a time; a server admits 200 of one address that have not registered."""
PATIENCE_S = 600.0
BOOT_ID = "b" * 32
_EMPTY = hashlib.sha256(b"").digest()
NO_OUTPUT = hashlib.sha256(_EMPTY + _EMPTY).hexdigest()
_encode = msgspec.json.encode
_decode = msgspec.json.decode


class Agent(WSListener):
    """One agent, whose ``machine`` stays what it is when its connection goes."""

    def __init__(self, machine: Machine, origin: str, token: str) -> None:
        self.machine = machine
        self._origin = origin
        self._token = token
        self._ws: WSTransport | None = None
        self.registered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gone = asyncio.Event()
        self.acknowledged: Callable[[], None] = lambda: None
        self.assigned: Callable[[], None] = lambda: None

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The websocket is open; Engine.IO speaks first."""
        self._ws = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """One packet."""
        raw = frame.get_payload_as_bytes()
        if raw == b"2":
            self._say(b"3")
        elif raw[:2] == b"42":
            self._event(*_decode(raw[2:]))
        elif raw[:2] == b"43":
            self.acknowledged()
        elif raw[:2] == b"40":
            sid = _decode(raw[2:])["sid"]
            self._emit(events.AGENT_REGISTER, self.machine.register(self._origin, sid, BOOT_ID, self._token))
        elif raw[:1] == b"0":
            self._say(b"40")

    def _event(self, name: str, payload: dict[str, object]) -> None:
        if name == events.REGISTRATION_SUCCESS:
            self.machine.enrolled = True
            self.machine.generation = int(str(payload["generation"]))
            self._emit(events.REGISTRATION_ACK, {"generation": self.machine.generation})
            if not self.registered.done():
                self.registered.set_result(None)
        elif name == events.TASK_ASSIGNED:
            self.assigned()
            self._emit(events.TASK_UPDATES, {"updates": [*map(_succeeded, payload["tasks"])]})  # type: ignore[call-overload]
        elif name in (events.REGISTRATION_FAILED, events.SESSION_ENDED) and not self.registered.done():
            self.registered.set_exception(RuntimeError(f"the server said {name}: {payload}"))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The server is gone, or this one was cut."""
        self.gone.set()
        if not self.registered.done():
            self.registered.set_exception(ConnectionError("cut before it was registered"))

    def beat(self) -> None:
        """Send a heartbeat, to be acknowledged."""
        self._say(b'427["ping",{}]')

    def drop(self) -> None:
        """Cut the connection without a word."""
        if self._ws:
            self._ws.disconnect(False)

    def _emit(self, event: str, payload: object) -> None:
        self._say(b"42" + _encode((event, payload)))

    def _say(self, raw: bytes) -> None:
        assert self._ws is not None
        self._ws.send(WSMsgType.TEXT, raw)


def _succeeded(task: dict[str, object]) -> dict[str, object]:
    return {"task_id": task["task_id"], "state": "succeeded", "exit_code": 0, "duration_s": 0.0, "digest": NO_OUTPUT}


class Fleet:
    """So many agents of the server at ``url``; ``token`` admits them."""

    def __init__(self, url: str, count: int, token: str) -> None:
        self._origin = url
        self._address = f"{url.replace('http', 'ws', 1)}/socket.io/?EIO=4&transport=websocket"
        self._token = token
        self.machines = [Machine.make("fleet", number) for number in range(count)]
        self.agents: list[Agent] = []

    async def come(self) -> float:
        """All connect and register; how many seconds it takes."""
        places = asyncio.Semaphore(AT_ONCE)

        async def one(machine: Machine) -> Agent:
            async with places:
                return await self.enter(machine)

        began = time.perf_counter()
        async with asyncio.timeout(PATIENCE_S):
            self.agents = await asyncio.gather(*map(one, self.machines))
        return time.perf_counter() - began

    async def enter(self, machine: Machine) -> Agent:
        """``machine`` connects and registers."""
        _, agent = await ws_connect(lambda: Agent(machine, self._origin, self._token), self._address)
        assert isinstance(agent, Agent)
        await agent.registered
        return agent

    async def leave(self) -> None:
        """All are cut."""
        for agent in self.agents:
            agent.drop()
        for agent in self.agents:
            await agent.gone.wait()
        self.agents = []

    async def beat(self, over_s: float) -> list[float]:
        """A heartbeat of each, spread over ``over_s``; how many seconds each waits for its acknowledgement."""
        loop, took, over = asyncio.get_running_loop(), list[float](), asyncio.Event()

        def beat(agent: Agent) -> None:
            at = time.perf_counter()

            def acknowledged() -> None:
                took.append(time.perf_counter() - at)
                if len(took) == len(self.agents):
                    over.set()

            agent.acknowledged = acknowledged
            agent.beat()

        for number, agent in enumerate(self.agents):
            loop.call_later(over_s * number / len(self.agents), beat, agent)
        async with asyncio.timeout(PATIENCE_S):
            await over.wait()
        return took

    async def handed(self, start: Callable[[], Awaitable[object]], count: int) -> list[float]:
        """``start`` gives ``count`` of them a task; how many seconds until each has it."""
        took, over = list[float](), asyncio.Event()
        began = time.perf_counter()

        def assigned() -> None:
            took.append(time.perf_counter() - began)
            if len(took) == count:
                over.set()

        for agent in self.agents:
            agent.assigned = assigned
        await start()
        async with asyncio.timeout(PATIENCE_S):
            await over.wait()
        return took

    async def flap(self, changes: int, over_s: float) -> None:
        """Agents go and come back, so that their states change ``changes`` times, evenly over ``over_s``."""
        began, pairs, places = time.perf_counter(), changes // 2, asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> None:
            at = number % len(self.agents)
            await asyncio.sleep(max(0.0, began + over_s * number / pairs - time.perf_counter()))
            old = self.agents[at]
            old.drop()
            await old.gone.wait()
            async with places:  # a server that is behind admits no more than so many
                self.agents[at] = await self.enter(old.machine)

        if pairs > len(self.agents):
            raise ValueError("each agent goes once at most")
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(one(number) for number in range(pairs)))
