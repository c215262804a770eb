"""Records what changes nothing and may come often: each only once in a while."""

from collections.abc import Hashable
from typing import Any

from app.audit.actions import Action, Actor
from app.audit.lately import Lately
from app.uow import UnitOfWork


class Notes:
    """What is noted again under the same key within ``again_s`` seconds is not recorded again."""

    def __init__(self, uow: UnitOfWork, again_s: float) -> None:
        self._uow = uow
        self._lately = Lately(again_s)

    async def note(
        self,
        key: Hashable,
        actor: Actor,
        action: Action,
        object_id: str = "",
        object_name: str = "",
        **details: Any,
    ) -> None:
        """Record it, unless ``key`` was noted a moment ago. Raises Unavailable."""
        if self._lately.first(key):
            async with self._uow.begin() as unit:
                unit.record(actor, action, object_id, object_name, **details)
