"""`deployx deploy` and `deployx deployment`: what is asked of the server, what is shown, and the exit codes."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from app.deployments.schemas import Decision, DeploymentRequest, Promotion, Reason, RetryTargets
from deployx_cli.errors import WrongUsage
from deployx_cli.main import app
from deployx_cli.strategy import Options, strategy_of
from deployx_protocol.deployments import (
    ApprovalView,
    DeploymentState,
    DeploymentView,
    GateView,
    Offline,
    OnFailure,
    Order,
    StrategyView,
    WaveState,
    WaveView,
)
from tests.support.shell import until

ENV = {"DEPLOYX_TOKEN": "dxp_x"}
ID = "01a2b3c4-0000-7000-8000-000000000000"
HELP = Path(__file__).parent / "golden" / "help.txt"
COMMANDS = [
    *(f"release {name}" for name in ("", "create", "check", "sign", "verify", "show", "list", "push", "delete")),
    *("deploy", "deployments"),
    *(f"deployment {name}" for name in ("", "show", "watch", "pause", "resume", "abort", "rollback", "promote")),
    *(f"deployment {name}" for name in ("retry", "approve", "reject")),
]


def wave(number: int, counts: dict[str, int], state: WaveState = WaveState.OPEN, total: int = 2) -> WaveView:
    gate = GateView(met=False, condition="all are over", current="1 of 2", sentence="1 of 2 are over")
    return WaveView(
        number=number,
        label=f"{50 * number}%",
        state=state,
        total=total,
        counts=counts,
        gate=gate,
        opened_at=None,
        met_at=None,
        soak_until=None,
        promoted_by="",
    )


def view(state: str, *waves: WaveView, counts: dict[str, int] | None = None, **changes: Any) -> dict[str, Any]:
    """A deployment, as the server says it."""
    strategy = StrategyView(
        waves=["50%", "100%"],
        max_parallel=None,
        failure_threshold="0",
        soak_s=0,
        healthy_percent=None,
        window=None,
        order=Order.NAME,
        order_seed=0,
        order_tag="",
        deadline_s=None,
        offline=Offline.WAIT,
        offline_after_s=0,
        on_failure=OnFailure.PAUSE,
        attempts=3,
    )
    said: dict[str, Any] = {
        "id": ID,
        "title": "shop@2.4",
        "release_name": "shop",
        "release_version": "2.4",
        "release_number": 3,
        "release_sha256": "a" * 64,
        "state": DeploymentState(state),
        "reason": "",
        "next_event": "",
        "selector": "*",
        "following": False,
        "strategy": strategy,
        "plan_hash": "b" * 64,
        "approval": ApprovalView(required=False, above=0, decided="", by="", at=None, note=""),
        "user_id": 1,
        "created_by": "ada@example.test",
        "created_at": "2026-11-29T12:00:00.000Z",
        "started_at": None,
        "finished_at": None,
        "deadline_at": None,
        "total": 4,
        "counts": counts or {},
        "attention": 0,
        "wave": len(waves),
        "waves": list(waves),
        "pace_per_hour": None,
        "estimate_at": None,
        "actions": [],
        "run_id": None,
        "revert_run_id": None,
        "rev": 1,
    }
    plain: dict[str, Any] = msgspec.to_builtins(DeploymentView(**(said | changes)))
    return plain


PLAN: dict[str, Any] = {
    "release": {"name": "shop", "version": "2.4", "number": 3, "signatures": 1},
    "total": 2,
    "online": 1,
    "offline": 1,
    "devices": [{"device_name": "web-1", "wave": 1}, {"device_name": "web-2", "wave": 2}],
    "waves": [{"number": 1, "label": "1", "total": 1}, {"number": 2, "label": "100%", "total": 1}],
    "excluded_total": 1,
    "excluded": [{"id": 3, "device_name": "mac", "why": "the release is for linux"}],
    "warnings": ["1 device will refuse this"],
    "needs_approval": True,
    "approval_above": 1,
    "plan_hash": "b" * 64,
}


def serving(server: Any, *views: dict[str, Any]) -> None:
    """Answer with each of these in turn, and with the last for good."""
    left = list(views)

    def answer(request: Any) -> tuple[int, Any, dict[str, str]]:
        if request.path.endswith("/preview"):
            return 200, PLAN, {}
        if request.method == "POST":
            return 202, views[0] | {"excluded": [], "excluded_total": 0, "warnings": []}, {}
        return 200, left.pop(0) if len(left) > 1 else left[0], {}

    server.answer = answer


def test_what_is_asked_is_what_the_server_takes(server: Any, deployx: Any) -> None:
    serving(server, view("running"))
    done = deployx(
        *("deploy", "shop@2.4", "--on", "role=web", "--waves", "1,10%,50%,100%", "--max-parallel", "20"),
        *("--failures", "5%", "--soak", "10m", "--healthy", "95", "--window", "fri-mon,wed 22:00-04:00 Europe/Berlin"),
        *("--order", "tag:site", "--deadline", "3d", "--offline", "skip", "--offline-after", "2h"),
        *("--on-failure", "roll-back", "--attempts", "2", "--following"),
        DEPLOYX_URL=server.url,
        **ENV,
    )
    assert (done.returncode, done.stdout) == (0, f"{ID}\n"), done.stderr
    [sent] = server.requests
    assert (sent.method, sent.path, len(sent.headers["idempotency-key"])) == ("POST", "/api/v1/deployments", 36)
    taken = DeploymentRequest.model_validate(sent.body)
    assert taken.strategy.model_dump(mode="json", exclude_unset=True) == {
        "waves": ["1", "10%", "50%", "100%"],
        "max_parallel": 20,
        "failure_threshold": "5%",
        "soak_s": 600.0,
        "healthy_percent": 95.0,
        "window": {
            "begin": "22:00",
            "end": "04:00",
            "zone": "Europe/Berlin",
            "days": ["fri", "sat", "sun", "mon", "wed"],
        },
        "order": "tag",
        "order_tag": "site",
        "deadline_s": 259_200.0,
        "offline": "skip",
        "offline_after_s": 7_200.0,
        "on_failure": "roll_back",
        "attempts": 2,
    }
    assert (taken.following, taken.targets.selector) == (True, "role=web")


def test_what_is_not_said_is_the_servers_to_say() -> None:
    assert strategy_of(Options()) == {}
    assert strategy_of(Options(order="random:7")) == {"order": "random", "order_seed": 7}
    assert strategy_of(Options(window="22:00-04:00"))["window"] == {"begin": "22:00", "end": "04:00", "zone": "UTC"}


@pytest.mark.parametrize(
    "wrong",
    [
        Options(waves="1,half"), Options(waves=""" """), Options(waves="10%,"), Options(window="nights"),
        Options(window="mon-xyz 22:00-04:00"), Options(soak="soon"), Options(order="random:x"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant(wrong: Options) -> None:
    with pytest.raises(WrongUsage):
        strategy_of(wrong)


def test_the_plan_is_shown_and_nothing_is_started(server: Any, deployx: Any) -> None:
    serving(server, view("running"))
    done = deployx("deploy", "shop@2.4", "--on", "*", "--dry-run", DEPLOYX_URL=server.url, **ENV)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines() == [
        "shop@2.4, number 3, signed by 1",
        "  wave 1 (1): 1: web-1",
        "  wave 2 (100%): 1: web-2",
        "Left out: mac: the release is for linux",
        "Note: 1 device will refuse this",
        "2 devices, 1 of them offline",
        "It waits for a second person: more than 1 devices.",
    ]
    assert [one.path for one in server.requests] == ["/api/v1/deployments/preview"]


def on_terminal(server: Any, home: Path, answer: bytes) -> tuple[int, str]:
    """Deploy with somebody at the keyboard who answers the question."""
    ours, theirs = pty.openpty()
    command = [str(Path(sys.executable).with_name("deployx")), "deploy", "shop@2.4", "--on", "*"]
    env = {**os.environ, **ENV, "DEPLOYX_URL": server.url, "TERM": "dumb", "HOME": str(home)}
    process = subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
    os.close(theirs)
    os.write(ours, answer)
    _, said = process.communicate(timeout=60)
    os.close(ours)
    return process.returncode, said.decode()


def test_somebody_at_a_terminal_is_asked_first(server: Any, tmp_path: Path) -> None:
    serving(server, view("running"))
    code, said = on_terminal(server, tmp_path, b"n\n")
    assert (code, "wave 1 (1): 1: web-1" in said, "Nothing was done." in said) == (1, True, True)
    assert [one.path for one in server.requests] == ["/api/v1/deployments/preview"]
    code, said = on_terminal(server, tmp_path, b"y\n")
    assert (code, server.requests[-1].path) == (0, "/api/v1/deployments")


HALF = wave(1, {"succeeded": 2}, WaveState.DONE)


@pytest.mark.parametrize(
    ("last", "code", "says"),
    [
        (view("succeeded", HALF, wave(2, {"succeeded": 2}), counts={"succeeded": 4}), 0, "shop@2.4: succeeded"),
        (view("failed", wave(1, {"failed": 2}), counts={"failed": 4}), 1, "shop@2.4: failed; 4 failed"),
        (view("failed", HALF, counts={"succeeded": 3, "failed": 1}), 3, "3 succeeded, 1 failed"),
        (view("rolled_back", counts={"rolled_back": 4}, attention=1), 1, "1 could not go back, and need somebody"),
        (view("paused", HALF, counts={"succeeded": 2}, reason="2 failed."), 3, f"deployx deployment resume {ID}"),
        (view("rejected", reason="Not on a Friday."), 1, "Not on a Friday."),
    ],
)
def test_how_it_ended_is_the_exit_code(server: Any, last: dict[str, Any], code: int, says: str) -> None:
    serving(server, view("running", wave(1, {"installing": 2})), last)
    env = {"DEPLOYX_URL": server.url, **ENV}
    done = CliRunner().invoke(app, ["deploy", "shop@2.4", "--on", "*", "--watch", "--yes"], env=env)
    assert (done.exit_code, done.stdout) == (code, f"{ID}\n"), done.output
    assert says in done.stderr
    if HALF in msgspec.convert(last, DeploymentView).waves:
        assert "wave 1 (50%): [########################] 2 of 2: 2 succeeded" in done.stderr


def test_ctrl_c_leaves_it_going(server: Any, deployx: Any) -> None:
    serving(server, view("running", wave(1, {"installing": 2})))
    deployx._env |= {"DEPLOYX_URL": server.url, **ENV}
    process = deployx.start("deployment", "watch", ID)
    until(lambda: len(server.requests) > 1, "it to watch")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"The deployment goes on. Follow it: deployx deployment watch {ID}" in said.decode()
    assert {one.method for one in server.requests} == {"GET"}


STEERING = [
    (("pause", "last", "--note", "slow"), "pause", Reason, {"note": "slow"}),
    (("resume", ID), "resume", Reason, {"note": ""}),
    (("abort", ID), "abort", Reason, {"note": ""}),
    (("rollback", ID), "rollback", Reason, {"note": ""}),
    (("promote", ID), "promote", Promotion, {"wave": 1, "note": ""}),
    (("retry", ID, "--state", "skipped"), "retry", RetryTargets, {"states": ["skipped"], "note": ""}),
    (("approve", ID), "approve", Decision, {"plan_hash": "b" * 64, "note": ""}),
    (("reject", ID, "--note", "no"), "reject", Decision, {"plan_hash": "b" * 64, "note": "no"}),
]


def test_each_way_to_steer(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOYX_URL", server.url)
    monkeypatch.setenv("DEPLOYX_TOKEN", "dxp_x")
    running = view("running", wave(1, {"installing": 2}))
    server.answer = lambda request: (200, {"items": [running]} if request.path.endswith("limit=1") else running, {})
    for arguments, action, model, body in STEERING:
        done = CliRunner().invoke(app, ["deployment", *arguments])
        assert done.exit_code == 0, done.output
        sent = server.requests[-1]
        assert (sent.path, sent.body) == (f"/api/v1/deployments/{ID}/{action}", body)
        model.model_validate(sent.body)  # type: ignore[attr-defined]
        assert "shop@2.4: running" in done.output


def test_lists(server: Any) -> None:
    running = view("running", wave(1, {"installing": 2}), counts={"installing": 2, "pending": 2})
    target = {
        "wave": 1,
        "device_name": "web-1\x1b[2J",
        "state": "installing",
        "attempt": 1,
        "reason": "",
        "next_event": "",
    }
    entry = {"at": "2026-11-29T12:00:00Z", "actor": "ada@example.test", "text": "Wave 1 was opened."}

    def answer(request: Any) -> tuple[int, Any, dict[str, str]]:
        if "/targets" in request.path:
            return 200, {"items": [target], "next_cursor": None}, {}
        if "/log" in request.path:
            return 200, {"items": [entry], "next_cursor": None}, {}
        return 200, running if ID in request.path else {"items": [running], "next_cursor": None}, {}

    server.answer = answer
    env = {"DEPLOYX_URL": server.url, **ENV}

    def ask(*arguments: str) -> Any:
        return CliRunner().invoke(app, arguments, env=env)

    listed = ask("deployments", "--state", "running")
    assert listed.stdout.splitlines()[1].split("\t")[:6] == [
        ID, "2026-11-29T12:00:00.000Z", "shop@2.4", "running", "4", "2 installing, 2 pending",
    ]  # fmt: skip
    shown = ask("deployment", "show", ID)
    assert shown.stdout.splitlines()[1].split("\t")[:3] == ["1", "web-1\ufffd[2J", "installing"]
    assert "Wave 1 was opened. (ada@example.test)" in shown.stderr
    both = json.loads(ask("deployment", "show", ID, "--json").stdout)
    assert (both["deployment"]["id"], both["log"]) == (ID, [entry])


def pages() -> str:
    """The help of each command, as it stands at 100 columns."""
    shown = []
    for command in COMMANDS:
        page = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "100", "TERM": "dumb"})
        assert page.exit_code == 0, page.output
        shown.append(f"$ deployx {command}".rstrip() + " --help\n" + page.output.rstrip() + "\n")
    return "\n".join("\n".join(line.rstrip() for line in page.splitlines()) + "\n" for page in shown)


def test_the_pages_of_help_are_those_that_were_read() -> None:
    assert pages() == HELP.read_text(encoding="utf-8"), f"if they are meant so: {sys.executable} {__file__}"


if __name__ == "__main__":
    HELP.write_text(pages(), encoding="utf-8")
