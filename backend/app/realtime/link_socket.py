"""One Engine.IO connection of ours: when its peer counts as dead or too slow, and how it is closed.

Invariant: only the pong that is owed decides whether a peer is there. It is judged by the monotonic clock, and not
before all that arrived in time has been read: a server that did not run for a while loses nobody for it.
"""

import asyncio
import random
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

from engineio import packet as eio_packet
from engineio.async_socket import AsyncSocket
from engineio.exceptions import EngineIOError

from app.realtime.reasons import Reason
from app.websocket import WebSocket, text_frame

OUTGOING_MAX = 2_000
"""Packets that may wait for a peer that does not read them; then the connection is cut."""
_FROM_CLIENTS = frozenset({eio_packet.PONG, eio_packet.MESSAGE, eio_packet.UPGRADE, eio_packet.CLOSE})
_TURNS_TO_READ = 50
"""Turns of the loop in which what has arrived gets from the kernel to `receive`; a few are enough."""
STALLED_S = 1.0
"""A deadline that is noticed so much too late says that this process did not run."""


class _Never:
    """Added to seconds it is None, no time-out: ``asyncio.wait_for`` then makes no timer, and no task of its own."""

    def __radd__(self, _seconds: float) -> None:
        return None


class _NoOtherDeadline:
    """The library's server as its sockets see it.

    They would wait for a peer no longer than interval and timeout together, from its last word on. That ends at the
    very moment when a pong is due, and closes the connection without saying why. It would cost a timer for each packet.
    """

    ping_timeout = _Never()

    def __init__(self, server: Any) -> None:
        self._server = server

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)


class Text:
    """A message as each peer gets it, made once for all of them. ``raw``: what is behind Engine.IO's type."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    @cached_property
    def frame(self) -> bytes:
        """For a websocket."""
        return text_frame(b"%d%b" % (eio_packet.MESSAGE, self._raw))

    @cached_property
    def packet(self) -> Any:
        """For the library."""
        return eio_packet.Packet(eio_packet.MESSAGE, self._raw.decode())


class LinkSocket(AsyncSocket):  # type: ignore[misc]
    """An Engine.IO connection whose deadlines are timers on the monotonic clock. Made from a fresh AsyncSocket."""

    server: Any

    def adopt(self, complain: Callable[[str], None], websocket: WebSocket | None) -> None:
        """Begin: what ``__init__`` would do, had the library let us choose the class. ``complain`` of this peer.

        ``websocket`` is what it came by, if not by polling."""
        self._complain = complain
        self._websocket = websocket
        self._idle = False
        self._ping_timeout_s: float = self.server.ping_timeout
        self.server = _NoOtherDeadline(self.server)
        self.last_ping = time.monotonic()
        self._pinged_once = False
        self._handling = 0
        self._pong_deadline: asyncio.TimerHandle | None = None
        self._alive = asyncio.Event()
        self.finished = asyncio.Event()
        """Set once the websocket is closed, and all that was queued for it sent or given up."""

    async def check_ping_timeout(self) -> bool:
        """The deadline of each ping is a timer of its own; here it only matters whether the socket is open."""
        return not self.closed

    async def send(self, pkt: Any) -> None:
        """Queue a packet; cut the peer that lets too many wait."""
        if self.closed:
            return
        if self.queue.qsize() >= OUTGOING_MAX:
            await self.cut(Reason.TOO_SLOW)
            return
        self.queue.put_nowait(pkt)

    async def send_text(self, text: Text) -> None:
        """Send a message that may go to many: at once, if nothing waits before it."""
        at_once = self._idle and self.queue.empty() and not (self.closing or self.closed)
        if not (at_once and self._websocket and self._websocket.write(text.frame)):
            await self.send(text.packet)

    async def poll(self) -> Any:
        """What is to be sent next. While this waits, all that was taken before has been sent."""
        self._idle = True
        try:
            return await super().poll()
        finally:
            self._idle = False

    async def receive(self, pkt: Any) -> None:
        """Note signs of life before anything else; a packet that no client sends ends the connection."""
        if pkt.packet_type not in _FROM_CLIENTS:
            self._complain("an unknown transport packet")
            await self.cut(Reason.SERVER_DISCONNECT)
            return
        if pkt.packet_type == eio_packet.CLOSE:  # the library forgets the session and leaves its websocket open
            await self.cut(Reason.CLIENT_DISCONNECT)
            return
        if pkt.packet_type == eio_packet.PONG:
            self._alive.set()
            self._stop_deadline()
        self._handling += 1
        try:
            await super().receive(pkt)
        finally:
            self._handling -= 1

    async def probe(self, timeout_s: float) -> bool:
        """Whether the peer answers a ping within ``timeout_s``."""
        if self.closed or self.closing:
            return False
        self._alive.clear()
        self.queue.put_nowait(eio_packet.Packet(eio_packet.PING))
        try:
            await asyncio.wait_for(self._alive.wait(), timeout_s)
        except TimeoutError:
            return False
        return not (self.closed or self.closing)

    async def cut(self, reason: str) -> None:
        """Close the session and the transport under it, after what was queued is sent."""
        self._stop_deadline()
        await self.close(wait=False, reason=reason)
        self.queue.put_nowait(None)

    async def handle_post_request(self, environ: dict[str, Any]) -> None:
        """A malformed payload is the peer's fault: 400, not a traceback."""
        try:
            await super().handle_post_request(environ)
        except EngineIOError:
            raise
        except Exception as error:
            raise EngineIOError(str(error)) from error

    async def _websocket_handler(self, ws: Any) -> None:
        try:
            await super()._websocket_handler(ws)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, OSError) as error:
            self._complain(f"malformed transport packet: {str(error)[:200]}")
        finally:
            self._stop_deadline()
            await self.close(wait=False, abort=True, reason=Reason.TRANSPORT_CLOSE)
            self.queue.put_nowait(None)  # after a malformed packet nothing else would ever wake the library's writer
            self.finished.set()

    async def _send_ping(self) -> None:
        spread = 1.0 if self._pinged_once else random.random()  # noqa: S311 - not a secret
        self._pinged_once = True
        await asyncio.sleep(self.server.ping_interval * spread)
        if self.closing or self.closed:
            return
        self._ping(last_chance=False)

    def _ping(self, *, last_chance: bool) -> None:
        self.last_ping = time.monotonic()
        self.queue.put_nowait(eio_packet.Packet(eio_packet.PING))
        loop = asyncio.get_running_loop()
        due = loop.time() + self._ping_timeout_s
        self._pong_deadline = loop.call_at(due, self._expire, due, last_chance)

    def _expire(self, due: float, last_chance: bool) -> None:
        stalled = asyncio.get_running_loop().time() > due + STALLED_S
        if (stalled or self._handling) and not last_chance:  # the ping may still be here, or the pong behind an event
            self._ping(last_chance=True)
        else:
            self.server.start_background_task(self._give_up, self._pong_deadline)

    async def _give_up(self, deadline: asyncio.TimerHandle) -> None:
        for _ in range(_TURNS_TO_READ):
            await asyncio.sleep(0)
        if self._pong_deadline is deadline:
            await self.cut(Reason.PING_TIMEOUT)

    def _stop_deadline(self) -> None:
        if self._pong_deadline:
            self._pong_deadline.cancel()
            self._pong_deadline = None
