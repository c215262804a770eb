"""Keeps the machine connected: connect, hand the connection to a session, decide what follows, wait, again.

Invariant: whatever happens, a transport that was made is closed before the next one is made, so a server never sees two
connections of one agent because of us.
"""

import asyncio

from deployx_agent.connection import endings
from deployx_agent.connection.endings import Ending
from deployx_agent.connection.machine import Event
from deployx_agent.connection.progress import Progress
from deployx_agent.connection.registration import Registrar
from deployx_agent.connection.retry import Retry, Why
from deployx_agent.connection.session import Pace, Session, Stop
from deployx_agent.connection.transport import ConnectError, ConnectTimeout, OpenTransport, Transport
from deployx_agent.logs import Log
from deployx_agent.tasks.engine import Engine
from deployx_protocol.codes import EXIT_UNAVAILABLE


class Keeper:
    """The agent's loop. ``run`` gives the process's exit code."""

    def __init__(
        self,
        registrar: Registrar,
        engine: Engine,
        progress: Progress,
        retry: Retry,
        pace: Pace,
        connect_timeout_s: float,
        open_transport: OpenTransport,
        log: Log,
    ) -> None:
        self._registrar = registrar
        self._engine = engine
        self._progress = progress
        self._retry = retry
        self._pace = pace
        self._connect_timeout_s = connect_timeout_s
        self._open_transport = open_transport
        self._log = log
        self._session: Session | None = None
        self._stopping = asyncio.Event()

    def stop(self, reason: str) -> None:
        """Leave as soon as possible; the server is told ``reason`` if it knows us."""
        self._log.info("Agent stopping", reason=reason)
        self._stopping.set()
        if self._session is not None:
            self._session.deliver(Stop(reason))

    async def run(self) -> int:
        """Until stopped, refused for good, or out of attempts."""
        self._progress.advance(Event.LAUNCHED)
        while True:
            ending = await self._attempt()
            self._progress.advance(ending.event, detail=ending.reason, code=ending.code)
            if ending.retry is None:
                return ending.exit_code
            again = await self._wait(ending, ending.retry)
            self._progress.advance(again.event)
            if again.event is not Event.RETRY_DUE:
                return again.exit_code

    async def _attempt(self) -> Ending:
        """One connection, from dialling to its end."""
        self._log.info("Connecting to server...", server=self._registrar.origin)
        session = Session(self._registrar, self._engine, self._progress, self._pace, self._log, self._retry.registered)
        transport = self._open_transport(session.deliver)
        try:
            if (failed := await self._open(transport)) is not None:
                return failed
            self._log.info("Connected successfully", server=self._registrar.origin)
            self._log.info("Agent Connected", local_address=transport.local_address)
            self._log.info("Status: Online")
            self._progress.advance(Event.CONNECTION_OPENED)
            self._session = session
            ending = await session.run(transport)
            if ending.retry in (Why.LOST, Why.TIMEOUT):
                self._log.warning("Disconnected from server", reason=ending.reason, code=ending.code or None)
            return ending
        finally:
            self._session = None
            await transport.close()

    async def _open(self, transport: Transport) -> Ending | None:
        opening = asyncio.ensure_future(transport.open(self._connect_timeout_s))
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((opening, stopping), return_when=asyncio.FIRST_COMPLETED)
            if self._stopping.is_set():
                return endings.stopped()
            opening.result()
        except ConnectTimeout as error:
            self._log.warning("Connection timed out", error=error)
            return Ending(Event.TIMED_OUT, str(error), Why.TIMEOUT)
        except ConnectError as error:
            self._log.error("Connection failed", error=error)
            return Ending(Event.CONNECTION_FAILED, str(error), Why.FAILURE)
        finally:
            opening.cancel()
            stopping.cancel()
            await asyncio.gather(opening, stopping, return_exceptions=True)
        return None

    async def _wait(self, ending: Ending, why: Why) -> Ending:
        wait = self._retry.next(why, ending.retry_after_s)
        if wait is None:
            self._log.error(
                "No attempts left, giving up; the service manager starts the next round", server=self._registrar.origin
            )
            return Ending(Event.ATTEMPTS_SPENT, "no attempts left", exit_code=EXIT_UNAVAILABLE)
        self._log.info("Retrying connection", delay_s=wait.delay_s, attempt=wait.attempt or None, reason=ending.reason)
        try:
            async with asyncio.timeout(wait.delay_s):
                await self._stopping.wait()
        except TimeoutError:
            return Ending(Event.RETRY_DUE, "")
        return endings.stopped()
