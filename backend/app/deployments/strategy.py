"""How a deployment goes from device to device: a request's words checked and brought into one form. Pure.

Every refusal is an InvalidInput with a code of its own and a sentence that says what to do.
"""

import math
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from app.deployments.schemas import StrategyInput, WindowInput
from app.errors import InvalidInput
from deployx_protocol.deployments import Offline, OnFailure, Order, StrategyView, WindowView
from deployx_protocol.policy_hours import Hours

_COUNT = re.compile(r"[0-9]{1,6}")
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,3})?)\s?%")


@dataclass(frozen=True, slots=True)
class Share:
    """A count of devices, or a percentage of them."""

    text: str
    count: int | None = None
    percent: float | None = None

    @classmethod
    def of(cls, text: str, field: str, code: str) -> "Share":
        """What ``text`` says. Raises InvalidInput."""
        text = text.strip()
        if _COUNT.fullmatch(text):
            return cls(str(int(text)), count=int(text))
        found = _PERCENT.fullmatch(text)
        if found and float(found[1]) <= 100:
            return cls(f"{float(found[1]):g}%", percent=float(found[1]))
        raise InvalidInput(
            f"`{field}` has {text[:20]!r}; write a count such as 10, or a percentage such as 10%.", code=code
        )

    def reached(self, total: int) -> int:
        """How many of ``total``, at least one for what is more than nothing."""
        if self.count is not None:
            return min(self.count, total)
        return math.ceil(total * (self.percent or 0) / 100)

    def allowed(self, total: int) -> int:
        """How many of ``total`` at most."""
        return self.count if self.count is not None else math.floor(total * (self.percent or 0) / 100)


class Strategy(msgspec.Struct, frozen=True, kw_only=True):
    """As it is kept with the deployment, and hashed with its plan."""

    waves: list[str]
    max_parallel: int | None
    failure_threshold: str
    soak_s: float
    healthy_percent: float | None
    window: Hours | None
    order: Order
    order_seed: int
    order_tag: str
    deadline_s: float | None
    offline: Offline
    offline_after_s: float
    on_failure: OnFailure
    attempts: int

    @property
    def threshold(self) -> Share:
        """How many may fail."""
        return Share.of(self.failure_threshold, "failure_threshold", "invalid_threshold")

    def sizes(self, total: int) -> list[int]:
        """How many of ``total`` devices are in each wave."""
        sizes: list[int] = []
        for text in self.waves:
            reached = Share.of(text, "waves", "invalid_waves").reached(total)
            sizes.append(max(0, reached - sum(sizes)))
        return sizes

    def opens_at(self, now: datetime) -> datetime:
        """When something may start next; ``now`` if it may already."""
        return self.window.opens_at(now) if self.window else now

    def view(self) -> StrategyView:
        """As people see it."""
        plain = {name: getattr(self, name) for name in self.__struct_fields__ if name != "window"}
        return StrategyView(window=_window_view(self.window), **plain)


def to_json(strategy: Strategy) -> dict[str, Any]:
    """As it stands in a row."""
    found: dict[str, Any] = msgspec.to_builtins(strategy)
    return found


def from_json(stored: dict[str, Any]) -> Strategy:
    """From a row."""
    return msgspec.convert(stored, Strategy)


def strategy_of(asked: StrategyInput) -> Strategy:
    """What ``asked`` says. Raises InvalidInput."""
    if asked.order is Order.TAG and not asked.order_tag:
        raise InvalidInput("`order: tag` needs `order_tag`, the name of a tag.", code="order_without_tag")
    return Strategy(
        waves=_waves(asked.waves),
        max_parallel=asked.max_parallel,
        failure_threshold=Share.of(asked.failure_threshold, "failure_threshold", "invalid_threshold").text,
        soak_s=asked.soak_s,
        healthy_percent=asked.healthy_percent,
        window=_window(asked.window) if asked.window else None,
        order=asked.order,
        order_seed=asked.order_seed,
        order_tag=asked.order_tag,
        deadline_s=asked.deadline_s,
        offline=asked.offline,
        offline_after_s=asked.offline_after_s,
        on_failure=asked.on_failure,
        attempts=asked.attempts,
    )


def _waves(texts: list[str]) -> list[str]:
    waves = [Share.of(text, "waves", "invalid_waves") for text in texts]
    for kind in ("count", "percent"):
        values = [value for wave in waves if (value := getattr(wave, kind)) is not None]
        if any(after <= before for before, after in zip([0, *values], values, strict=False)):
            raise InvalidInput(
                "`waves` says how many devices have had their turn after each wave, so each has to be more than the "
                "one before, as in 1, 10%, 50%, 100%.",
                code="invalid_waves",
            )
    if waves[-1].percent != 100:
        raise InvalidInput(
            f"`waves` ends with {waves[-1].text}, so that some devices would never get their turn; end with 100%.",
            code="waves_incomplete",
        )
    return [wave.text for wave in waves]


def _window(asked: WindowInput) -> Hours:
    if not asked.days:
        raise InvalidInput("`window` names no day, so it never opens.", code="window_never_opens")
    if asked.begin == asked.end:
        raise InvalidInput(
            "`window` begins when it ends, so it never opens; the whole day is 00:00 to 24:00.",
            code="window_never_opens",
        )
    plain = {"from": asked.begin, "to": asked.end, "zone": asked.zone, "days": sorted(set(asked.days))}
    try:
        return msgspec.convert(plain, Hours)
    except msgspec.ValidationError as error:
        why = str(error).rstrip(".")
        raise InvalidInput(f"`window` cannot be used: {why}.", code="invalid_window") from None


def _window_view(window: Hours | None) -> WindowView | None:
    if window is None:
        return None
    return WindowView(days=list(window.days), begin=window.begin, end=window.end, zone=window.zone)
