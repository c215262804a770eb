"""Every point on the way of a release, and back, at which an agent can be killed; see ``crash_points.py``."""

from collections.abc import Callable

from tests.support.crash_points import Point, When

_FOLDER = "deployx_agent.releases."
_MEMORY = _FOLDER + "memory:Memory."
_PROGRAMS = _FOLDER + "programs:Programs."
_JOURNAL = "deployx_agent.tasks.journal:Journal."


def _stage(name: str) -> Callable[..., bool]:
    """A record of this stage, by a task that is not over."""
    return lambda _self, current: current.stage == name


def _program(name: str) -> Callable[..., bool]:
    return lambda _self, *arguments: arguments[-1] == name


def _each_stage(*names: str) -> dict[str, Point]:
    points = {}
    for name in names:
        points[f"{name}: before it is written"] = Point(_MEMORY + "write", When.BEFORE, _stage(name))
        points[f"{name}: written"] = Point(_MEMORY + "write", When.AFTER, _stage(name))
    return points


FORTH = {
    "taken: journalled, before anything else": Point(_JOURNAL + "started", When.AFTER),
    "taken: the payload is here": Point(_FOLDER + "depot:Depot.fetch_payload", When.AFTER),
    "fetched: the artifacts are here": Point(_FOLDER + "depot:Depot.fetch", When.AFTER),
    **_each_stage("preparing", "changing", "checking", "confirming", "over"),
    "install: its step has run": Point(_PROGRAMS + "run", When.AFTER, _program("install")),
    "commit: before": Point(_MEMORY + "commit", When.BEFORE),
    "commit: after": Point(_MEMORY + "commit", When.AFTER),
    "ended: before the journal": Point(_JOURNAL + "finished", When.BEFORE),
    "ended: journalled": Point(_JOURNAL + "finished", When.AFTER),
}
"""While a release goes well."""

OF_KIND = {
    "archive": {
        "archive: unpacked beside": Point(_FOLDER + "archive:ArchiveKind._unpack", When.AFTER),
        "archive: before they change places": Point(_FOLDER + "archive:ArchiveKind._swap", When.BEFORE),
        "archive: in its place": Point(_FOLDER + "archive:ArchiveKind._swap", When.AFTER),
    },
    "file": {
        "file: kept": Point(_FOLDER + "single_file:FileKind.prepare", When.AFTER),
        "file: before it is renamed": Point(_FOLDER + "single_file:FileKind.put", When.BEFORE),
        "file: in its place": Point(_FOLDER + "single_file:FileKind.put", When.AFTER),
    },
    "script": {},
    "package": {
        "package: kept": Point(_FOLDER + "package:PackageKind.prepare", When.AFTER),
        "package: before it is installed": Point(_FOLDER + "package:PackageKind.put", When.BEFORE),
        "package: installed": Point(_FOLDER + "package:PackageKind.put", When.AFTER),
    },
}

BACK = {
    **_each_stage("reverting"),
    "back: before its over is written": Point(
        _MEMORY + "write", When.BEFORE, lambda _self, current: current.stage == "over" and current.why is not None
    ),
    "back: over": Point(
        _MEMORY + "write", When.AFTER, lambda _self, current: current.stage == "over" and current.why is not None
    ),
    "back: before the journal": Point(_JOURNAL + "finished", When.BEFORE),
}
"""While one is undone."""

BACK_OF_KIND = {
    "archive": {
        "back: before the old folder": Point(_FOLDER + "archive:ArchiveKind._restore", When.BEFORE),
        "back: the old folder is back": Point(_FOLDER + "archive:ArchiveKind._restore", When.AFTER),
    },
    "file": {
        "back: before the old file": Point(_FOLDER + "single_file:FileKind.back", When.BEFORE),
        "back: the old file is back": Point(_FOLDER + "single_file:FileKind.back", When.AFTER),
    },
    "script": {"back: the old version is installed": Point(_PROGRAMS + "run", When.AFTER, _program("detect"))},
    "package": {
        "back: before the old package": Point(_FOLDER + "package:PackageKind.back", When.BEFORE),
        "back: the old package is back": Point(_FOLDER + "package:PackageKind.back", When.AFTER),
    },
}

POINTS: dict[str, dict[str, Point]] = {
    "server": {},
    "agent": FORTH
    | BACK
    | {
        label: point
        for table in (OF_KIND, BACK_OF_KIND)
        for of_kind in table.values()
        for label, point in of_kind.items()
    },
}


def labels(kind: str, *, back: bool) -> list[str]:
    """Of a release of this kind that goes well, or is undone."""
    return [*(BACK | BACK_OF_KIND[kind])] if back else [*(FORTH | OF_KIND[kind])]
