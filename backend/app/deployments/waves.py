"""What a deployment's row keeps of its waves."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from app.deployments.models import Deployment
from app.deployments.planner import Wave
from app.deployments.strategy import Strategy, from_json
from deployx_protocol.deployments import TargetState


class KeptWave(msgspec.Struct, kw_only=True):
    """One wave: how it began, and what became of it."""

    number: int
    label: str
    opened_at: datetime | None = None
    met_at: datetime | None = None
    excused: int = 0
    """Failures that somebody has seen and went on with."""
    promoted_by: str = ""


def planned(strategy: Strategy, total: int, *, following: bool) -> tuple[list[KeptWave], list[int]]:
    """The waves of ``total`` devices, without those that would have none, and how many devices each has."""
    labelled = list(zip(strategy.waves, strategy.sizes(total), strict=True))
    last = len(labelled) - 1
    filled = [(label, size) for place, (label, size) in enumerate(labelled) if size or (following and place == last)]
    return [KeptWave(number=n, label=label) for n, (label, _) in enumerate(filled, 1)], [size for _, size in filled]


def read(deployment: Deployment) -> list[KeptWave]:
    """From the row."""
    return msgspec.convert(deployment.waves, list[KeptWave])


def write(deployment: Deployment, waves: Sequence[KeptWave]) -> None:
    """Into the row."""
    plain: list[dict[str, Any]] = msgspec.to_builtins(waves)
    deployment.waves = plain


def last_open(waves: Sequence[KeptWave]) -> int:
    """The number of the last wave that is open; 0 if none is."""
    return max((wave.number for wave in waves if wave.opened_at), default=0)


def as_they_stand(waves: Sequence[KeptWave], counts: Mapping[int, Mapping[TargetState, int]]) -> list[Wave]:
    """What the planner is told of them."""
    return [
        Wave(
            number=wave.number,
            label=wave.label,
            counts=counts.get(wave.number, {}),
            opened_at=wave.opened_at,
            met_at=wave.met_at,
            excused=wave.excused,
        )
        for wave in waves
    ]


def deadline_s(deployment: Deployment) -> float | None:
    """How long the deployment may take."""
    return from_json(deployment.strategy).deadline_s


def later(now: datetime, seconds: float) -> datetime:
    """So many seconds after ``now``."""
    return now + timedelta(seconds=seconds)
