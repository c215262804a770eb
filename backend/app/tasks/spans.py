"""Durations in words, as they stand in sentences for people."""


def span(seconds: float) -> str:
    """`1 day`, `90 minutes`, `45 seconds`: the largest unit that leaves a whole number, or nearly one."""
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        count = seconds / length
        if count >= 1 and (count == int(count) or count >= 100):
            return _counted(count, unit)
    return _counted(seconds, "second")


def _counted(count: float, unit: str) -> str:
    return f"{round(count, 1):,g} {unit}{'' if count == 1 else 's'}"
