"""Socket.IO clients for tests: they keep all that they hear, and hand it out in the order in which it came."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import socketio

from deployx_protocol import events

HEAR_S = 15.0
_SHOWN = 20_000
"""Characters of what was heard, in a complaint: of ten thousand devices that would be 70 MB."""


class Peer:
    """A client of one server. ``heard`` is every event with its payload, in order."""

    def __init__(self, url: str, path: str = "socket.io") -> None:
        self.url = url
        self.path = path
        self.sio = socketio.AsyncClient(reconnection=False, handle_sigint=False)
        self.heard: list[tuple[str, Any]] = []
        self.reason: str | None = None
        """Why the connection ended; None while it is open."""
        self._taken: set[int] = set()
        self._news = asyncio.Condition()
        self.sio.on("*", self._hear)
        self.sio.on("disconnect", self._end)

    async def connect(
        self, *, auth: Any = None, transports: list[str] | None = None, headers: dict[str, str] | None = None
    ) -> None:
        """Open the connection; by default on the websocket alone."""
        self.reason = None
        await self.sio.connect(
            self.url,
            auth=auth,
            transports=transports or ["websocket"],
            headers=headers or {},
            socketio_path=self.path,
            wait_timeout=HEAR_S,
        )

    @property
    def sid(self) -> str:
        """The connection's Socket.IO sid."""
        return str(self.sio.get_sid("/"))

    @property
    def open(self) -> bool:
        """Whether the connection is up."""
        return bool(self.sio.connected)

    @property
    def _is_over(self) -> bool:
        """Whether it ended, and was not opened again."""
        return self.reason is not None and not self.open

    async def emit(self, event: str, payload: Any = None) -> None:
        """Send without waiting for anything."""
        await self.sio.emit(event, payload)

    async def call(self, event: str, payload: Any = None) -> Any:
        """Send, and wait for the acknowledgement."""
        return await self.sio.call(event, payload, timeout=HEAR_S)

    async def expect(
        self, *names: str, where: Callable[[Any], bool] = lambda _: True, within_s: float = HEAR_S
    ) -> tuple[str, Any]:
        """The next event under one of ``names`` whose payload is as ``where`` says, with its name; each once."""

        def find() -> int | None:
            for index, (name, payload) in enumerate(self.heard):
                if index not in self._taken and name in names and where(payload):
                    return index
            return None

        async with self._news:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait_for(lambda: self._is_over or find() is not None), within_s)
            index = find()
            if index is None:
                why = f"before it ended ({self.reason})" if self._is_over else f"within {within_s:g} s"
                raise AssertionError(f"no {' or '.join(names)} {why}; heard {str(self.heard)[-_SHOWN:]}")
            self._taken.add(index)
            return self.heard[index]

    async def payload(self, name: str, **options: Any) -> Any:
        """The payload of the next event ``name``."""
        return (await self.expect(name, **options))[1]

    async def ended(self, *, within_s: float = HEAR_S) -> str:
        """Wait until the connection is gone; why, as the client sees it."""
        async with self._news:
            await asyncio.wait_for(self._news.wait_for(lambda: self.reason is not None), within_s)
        assert self.reason is not None
        return self.reason

    async def close(self) -> None:
        """Close in order."""
        await self.sio.disconnect()
        await self.sio.shutdown()

    async def abort(self) -> None:
        """Vanish: the TCP connection is reset, nothing is said."""
        self.sio.eio.ws._response.connection.transport.abort()
        with contextlib.suppress(TimeoutError):
            await self.ended()

    async def _hear(self, name: str, payload: Any = None) -> None:
        async with self._news:
            self.heard.append((name, payload))
            self._news.notify_all()

    async def _end(self, reason: str) -> None:
        async with self._news:
            self.reason = reason
            self._news.notify_all()


class DashboardPeer(Peer):
    """A dashboard that shows a token. ``batch``: ours; otherwise a plain client of the specification."""

    def __init__(self, url: str, token: str, *, batch: bool = False) -> None:
        super().__init__(url, "ui/socket.io")
        self.token = token
        self.batch = batch

    async def enter(self) -> "DashboardPeer":
        """Connect; ours asks for its snapshot and waits for all of it."""
        await self.connect(auth={"token": self.token, "batch": self.batch})
        if self.batch:
            await self.snapshot()
        return self

    async def snapshot(self) -> dict[int, dict[str, Any]]:
        """Ask for a snapshot: every device in it, by id."""
        await self.emit(events.WATCH, {})
        begin = await self.payload(events.SNAPSHOT_BEGIN)
        devices: dict[int, dict[str, Any]] = {}
        while True:
            name, piece = await self.expect(events.SNAPSHOT_BEGIN, events.SNAPSHOT_DEVICES, events.SNAPSHOT_END)
            if name == events.SNAPSHOT_BEGIN:  # what is shared has changed meanwhile: the one before is void
                begin, devices = piece, {}
            elif piece["snapshot_id"] != begin["snapshot_id"]:
                continue
            elif name == events.SNAPSHOT_END:
                assert len(devices) == begin["total"]
                return devices
            else:
                devices |= {device["id"]: device for device in piece["devices"]}

    async def change(self, **wanted: Any) -> dict[str, Any]:
        """The next `device_status_changed` with these fields, however it travels."""
        if not self.batch:
            found: dict[str, Any] = await self.payload(
                events.DEVICE_STATUS_CHANGED, where=lambda change: _has(change, wanted)
            )
            return found
        batch = await self.payload(
            events.DEVICES_CHANGED, where=lambda batch: any(_has(change, wanted) for change in batch["changes"])
        )
        return next(change for change in batch["changes"] if _has(change, wanted))


Watch = Callable[..., Awaitable[DashboardPeer]]


def _has(payload: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(payload.get(name) == value for name, value in wanted.items())
