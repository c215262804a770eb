"""Starts at half the price: modules are loaded with the collector at rest, and without what a library can do without.

Invariant: what is left out is optional to the library that asks for it, and nothing of ours. After the block it can be
imported like anything else.
"""

import contextlib
import gc
import sys
from collections.abc import Iterator

_LEFT_OUT = (
    "aiohttp",  # Engine.IO's client
    "pygments",  # Mako's error pages, which come with a migration
    "requests",  # Engine.IO's client
    "rich",  # structlog's tracebacks; ours are `app.logging`'s
    "watchfiles",  # uvicorn's reload
)


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Import in this block. What is loaded stays for good, so no collection looks through it again."""
    absent = [name for name in _LEFT_OUT if name not in sys.modules]
    collected = gc.isenabled()
    gc.disable()
    for name in absent:
        sys.modules[name] = None  # type: ignore[assignment]  # as the language says that a module is not to be found
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
        gc.freeze()
        if collected:
            gc.enable()
