"""How much of one turn of the event loop may go into what agents say.

A loop takes all that its sockets have before it does anything else: when a fleet answers at once that is many seconds,
in which nobody is pinged, no lease renewed, nothing committed. So what agents say is taken for `READ_S` on end, or for
`WORDS_S` as long as each says but a few words: to put off what ten thousand say at once costs more than to take it.
Who comes later waits, and goes on in the next turn, before those who come then.
"""

import asyncio
import time
from collections import deque
from typing import Protocol

READ_S = 0.01
WORDS_S = 0.5
WORDS_BYTES = 512
"""Of a message that tells how a task stands. Output is longer, and so is a list of many reports."""
BREAK_S = 0.001
"""After so long without a message the loop has done something else. Nothing that is done with one takes longer."""


class PutOff(Protocol):
    """Somebody who has something to say still."""

    def go_on(self) -> None:
        """Take some of what waits; whoever has more when the turn is over is to be put off again."""


class Turns:
    """The turns of this loop. Whoever takes a message asks first whether this one ``is_over``."""

    def __init__(self) -> None:
        self._began = self._last = 0.0
        self._over = False
        self._late: deque[PutOff] = deque()

    def is_over(self, size: int = WORDS_BYTES + 1) -> bool:
        """Whether this turn has had its share, and a message of ``size`` bytes is for the next one."""
        if not self._over:
            now = time.monotonic()
            if now > self._last + BREAK_S:
                self._began = now
            self._last = now
            if now - self._began > (WORDS_S if size <= WORDS_BYTES else READ_S):
                self._over = True
                asyncio.get_running_loop().call_soon(self._next)
        return self._over

    def put_off(self, one: PutOff) -> None:
        """Have ``one`` go on in the next turn. To be called in a turn that is over."""
        self._late.append(one)

    def _next(self) -> None:
        self._over = False
        self._began = self._last = time.monotonic()
        while self._late:
            self._late.popleft().go_on()
            if self.is_over():
                break
