"""The bus between servers that share a PostgreSQL: hints travel as notifications, many in one, after a short wait.

One connection of its own listens and notifies. What it hears costs at most a look at rows. Nothing says so when a
notification is lost, so each server says now and then that it is there: while one of them is not heard, or this one
does not hear itself, everything is read again once in a poll interval; and once when they are heard again.

Invariants: what this server has committed its own parts hear at once, whatever becomes of the channel, and never again
from it. What waits to be sent is bounded.
"""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

import asyncpg
import structlog
from sqlalchemy.engine import URL

from app.complaints import Complaints
from app.hints import Hint, HintKind
from app.postgres import Addresses
from app.realtime.bus import LocalBus
from app.realtime.envelopes import Malformed, envelopes, opened

CHANNEL = "deployx_hints"
GATHER_S = 0.05
WAITING_MAX = 50_000
"""Beyond so many hints it is less work for everybody to look at everything."""
CONNECT_S = 3.0
COMMAND_S = 5.0
RETRY_MAX_S = 2.0
LOOK_MIN_S = 1.0
"""How often everything may be looked at, whoever asks for it."""
_EVERYTHING = Hint(HintKind.EVERYTHING)
_NOT_FOR_ASYNCPG = ("prepared_statement_cache_size", "prepared_statement_name_func", "async_creator_fn")

log = structlog.get_logger()


class NotificationBus(LocalBus):
    """``others``: the servers whose leases are good, by their ids. ``newcomer`` is told when another one is heard."""

    def __init__(
        self,
        url: URL,
        node_id: str,
        others: Callable[[], Collection[str]],
        newcomer: Callable[[], None],
        *,
        poll_s: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._url = url
        self._addresses = Addresses()
        self._node_id = node_id
        self._others = others
        self._newcomer = newcomer
        self._poll_s = poll_s
        self._monotonic = monotonic
        self._waiting: dict[Hint, None] = {}
        self._work = asyncio.Event()
        self._lost = asyncio.Event()
        self._heard_at: dict[str, float] = {}
        self._looked_at = -LOOK_MIN_S
        self._look_again = False
        self._deaf = False
        self._complaints = Complaints("hints.malformed")

    def publish(self, hints: Sequence[Hint]) -> None:
        """Tell everyone: here at once, elsewhere soon."""
        super().publish(hints)
        if hints and self._others():
            self._waiting |= dict.fromkeys(hints)
            if len(self._waiting) > WAITING_MAX:
                self._waiting = {_EVERYTHING: None}
            self._work.set()

    async def run(self) -> None:
        """Listen and notify, until cancelled; again after each loss of the connection."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            group.create_task(self._carry_forever())

    # ------------------------------------------------------------ the connection

    async def _carry_forever(self) -> None:
        tries = 0
        while True:
            try:
                connection = await self._connect()
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                if not tries:
                    log.error("hints.channel_away", cause=str(error)[:300] or type(error).__name__)
            else:
                tries = 0
                log.info("hints.channel_open")
                try:
                    await self._carry(connection)
                except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                    log.warning("hints.channel_lost", cause=str(error)[:300] or type(error).__name__)
                finally:
                    connection.terminate()
            tries += 1
            await asyncio.sleep(min(RETRY_MAX_S, 0.1 * 2**tries) * random.uniform(0.5, 1))  # noqa: S311 - no secret

    async def _connect(self) -> Any:
        dialect: Any = self._url.get_dialect()()
        options = dialect.create_connect_args(self._url)[1]  # what the pool's connections are made with
        for name in _NOT_FOR_ASYNCPG:
            options.pop(name, None)
        self._lost.clear()
        connection = await self._addresses.connect(
            **options,
            timeout=CONNECT_S,
            command_timeout=COMMAND_S,
            server_settings={"application_name": "deployx-hints"},
        )
        try:
            connection.add_termination_listener(lambda _: self._end())
            async with asyncio.timeout(CONNECT_S):
                await connection.add_listener(CHANNEL, self._hear)
        except BaseException:
            connection.terminate()
            raise
        return connection

    def _end(self) -> None:
        self._lost.set()
        self._work.set()

    async def _carry(self, connection: Any) -> None:
        """Send what waits, until the connection is lost."""
        self._heard_at[self._node_id] = self._monotonic()
        self._look()  # whatever was said meanwhile was not heard here
        self._waiting |= {_EVERYTHING: None}  # nor by the others what this server had to say
        self._work.set()
        while True:
            await self._work.wait()
            if self._lost.is_set():
                raise ConnectionResetError("the connection was closed")
            await asyncio.sleep(GATHER_S)
            self._work.clear()
            hints, self._waiting = self._waiting, {}
            try:
                texts = list(envelopes(self._node_id, hints))
                await connection.execute("SELECT pg_notify($1, text) FROM unnest($2::text[]) AS text", CHANNEL, texts)
            except BaseException:
                self._waiting = hints | self._waiting
                raise

    # ------------------------------------------------------------ what is heard

    def _hear(self, _connection: Any, _pid: int, _channel: str, text: str) -> None:
        try:
            sender, hints = opened(text)
        except Malformed as error:
            self._complaints.note("database", str(error))
            return
        if sender == self._node_id or sender in self._others():
            self._heard_at[sender] = self._monotonic()
        if sender == self._node_id:
            return
        if sender not in self._heard_at:
            self._newcomer()
        if any(hint.kind is HintKind.EVERYTHING for hint in hints):
            self._look()
            hints = [hint for hint in hints if hint.kind is not HintKind.EVERYTHING]
        self.publish_here(hints)

    def _look(self) -> None:
        """Have everything looked at, if that was not done just now."""
        now = self._monotonic()
        self._look_again = now < self._looked_at + LOOK_MIN_S
        if not self._look_again:
            self._looked_at = now
            self.publish_here([_EVERYTHING])

    async def _watch(self) -> None:
        """Say that this server is there, and see to it that the others are heard, or rows are read instead."""
        begun = self._monotonic()
        known: frozenset[str] = frozenset()
        while True:
            await asyncio.sleep(self._poll_s / 3)
            now, others = self._monotonic(), frozenset(self._others())
            for name in known - others:  # what it had committed before it went it may not have said
                self._heard_at.pop(name, None)
                self._look()
            for name in others - known:  # nobody has told it anything so far
                self._heard_at[name] = now
                self._waiting |= {_EVERYTHING: None}
            known = others
            deaf = any(now - self._heard_at.get(name, begun) > self._poll_s for name in {*others, self._node_id})
            if now - self._heard_at.get(self._node_id, begun) > 2 * self._poll_s:
                self._end()  # a connection that carries nothing
            if (deaf and now - self._looked_at >= self._poll_s) or self._deaf > deaf or self._look_again:
                self._look()
            if deaf != self._deaf:
                log.warning("hints.deaf" if deaf else "hints.heard_again", unheard=self._unheard(now))
            self._deaf = deaf
            self._work.set()

    def _unheard(self, now: float) -> list[str]:
        return sorted(name for name, at in self._heard_at.items() if now - at > self._poll_s)
