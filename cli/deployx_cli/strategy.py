"""From the options of `deployx deploy` to the strategy that the server takes, which decides what is not said."""

import re
from dataclasses import dataclass
from typing import Any

from deployx_cli.durations import seconds
from deployx_cli.errors import WrongUsage

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WINDOW = re.compile(
    r"(?:(?P<days>[a-z]{3}(?:[-,][a-z]{3})*) )?(?P<begin>\d\d:\d\d)-(?P<end>\d\d:\d\d)(?: (?P<zone>[A-Za-z0-9_+/-]+))?"
)


@dataclass(frozen=True, slots=True)
class Options:
    """What somebody typed. Empty text and None: nothing was said."""

    waves: str = ""
    max_parallel: int | None = None
    failures: str = ""
    soak: str = ""
    healthy: float | None = None
    window: str = ""
    order: str = ""
    deadline: str = ""
    offline: str = ""
    offline_after: str = ""
    on_failure: str = ""
    attempts: int | None = None


def strategy_of(options: Options) -> dict[str, Any]:
    """The strategy. Raises WrongUsage."""
    said: dict[str, Any] = {
        "max_parallel": options.max_parallel,
        "failure_threshold": options.failures or None,
        "healthy_percent": options.healthy,
        "offline": options.offline or None,
        "on_failure": options.on_failure.replace("-", "_") or None,
        "attempts": options.attempts,
    }
    spans = {
        "soak_s": ("--soak", options.soak),
        "deadline_s": ("--deadline", options.deadline),
        "offline_after_s": ("--offline-after", options.offline_after),
    }
    said |= {name: seconds(text, option) for name, (option, text) in spans.items() if text}
    if options.waves:
        said["waves"] = _waves(options.waves)
    if options.window:
        said["window"] = window(options.window)
    if options.order:
        kind, _, of = options.order.partition(":")
        said["order"] = kind
        if kind == "tag":
            said["order_tag"] = of
        elif of:
            said["order_seed"] = _seed(of)
    return {name: value for name, value in said.items() if value is not None}


def window(text: str) -> dict[str, Any]:
    """`mon-fri 22:00-04:00 Europe/Berlin`; days and zone may be left out. Raises WrongUsage."""
    found = _WINDOW.fullmatch(text.strip())
    if found is None:
        raise WrongUsage(f"--window {text!r} is none; write it as in 'mon-fri 22:00-04:00 Europe/Berlin'.")
    made: dict[str, Any] = {"begin": found["begin"], "end": found["end"], "zone": found["zone"] or "UTC"}
    if found["days"]:
        made["days"] = _days(found["days"])
    return made


def _days(text: str) -> list[str]:
    days: list[str] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first not in _DAYS or (last and last not in _DAYS):
            raise WrongUsage(f"--window: {part!r} are no days; write them as in mon-fri or sat,sun.")
        at, end = _DAYS.index(first), _DAYS.index(last or first)
        days += [_DAYS[(at + ahead) % 7] for ahead in range((end - at) % 7 + 1)]
    return list(dict.fromkeys(days))


def _waves(text: str) -> list[str]:
    waves = [part.strip() for part in text.split(",")]
    for wave in waves:
        if not re.fullmatch(r"[0-9]+(\.[0-9]+)?%|[0-9]+", wave):
            raise WrongUsage(f"--waves: {wave!r} is neither a number of devices nor a percentage; as in 1,10%,100%.")
    return waves


def _seed(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise WrongUsage(f"--order: {text!r} is no number to draw by; as in random:7.")
    return int(text)
