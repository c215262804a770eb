"""Lists on the screen: a table for people, tab-separated lines for a pipe, JSON for programs.

Invariant: what an agent says about itself never reaches a terminal with control characters in it.
"""

import sys
from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from deployx_cli import safe
from deployx_cli.durations import spoken
from deployx_cli.moments import for_people

_COLUMNS = ("STATUS", "NAME", "HOSTNAME", "PLATFORM", "ADDRESS", "TRUST", "OWNER", "LAST SEEN")


def print_devices(devices: list[dict[str, Any]], *, as_json: bool) -> None:
    """All of them, in the form that stdout calls for."""
    if as_json:
        print(safe.as_json(devices))
    elif sys.stdout.isatty():
        from deployx_cli import tables

        now = datetime.now(UTC)
        rows = [(*cells, relative(last_seen, now)) for *cells, last_seen in map(_row, devices)]
        tables.print_devices(_COLUMNS, rows)
    else:
        _lines(_COLUMNS, map(_row, devices))


def print_runs(runs: list[dict[str, Any]]) -> None:
    """Runs, newest first. On a terminal without what the other columns say: how many devices, and the one person."""
    titles = ("RUN", "STARTED", "DEVICES", "STATES", "BY", "WHAT")
    rows = [_run_row(run) for run in runs]
    left_out = {"DEVICES"} | ({"BY"} if len({run["created_by"] for run in runs}) == 1 else set())
    _list(titles, rows, "No run matches.", left_out, whole={"RUN", "STARTED"}, cut={"WHAT"})


def print_tasks(tasks: list[dict[str, Any]]) -> None:
    """The tasks of a run, each with why it is as it is and what comes next."""
    titles = ("DEVICE", "STATE", "EXIT", "TOOK", "WHY", "NEXT")
    whole = {"DEVICE", "STATE", "EXIT", "TOOK"}
    _list(titles, [_task_row(task) for task in tasks], "The run has no task.", whole=whole)


def print_groups(groups: list[dict[str, Any]]) -> None:
    """Groups, with what is in them."""
    rows = [(one["name"], one["total"], one["selector"] or "(devices picked one by one)") for one in groups]
    _list(("GROUP", "DEVICES", "SELECTOR"), rows, "You have no group.")


def print_artifacts(artifacts: list[dict[str, Any]]) -> None:
    """Artifacts, newest first."""
    rows = [(one["sha256"], one["size"], one["used_by"], one["created_at"], one["name"]) for one in artifacts]
    _list(("SHA256", "BYTES", "RELEASES", "UPLOADED", "NAME"), rows, "There is no artifact.", cut={"NAME"})


def print_releases(releases: list[dict[str, Any]]) -> None:
    """Releases, newest first."""
    rows = [
        (
            f"{one['name']}@{one['version']}",
            one["number"],
            one["kind"],
            ", ".join(one["platforms"]),
            ", ".join(signer["name"] or signer["key_id"][:8] for signer in one["signers"]),
            one["deployments"],
            relative(one["created_at"], datetime.now(UTC)) if sys.stdout.isatty() else one["created_at"],
            one["created_by"],
        )
        for one in releases
    ]
    titles = ("RELEASE", "NUMBER", "KIND", "PLATFORMS", "SIGNED BY", "DEPLOYMENTS", "MADE", "BY")
    _list(titles, rows, "There is no release.", whole={"RELEASE", "NUMBER", "KIND", "MADE"})


def print_deployments(deployments: list[dict[str, Any]]) -> None:
    """Deployments, newest first."""
    rows = [
        (
            one["id"],
            relative(one["created_at"], datetime.now(UTC)) if sys.stdout.isatty() else one["created_at"],
            one["title"],
            one["state"].replace("_", " ") if sys.stdout.isatty() else one["state"],
            one["total"],
            counted(one["counts"]),
            one["created_by"],
        )
        for one in deployments
    ]
    titles = ("DEPLOYMENT", "STARTED", "RELEASE", "STATE", "DEVICES", "STATES", "BY")
    _list(titles, rows, "No deployment matches.", whole={"DEPLOYMENT", "STARTED", "RELEASE", "STATE"})


def print_targets(targets: list[dict[str, Any]]) -> None:
    """The devices of a deployment, in the order of their turns."""
    on_terminal = sys.stdout.isatty()
    rows = [
        (
            one["wave"],
            one["device_name"],
            one["state"].replace("_", " ") if on_terminal else one["state"],
            one["attempt"],
            for_people(one["reason"]) if on_terminal else one["reason"],
            for_people(one["next_event"]) if on_terminal else one["next_event"],
        )
        for one in targets
    ]
    titles = ("WAVE", "DEVICE", "STATE", "TRY", "WHY", "NEXT")
    _list(titles, rows, "The deployment has no device.", whole={"WAVE", "DEVICE", "STATE", "TRY"})


def print_schedules(schedules: list[dict[str, Any]]) -> None:
    """Schedules by name. A time that is to come is shown in this machine's time zone."""
    on_terminal = sys.stdout.isatty()
    rows = [
        (
            one["name"],
            _moment(one["next_due_at"], on_terminal) or one["state"],
            one["words"] or "once",
            one["timezone"],
            _came_of(one["last"]) if one["last"] else "",
            one["owner"],
            one["what"],
        )
        for one in schedules
    ]
    left_out = {"BY"} if len({one["owner"] for one in schedules}) == 1 else set()
    titles = ("SCHEDULE", "NEXT", "WHEN", "ZONE", "LAST", "BY", "WHAT")
    _list(titles, rows, "You have no schedule.", left_out, whole={"SCHEDULE", "NEXT"}, cut={"WHAT"})


def print_firings(firings: list[dict[str, Any]]) -> None:
    """What came of a schedule's times, the latest first."""
    on_terminal = sys.stdout.isatty()
    rows = [
        (_moment(one["due_at"], on_terminal), _came_of(one), one["run_id"] or one["deployment_id"], one["reason"])
        for one in firings
    ]
    _list(("DUE", "STATE", "STARTED", "WHY"), rows, "It was not due yet.", whole={"DUE", "STATE", "STARTED"})


def print_software(found: list[dict[str, Any]]) -> None:
    """Versions of packages, and on how many devices each is."""
    rows = [(one["name"], one["version"], one["arch"], one["source"], one["devices"]) for one in found]
    _list(("PACKAGE", "VERSION", "ARCH", "SOURCE", "DEVICES"), rows, "No device has it.")


def print_devices_with(found: list[dict[str, Any]]) -> None:
    """Devices that have a package, and how old that knowledge is."""
    now = datetime.now(UTC)
    rows = [
        (
            one["device_name"],
            ", ".join(one["found"]),
            relative(one["confirmed_at"], now) if sys.stdout.isatty() else one["confirmed_at"],
        )
        for one in found
    ]
    _list(("DEVICE", "HAS", "KNOWN"), rows, "No device has it.", whole={"DEVICE", "KNOWN"})


def print_compliance(found: list[dict[str, Any]]) -> None:
    """How devices stand to a release."""
    rows = [(one["device_name"], one["standing"], one["has"], one["why"]) for one in found]
    _list(("DEVICE", "STATE", "HAS", "WHY"), rows, "No device.", whole={"DEVICE", "STATE"})


def _moment(stamp: str | None, on_terminal: bool) -> str:
    return for_people(f"{stamp[:19]}Z") if stamp and on_terminal else stamp or ""


def _came_of(firing: dict[str, Any]) -> str:
    count = f" ({firing['missed']})" if firing["missed"] > 1 else ""
    return f"{firing['state']}{count}" + (" by hand" if firing["by_hand"] else "")


def print_audit(entries: list[dict[str, Any]]) -> None:
    """What was done, newest first."""
    rows = [
        (
            one["seq"],
            one["at"],
            one["actor"] or one["actor_kind"],
            one["source_ip"],
            one["action"],
            one["object_name"] or one["object_id"],
        )
        for one in entries
    ]
    _list(("ENTRY", "AT", "WHO", "FROM", "DID", "TO"), rows, "No entry matches.")


def counted(counts: dict[str, int]) -> str:
    """`3 succeeded, 1 failed`: how many tasks are in which state."""
    return ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in counts.items())


def _run_row(run: dict[str, Any]) -> tuple[object, ...]:
    started = relative(run["created_at"], datetime.now(UTC)) if sys.stdout.isatty() else run["created_at"]
    return run["id"], started, run["total"], counted(run["counts"]), run["created_by"], run["title"]


def _task_row(task: dict[str, Any]) -> tuple[object, ...]:
    ended = f"signal {task['signal']}" if task["signal"] is not None else task["exit_code"]
    took = None if task["duration_s"] is None else spoken(task["duration_s"])
    state, reason, following = task["state"], task["reason"], task["next_event"]
    if sys.stdout.isatty():
        state, reason, following = state.replace("_", " "), for_people(reason), for_people(following)
    return task["device_name"], state, ended, took, reason, following


def _list(
    titles: tuple[str, ...],
    rows: Sequence[tuple[object, ...]],
    empty: str,
    left_out: Collection[str] = (),
    *,
    whole: Collection[str] = (),
    cut: Collection[str] = (),
) -> None:
    """`left_out`, `whole` (never broken) and `cut` (to one line) are titles, and for a terminal alone."""
    shown = [[safe.text(None if cell == "" else cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        _lines(titles, shown)
    elif not shown:
        print(empty)
    else:
        from deployx_cli import tables  # rich takes long to import, and a pipe needs none of it

        places = [place for place, title in enumerate(titles) if title not in left_out]
        tables.print_rows(
            [titles[place] for place in places],
            [[row[place] for place in places] for row in shown],
            whole=whole or titles[:1],
            cut=cut,
        )


def _lines(titles: tuple[str, ...], rows: Iterable[Sequence[str]]) -> None:
    print("\t".join(titles))
    for row in rows:
        print("\t".join(row))


def _row(device: dict[str, Any]) -> list[str]:
    names = ("status", "device_name", "hostname", "platform", "ip_address", "trust", "owner", "last_seen")
    return [safe.text(device.get(name)) for name in names]


def relative(stamp: str, now: datetime) -> str:
    """`3 min ago` for a time on the wire; the text itself if it is none."""
    try:
        seconds = (now - datetime.fromisoformat(stamp)).total_seconds()
    except (ValueError, TypeError):
        return stamp
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{max(0, int(seconds))} s ago"
