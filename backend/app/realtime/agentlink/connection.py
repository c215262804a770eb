"""One agent's connection: packets in, one after another; packets out, at once.

Invariants: an event reaches the handler only after CONNECT was answered, only under a name of the allow-list, one at a
time and in order. Whatever ends the connection, the handler hears of it once. What waits to be sent is bounded, and so
is what waits to be handled: a peer that does not read is cut, one that talks faster than it is served is not read, and
neither is anyone while this turn of the loop has read enough.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from app.realtime.agentlink.deadlines import Watch
from app.realtime.agentlink.steps import begin
from app.realtime.answers import UNKNOWN_EVENT, accepted
from app.realtime.reasons import Reason
from deployx_protocol import events, limits, packets

if TYPE_CHECKING:
    from app.realtime.agentlink.server import AgentLink

OUTGOING_MAX_BYTES = 1024 * 1024
"""What may wait for a peer that does not read; then the connection is cut."""
WAITING_MAX = 32
"""Messages that may wait while an event is handled; then the peer is not read."""
PUT_OFF_MAX = 2
"""That may wait for the next turn of the loop; most have one to say, and go on being read."""
MESSAGE_WALL_BYTES = 2 * limits.AGENT_MESSAGE_MAX_BYTES
"""Of one frame. A message above the limit is refused with a reason; this is the wall behind it."""

_TEXT = WSMsgType.TEXT
_PONG = packets.encode(packets.Pong())
_BEAT = packets.encode(packets.Event(events.PING, [{}]))
"""A heartbeat as agents send it; an acknowledgement id may stand between its type and its list."""
_SHORT = 9
"""Digits of an acknowledgement id that is in range for certain."""
_EVENT_TYPE, _BEAT_LIST = _BEAT[:2], _BEAT[2:]
_encode = msgspec.json.Encoder().encode
_ROOM = 14
"""Of the longest head of a frame (RFC 6455, 5.2), which picows writes before the message."""
_FRAME = bytearray(_ROOM)
"""What is being said, to whomever. picows has a buffer for this in each connection: of 10,000 none is in a cache."""
log = structlog.get_logger()


class AgentConnection(WSListener):
    """One websocket. ``transport_id`` is its Engine.IO sid; ``sid``, its Socket.IO sid, is empty before CONNECT.

    ``entered`` says that CONNECT was answered with yes.
    """

    __slots__ = (
        "_answered",
        "_deaf",
        "_link",
        "_parts",
        "_paused",
        "_waiting",
        "_work",
        "closed",
        "entered",
        "sid",
        "source_ip",
        "transport_id",
        "watch",
        "ws",
    )

    ws: WSTransport

    def __init__(self, link: "AgentLink", source_ip: str) -> None:
        self._link = link
        self.source_ip = source_ip
        self.transport_id = link.new_id()
        self.sid = ""
        self.entered = False
        self.closed = False
        self.watch = Watch()
        self._parts: bytearray | None = None
        self._waiting: list[bytes] | None = None
        self._deaf = False
        self._work: asyncio.Task[Any] | None = None
        self._paused = False
        self._answered: asyncio.Event | None = None

    @property
    def environ(self) -> dict[str, Any]:
        """What a handler is told of the handshake: where it came from."""
        return {"asgi.scope": {"client": (self.source_ip, 0)}}

    # ------------------------------------------------------------ what the peer does

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The websocket is open: what the handshake said would be kept as long as this is, and nobody needs it."""
        self.ws = transport
        transport.request.headers = transport.response.headers = transport.response.body = None  # type: ignore[assignment]
        self._link.opened(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A frame came."""
        if self.closed:
            return
        kind = frame.msg_type
        if kind is _TEXT and self._parts is None and frame.fin:
            self._message(frame.get_payload_as_bytes())
        elif kind is WSMsgType.CLOSE:
            self._take_the_rest()
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
            self.end(Reason.TRANSPORT_CLOSE)
        elif kind is _TEXT or (kind is WSMsgType.CONTINUATION and self._parts is not None):
            self._piece(frame)
        elif kind is WSMsgType.BINARY:
            self.refuse(packets.Why.BINARY, "binary message")
        elif kind is not WSMsgType.PONG:
            self.refuse(packets.Why.MALFORMED, "a frame out of order")

    def on_ws_disconnected(self, _transport: WSTransport) -> None:
        """The TCP connection is gone."""
        self._take_the_rest()
        self.end(Reason.TRANSPORT_CLOSE)
        self._link.gone(self)

    def pause_writing(self) -> None:
        """The peer reads more slowly than we write."""
        self._paused = True

    def resume_writing(self) -> None:
        """It has caught up."""
        self._paused = False

    # ------------------------------------------------------------ what is said to it

    def say(self, raw: bytes) -> None:
        """Send one packet, if the connection is open; cut the peer that lets too much wait."""
        if self._may_say():
            _FRAME[_ROOM:] = raw
            self.ws.send_reuse_external_bytearray(_TEXT, _FRAME, _ROOM)

    def _say_both(self, first: bytes, second: bytes) -> None:
        """Send two short packets for the price of one."""
        if self._may_say():
            self.ws.underlying_transport.write(b"\x81%c%b\x81%c%b" % (len(first), first, len(second), second))

    def _may_say(self) -> bool:
        if self.closed:
            return False
        if self._paused and self.ws.underlying_transport.get_write_buffer_size() > OUTGOING_MAX_BYTES:
            self.cut(Reason.TOO_SLOW, graceful=False)
            return False
        return True

    def tell(self, event: str, payload: Any) -> None:
        """Send an event."""
        self.say(b"42" + _encode((event, payload)))

    def ping(self) -> None:
        """Ask whether the peer is there."""
        self.say(packets.PING)

    async def probe(self, timeout_s: float) -> bool:
        """Whether the peer answers a ping within ``timeout_s``."""
        if self.closed:
            return False
        self._answered = answered = asyncio.Event()
        self.say(packets.PING)
        try:
            await asyncio.wait_for(answered.wait(), timeout_s)
        except TimeoutError:
            return False
        return not self.closed

    def refuse(self, why: packets.Why, words: str) -> None:
        """The peer breaks the protocol: complain, count and cut."""
        self._link.complain(self, why, words)
        self.cut(Reason.SERVER_DISCONNECT)

    def cut(self, reason: str, *, graceful: bool = True) -> None:
        """Close the connection, after what was said is sent, or, not ``graceful``, at once."""
        if self.closed:
            return
        if graceful:
            self.say(packets.encode(packets.Close()))
            self.ws.send_close(WSCloseCode.OK)
        self.ws.disconnect(graceful)
        self.end(reason)

    def overdue(self) -> None:
        """It did not answer a ping."""
        self.cut(Reason.PING_TIMEOUT)

    def end(self, reason: str) -> None:
        """Nothing more is heard or said here. A second call does nothing."""
        if self.closed:
            return
        self.closed = True
        self._waiting = self._parts = None
        if self._answered:
            self._answered.set()
        self._link.ended(self, reason)

    # ------------------------------------------------------------ packets

    @property
    def at_work(self) -> bool:
        """Whether something that it said is being handled, or waits for that."""
        return self._work is not None or self._waiting is not None

    def _piece(self, frame: WSFrame) -> None:
        parts = self._parts = bytearray() if self._parts is None else self._parts
        parts += frame.get_payload_as_bytes()
        if len(parts) > MESSAGE_WALL_BYTES:
            self.refuse(packets.Why.TOO_LONG, "a message in pieces without an end")
        elif frame.fin:
            self._parts = None
            self._message(bytes(parts))

    def _message(self, raw: bytes) -> None:
        if raw == _PONG:
            self._pong()
        elif self._work is not None or self._waiting is not None:
            self._wait(raw)
        elif raw.endswith(_BEAT_LIST) and self._beat(raw):
            return
        elif raw.startswith(_EVENT_TYPE) and self._link.turns.is_over(len(raw)):
            self._wait(raw)
            self._link.turns.put_off(self)
        else:
            self._read(raw)

    def _read(self, raw: bytes) -> None:
        try:
            packet = packets.decode(raw)
        except packets.PacketError as error:
            if error.event is None:
                self.refuse(error.why, str(error))
                return
            self._link.complain(self, error.why, str(error))
            packet = error.event  # the handler judges payloads, and answers them
        if type(packet) is packets.Event and self.entered:
            self._event(packet)
        else:
            self._take(packet)

    def _beat(self, raw: bytes) -> bool:
        """Whether ``raw`` was a heartbeat and nothing else, and is answered: all that most agents ever say."""
        ack_id = raw[2 : -len(_BEAT_LIST)]
        if raw[:2] != _EVENT_TYPE or not (ack_id.isdigit() or raw == _BEAT):
            return False
        if len(ack_id) > 1 and (ack_id[:1] == b"0" or len(ack_id) > _SHORT):
            return False
        pong = self._link.handler.beat(self.sid)
        if pong is None:
            return False
        answer = b"42" + _encode((events.PONG, pong))
        if ack_id:
            self._say_both(answer, b"43%b%b" % (ack_id, _encode((accepted(pong),))))
        else:
            self.say(answer)
        return True

    def _pong(self) -> None:
        self._link.deadlines.answered(self)
        if self._answered:
            self._answered.set()

    def _wait(self, raw: bytes) -> None:
        if self._waiting is None:
            self._waiting = []
        self._waiting.append(raw)
        if not self._deaf and len(self._waiting) >= (PUT_OFF_MAX if self._work is None else WAITING_MAX):
            self._deaf = True
            self.ws.underlying_transport.pause_reading()

    def _take_the_rest(self) -> None:
        """Take what was put off, whatever time it is: the peer goes, and may have said why."""
        while self._waiting and self._work is None:
            self._read(self._waiting.pop(0))

    def _gives_way(self) -> bool:
        """Whether what could be taken now is left for the next turn."""
        gives_way = bool(self._waiting) and self._work is None and self._link.turns.is_over()
        if gives_way:
            self._link.turns.put_off(self)
        return gives_way

    def _take(self, packet: packets.Packet) -> None:
        """Handle what is no event, or one that comes too soon."""
        match packet:
            case packets.Pong():
                self._pong()
            case packets.Connect(data) if not self.sid:
                self.sid = self._link.new_id()
                self._begin(self._link.enter(self, data))
            case packets.Ack() if self.entered:
                return
            case packets.Disconnect() if self.entered:
                self.cut(Reason.CLIENT_DISCONNECT)
            case packets.Close():
                self.cut(Reason.CLIENT_DISCONNECT)
            case packets.Connect():
                self.refuse(packets.Why.MALFORMED, "a second CONNECT")
            case packets.Event() | packets.Ack() | packets.Disconnect():
                self.refuse(packets.Why.MALFORMED, "a packet before CONNECT")
            case _:
                self.refuse(packets.Why.TYPE, "a packet that only servers send")

    def _event(self, event: packets.Event) -> None:
        """Handle an event now; if it has to wait for something it goes on as a task, and the next ones wait for it."""
        link, name, ack_id = self._link, event.name, event.ack_id
        if name not in link.allowed:
            link.complain(self, None, "an unknown event")
            self._acknowledge(ack_id, UNKNOWN_EVENT)
            return
        step = link.handler.received(self.sid, name, event.args)
        if name == events.AGENT_REGISTER:  # it has deadlines of its own, which need a task
            self._go_on(asyncio.get_running_loop().create_task(self._registering(step, ack_id)))
        else:
            self._begin(step, self._acknowledge, ack_id)

    async def _registering(self, step: Coroutine[Any, Any, Any], ack_id: int | None) -> None:
        self._acknowledge(ack_id, await step)

    def _acknowledge(self, ack_id: int | None, answer: Any) -> None:
        if ack_id is not None:
            self.say(b"43%d%b" % (ack_id, _encode((answer,))))

    def _begin(
        self, step: Coroutine[Any, Any, Any], then: Callable[[Any, Any], None] | None = None, ack_id: int | None = None
    ) -> None:
        try:
            work = begin(step, then, ack_id)
        except (Exception, asyncio.CancelledError) as error:
            self._failed(error)
        else:
            if work is not None:
                self._go_on(work)

    def _go_on(self, work: asyncio.Task[Any]) -> None:
        self._work = work
        work.add_done_callback(self._done)

    def _done(self, work: asyncio.Task[Any]) -> None:
        """What was waited for is over: take what has come meanwhile."""
        self._work = None
        if work.cancelled() or work.exception():
            self._failed(None if work.cancelled() else work.exception())
        if not self._gives_way():
            self.go_on()

    def go_on(self) -> None:
        """Take what has waited: one message at least, and more until something has to be waited for again."""
        while self._waiting and self._work is None:
            self._read(self._waiting.pop(0))
            if self._gives_way():
                return
        if not self._waiting:
            self._waiting = None
            if self._deaf and not self.closed:
                self._deaf = False
                self.ws.underlying_transport.resume_reading()

    def _failed(self, error: BaseException | None) -> None:
        """What should have handled a packet did not."""
        log.error("link.failed", source_ip=self.source_ip, exc_info=error)
        self.cut(Reason.SERVER_DISCONNECT)
