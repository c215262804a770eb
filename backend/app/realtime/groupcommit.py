"""Many small writes as few transactions: what waits while one commits goes together into the next.

Invariant: an item whose own data makes its batch fail is found by bisection and fails alone.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from app.errors import Unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")


async def commit(
    items: Sequence[Item], write: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]]
) -> list[Result | Exception]:
    """``write`` all of ``items`` in one transaction, or in ever smaller ones if that fails.

    The result of each item, or the exception that it alone causes. Raises Unavailable when the database is away:
    bisecting would not help.
    """
    try:
        return list(await write(items))
    except Unavailable:
        raise
    except Exception as error:
        if len(items) == 1:
            return [error]
        middle = len(items) // 2
        return [*await commit(items[:middle], write), *await commit(items[middle:], write)]
