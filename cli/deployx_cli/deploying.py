"""What `deployx deploy` and `deployx deployment` do: show the plan, start, follow, and say how it ended.

Invariant: what somebody agreed to is what is started: the plan is shown from the same request.
"""

import sys
import time
from typing import Any

import typer

from deployx_cli import safe
from deployx_cli.api import Api
from deployx_cli.errors import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_SOME_FAILED,
    CommandError,
    Unreachable,
    WrongUsage,
)
from deployx_cli.moments import for_people
from deployx_cli.progress import Progress
from deployx_cli.work import LAST, repeatable

OVER = frozenset({"rejected", "aborted", "rolled_back", "succeeded", "failed"})
_SETTLED = ("succeeded", "failed", "rolled_back", "skipped")
_PAUSE_S = 1.0
_AWAY_S = 60.0
_NAMED = 10
_WIDTH = 24

Deployment = dict[str, Any]


def preview(api: Api, request: dict[str, Any]) -> dict[str, Any]:
    """What it would reach."""
    return api.object("POST", "/deployments/preview", json=request)


def start(api: Api, request: dict[str, Any]) -> Deployment:
    """Start it. Asked again when no answer comes, which never starts a second one."""
    return repeatable(api, "/deployments", request)


def one(api: Api, deployment_id: str) -> Deployment:
    """A deployment; `last` is the newest. Raises CommandError."""
    if deployment_id == LAST:
        found = api.object("GET", "/deployments", params={"limit": "1"}).get("items")
        if not found:
            raise CommandError("There is no deployment yet.")
        newest: Deployment = found[0]
        return newest
    if not deployment_id or not set(deployment_id) <= set("0123456789abcdef-"):
        raise WrongUsage(f"{deployment_id!r} is not the id of a deployment; deployx deployments lists them.")
    return api.object("GET", f"/deployments/{deployment_id}")


def tell_plan(progress: Progress, plan: dict[str, Any]) -> None:
    """Which release goes to whom, in which waves, and whom it leaves out and why. Raises CommandError for nobody."""
    release = plan["release"]
    signed = f"signed by {release['signatures']}" if release["signatures"] else "signed by nobody"
    progress.say(f"{safe.text(release['name'])}@{safe.text(release['version'])}, number {release['number']}, {signed}")
    for wave in plan["waves"]:
        names = [safe.text(one["device_name"]) for one in plan["devices"] if one["wave"] == wave["number"]]
        more = f" and {wave['total'] - _NAMED} more" if wave["total"] > _NAMED else ""
        progress.say(
            f"  wave {wave['number']} ({safe.text(wave['label'])}): {wave['total']}: {', '.join(names[:_NAMED])}{more}"
        )
    for left in plan["excluded"][:_NAMED]:
        progress.say(f"Left out: {safe.text(left['device_name'] or left['id'])}: {safe.text(left['why'])}")
    if plan["excluded_total"] > _NAMED:
        progress.say(f"Left out: {plan['excluded_total'] - _NAMED} more")
    for sentence in plan["warnings"]:
        progress.say(f"Note: {safe.text(sentence)}")
    if not plan["total"]:
        raise CommandError("No device can be given this. See what a selector reaches with: deployx devices --on …")
    offline = f", {plan['offline']} of them offline" if plan["offline"] else ""
    progress.say(f"{plan['total']} device{'' if plan['total'] == 1 else 's'}{offline}")
    if plan["needs_approval"]:
        progress.say(f"It waits for a second person: more than {plan['approval_above']} devices.")


def agreed(*, yes: bool, question: str = "Deploy this?") -> None:
    """Ask, where there is somebody. Raises CommandError."""
    if sys.stdin.isatty() and not yes and not typer.confirm(question, err=True):
        raise CommandError("Nothing was done.")


def watch(api: Api, deployment_id: str, progress: Progress) -> int:
    """Follow a deployment until it is over or stands still; Ctrl-C leaves it going. Gives the exit code."""
    told: set[tuple[int, str]] = set()
    try:
        found = _followed(api, deployment_id, progress, told)
    except KeyboardInterrupt:
        progress.say(f"\nThe deployment goes on. Follow it: deployx deployment watch {deployment_id}")
        return EXIT_INTERRUPTED
    progress.clear()
    for sentence in ending(found):
        progress.say(sentence)
    return verdict(found)


def _followed(api: Api, deployment_id: str, progress: Progress, told: set[tuple[int, str]]) -> Deployment:
    answered = time.monotonic()
    while True:
        try:
            found = api.object("GET", f"/deployments/{deployment_id}")
            answered = time.monotonic()
        except Unreachable as error:
            if time.monotonic() - answered > _AWAY_S:
                goes_on = f"The deployment goes on. Follow it: deployx deployment watch {deployment_id}"
                raise Unreachable(f"{error} {goes_on}") from None
            progress.show("The server does not answer; the deployment goes on. Asking again …")
            time.sleep(_PAUSE_S)
            continue
        _tell_news(progress, found, told)
        if found["state"] in OVER or found["state"] == "paused":
            return found
        progress.show(line(found))
        time.sleep(_PAUSE_S)


def _tell_news(progress: Progress, found: Deployment, told: set[tuple[int, str]]) -> None:
    """A line that stays for each wave that is done, and for each other state of the whole."""
    if found["state"] not in ("running", *OVER) and (0, found["state"]) not in told:
        told.add((0, found["state"]))
        reason = f": {safe.text(for_people(found['reason']))}" if found["reason"] else ""
        progress.say(f"{found['state'].replace('_', ' ')}{reason}")
    for wave in found["waves"]:
        over = sum(wave["counts"].get(state, 0) for state in _SETTLED) == wave["total"]
        if over and wave["total"] and (wave["number"], "done") not in told:
            told.add((wave["number"], "done"))
            progress.say(_wave_line(wave))


def line(found: Deployment) -> str:
    """How far it is, in one line: the wave that is open, and what its gate waits for."""
    wave = next((one for one in found["waves"] if one["number"] == found["wave"]), None)
    if wave is None:
        return safe.text(for_people(found["next_event"] or found["reason"] or found["state"]))
    return f"{_wave_line(wave)}; {safe.text(for_people(wave['gate']['sentence']))}"


def _wave_line(wave: dict[str, Any]) -> str:
    over = sum(wave["counts"].get(state, 0) for state in _SETTLED)
    filled = _WIDTH * over // wave["total"] if wave["total"] else _WIDTH
    counts = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in wave["counts"].items())
    bar = f"[{'#' * filled}{'.' * (_WIDTH - filled)}]"
    return f"wave {wave['number']} ({safe.text(wave['label'])}): {bar} {over} of {wave['total']}: {counts or 'none'}"


def ending(found: Deployment) -> list[str]:
    """How it ended, or why it stands still."""
    counts = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in found["counts"].items())
    said = [f"{safe.text(found['title'])}: {found['state'].replace('_', ' ')}; {counts or 'no device'}"]
    if found["reason"]:
        said.append(f"  {safe.text(for_people(found['reason']))}")
    if found["attention"]:
        said.append(
            f"  {found['attention']} could not go back, and need somebody: deployx deployment show {found['id']}"
        )
    if found["state"] == "paused":
        said.append(f"  Go on: deployx deployment resume {found['id']}")
        said.append(f"  Take it back: deployx deployment rollback {found['id']}")
    return said


def verdict(found: Deployment) -> int:
    """0: every device has it; 1: none has; 3: some have."""
    if found["state"] == "succeeded":
        return 0
    return EXIT_SOME_FAILED if found["counts"].get("succeeded") else EXIT_FAILED
