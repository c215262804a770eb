"""What the simulator's operator asks for, one run after another: ordinary work; under chaos limits and haste too."""

import asyncio
import random
import time
import uuid
from collections.abc import Sequence
from typing import Any

from app.sim.oracle import Asked
from app.sim.rest import Operator

EVERY_S = 1.0
"""Between two runs."""
QUIET_EVERY_S = 0.5
_CALM = (("command", ["echo", "hi"], 3), ("command", ["work"], 3), ("shell", "uptime", 1))
_ROUGH = (*_CALM, ("command", ["work"], 6), ("command", ["false"], 1), ("command", ["sleep", "3"], 1))
_CANCELLED_SHARE = 0.1
_LIMITED_SHARE = 0.1
_HASTY_SHARE = 0.1


class Plan:
    """Runs on ``device_ids``; ``asked`` are those that the server accepted."""

    def __init__(self, operator: Operator, device_ids: Sequence[int], dice: random.Random, *, chaos: bool) -> None:
        self._operator = operator
        self._device_ids = device_ids
        self._dice = dice
        self._chaos = chaos
        self.asked: list[Asked] = []

    async def follow(self, seconds: float) -> None:
        """Ask for one run after another for so long. Raises CannotSimulate."""
        until = time.monotonic() + seconds
        while True:
            began = time.monotonic()
            await self._one()
            pause_s = began + (EVERY_S if self._chaos else QUIET_EVERY_S) - time.monotonic()
            if time.monotonic() + max(pause_s, 0.0) >= until:
                return
            await asyncio.sleep(max(pause_s, 0.0))

    async def _one(self) -> None:
        request = self._request()
        device_ids = self._targets()
        requested_at = time.monotonic()
        body = {**request, "targets": {"device_ids": device_ids}}
        made = await self._operator.start(body, key=str(uuid.UUID(bytes=self._dice.randbytes(16), version=4)))
        left_out = {one["id"] for one in made["excluded"]}
        asked = Asked(
            made["id"], requested_at, frozenset(device_ids) - left_out, limited=request["max_parallel"] is not None
        )
        self.asked.append(asked)
        if self._chaos and self._dice.random() < _CANCELLED_SHARE:
            await asyncio.sleep(self._dice.uniform(0.0, 0.5))
            asked.cancelled = True
            await self._operator.cancel(asked.run_id)

    def _request(self) -> dict[str, Any]:
        choices = _ROUGH if self._chaos else _CALM
        [(kind, what, _)] = self._dice.choices(choices, [weight for *_, weight in choices])
        hasty = self._chaos and self._dice.random() < _HASTY_SHARE
        limited = self._chaos and self._dice.random() < _LIMITED_SHARE
        return {
            kind: what,
            "timeout_s": 60,
            "expires_s": 2 if hasty else 3600,
            "max_parallel": max(len(self._device_ids) // 4, 1) if limited else None,
        }

    def _targets(self) -> list[int]:
        if not self._chaos:
            return list(self._device_ids)
        return sorted(self._dice.sample(list(self._device_ids), self._dice.randint(1, len(self._device_ids))))
