"""What was recorded a moment ago and need not be recorded again."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

_KEYS_MAX = 20_000


class Lately:
    """Remembers keys for ``keep_s`` seconds, and no more than so many: the oldest is forgotten first."""

    def __init__(self, keep_s: float, now: Callable[[], float] = time.monotonic) -> None:
        self._keep_s = keep_s
        self._now = now
        self._seen: OrderedDict[Hashable, float] = OrderedDict()

    def first(self, key: Hashable) -> bool:
        """Whether ``key`` did not come in the last ``keep_s`` seconds, not counting those that were not first."""
        now = self._now()
        while self._seen and now - next(iter(self._seen.values())) >= self._keep_s:
            self._seen.popitem(last=False)
        if key in self._seen:
            return False
        if len(self._seen) >= _KEYS_MAX:
            self._seen.popitem(last=False)
        self._seen[key] = now
        return True
