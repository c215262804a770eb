"""How hints reach the parts of this server, and of the others on the same database.

Invariant: what this server has committed its own parts hear at once and in order; what others say is heard by those
alone that take nobody's word for it. Subscribers only take note; none waits.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from app.hints import Hint, Publish


class Bus(Protocol):
    """What carries hints. ``run`` carries until cancelled."""

    def subscribe(self, subscriber: Publish, *, own: bool = True, others: bool = True) -> None:
        """Call ``subscriber`` with every batch from now on: of this server's ``own`` commits, of the ``others``'."""

    def publish(self, hints: Sequence[Hint]) -> None:
        """Tell every part of every server."""

    def publish_here(self, hints: Sequence[Hint]) -> None:
        """Tell the parts of this server alone, as if another had said it: rows are to be read."""

    async def run(self) -> None:
        """Carry until cancelled."""


class LocalBus:
    """Hands each batch to every subscriber, at once: all that one server on SQLite needs."""

    def __init__(self) -> None:
        self._of_own: list[Publish] = []
        self._of_others: list[Publish] = []

    def subscribe(self, subscriber: Publish, *, own: bool = True, others: bool = True) -> None:
        """Call ``subscriber`` with every batch from now on."""
        if own:
            self._of_own.append(subscriber)
        if others:
            self._of_others.append(subscriber)

    def publish(self, hints: Sequence[Hint]) -> None:
        """Tell everyone."""
        if hints:
            for subscriber in self._of_own:
                subscriber(hints)

    def publish_here(self, hints: Sequence[Hint]) -> None:
        """Tell everyone who listens to others."""
        if hints:
            for subscriber in self._of_others:
                subscriber(hints)

    async def run(self) -> None:
        """There is nobody else."""
        await asyncio.Event().wait()
