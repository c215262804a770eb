"""What the simulator's operator asks for, one run after another: ordinary work; under chaos limits and haste too."""

import asyncio
import hashlib
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
OPEN_MAX = 8
"""How many runs may be under way: a server is asked for more when it has done what it was asked for."""
_POLL_S = 0.1
_SCRIPT = "#!/bin/sh\n# run {number} of a simulation\nwork\n"
_CALM: tuple[tuple[str, Any], ...] = (
    ("command", ["echo", "hi"]),
    ("command", ["work"]),
    ("script", _SCRIPT),
    ("command", ["dump"]),
    ("shell", "uptime"),
)
_ROUGH = (*_CALM, *(("command", ["work"]),) * 4, ("command", ["false"]), ("command", ["sleep", "3"]))
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
        self._open: list[str] = []
        self._next = dice.sample(_CALM, len(_CALM))

    async def follow(self, seconds: float) -> None:
        """Ask for one run after another for so long, but for each kind once. Raises CannotSimulate."""
        until = time.monotonic() + seconds
        while True:
            began = time.monotonic()
            await self._one()
            await self._room(until)
            pause_s = began + (EVERY_S if self._chaos else QUIET_EVERY_S) - time.monotonic()
            if time.monotonic() + max(pause_s, 0.0) >= until and len(self.asked) >= len(_CALM):
                return
            await asyncio.sleep(max(pause_s, 0.0))

    async def _room(self, until: float) -> None:
        """Wait until few enough runs are under way, but not beyond ``until``."""
        self._open.append(self.asked[-1].run_id)
        while len(self._open) > OPEN_MAX and time.monotonic() < until:
            views = [(run_id, await self._operator.run(run_id)) for run_id in self._open]
            self._open = [run_id for run_id, view in views if view is not None and view["finished_at"] is None]
            if len(self._open) > OPEN_MAX:
                await asyncio.sleep(_POLL_S)

    async def _one(self) -> None:
        request = self._request()
        device_ids = self._targets()
        requested_at = time.monotonic()
        body = {**request, "targets": {"device_ids": device_ids}}
        made = await self._operator.start(body, key=str(uuid.UUID(bytes=self._dice.randbytes(16), version=4)))
        left_out = {one["id"] for one in made["excluded"]}
        asked = Asked(
            made["id"],
            requested_at,
            frozenset(device_ids) - left_out,
            limited=request["max_parallel"] is not None,
            script=hashlib.sha256(request["script"].encode()).hexdigest() if "script" in request else "",
        )
        self.asked.append(asked)
        if self._chaos and self._dice.random() < _CANCELLED_SHARE:
            await asyncio.sleep(self._dice.uniform(0.0, 0.5))
            asked.cancelled = True
            await self._operator.cancel(asked.run_id)

    def _request(self) -> dict[str, Any]:
        if not self._next:
            self._next = self._dice.sample(choices := _ROUGH if self._chaos else _CALM, len(choices))
        kind, what = self._next.pop()
        if kind == "script":
            what = what.format(number=len(self.asked))
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
