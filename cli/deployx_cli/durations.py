"""Durations as people write them: `90`, `90s`, `15m`, `2h`, `1d`."""

from deployx_cli.errors import WrongUsage

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def seconds(text: str, option: str) -> float:
    """The duration in seconds. Raises WrongUsage, which names `option`."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _SECONDS else (text, "s")
    try:
        found = float(number) * _SECONDS[unit]
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise WrongUsage(f"{option} {text!r} is not a duration; write 90, 90s, 15m, 2h or 1d.")
    return found


def spoken(duration_s: float) -> str:
    """`1.5 s`, `3 min`, `2 h` or `4 d`: one unit, as it is read at a glance."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if duration_s >= size:
            return f"{duration_s / size:.3g} {unit}"
    return f"{duration_s:.3g} s"
