"""How hints reach the parts of this node. Between nodes they will travel through the database; here, in the process."""

from collections.abc import Sequence

from app.hints import Hint, Publish


class LocalBus:
    """Hands each batch of hints to every subscriber, at once and in order. Subscribers only take note; none waits."""

    def __init__(self) -> None:
        self._subscribers: list[Publish] = []

    def subscribe(self, subscriber: Publish) -> None:
        """Call ``subscriber`` with every batch from now on."""
        self._subscribers.append(subscriber)

    def publish(self, hints: Sequence[Hint]) -> None:
        """Tell everyone."""
        if hints:
            for subscriber in self._subscribers:
                subscriber(hints)
