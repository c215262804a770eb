"""The rules of a policy: what they forbid, what they bring along, and that none of them is misread."""

import re
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployx_protocol.policy import Policy, PolicyReport, forbidden, parse, report_of
from deployx_protocol.policy_hours import DAYS, Hours
from deployx_protocol.policy_words import summary, words
from deployx_protocol.signed_runs import Asked
from deployx_protocol.tasks import TaskCode

NOW = datetime(2026, 11, 29, 4, 0, tzinfo=UTC)  # a Sunday
FAR = datetime(9999, 1, 1, tzinfo=UTC)
SHA, OTHER_SHA, KEY = "a" * 64, "b" * 64, "c" * 64
LISTED = {"scripts": "listed", "script": [{"sha256": SHA, "interpreter": ["bash"]}]}


def asked(**changes: Any) -> Asked:
    nothing: dict[str, Any] = {"command": None, "shell": None, "script_sha256": None, "interpreter": [], "args": []}
    return Asked.of(**{**nothing, "user": "", "cwd": "", "env": {}, "timeout_s": 60, **changes})


COMMAND, SHELL = asked(command=["id"]), asked(shell="id")
SCRIPT = asked(script_sha256=SHA, interpreter=["bash"])


def verdict(policy: dict[str, Any], what: Asked, now: datetime = NOW) -> TaskCode | None:
    refusal = forbidden(parse(policy), what, "root", now)
    return refusal.code if refusal else None


@pytest.mark.parametrize("what", [COMMAND, SHELL, SCRIPT])
def test_what_is_not_mentioned_is_allowed(what: Asked) -> None:
    assert verdict({}, what) is None
    assert verdict({"stop": True}, what) is TaskCode.POLICY_STOP


@pytest.mark.parametrize(
    ("policy", "allowed", "refused"),
    [
        ({"shell": False}, [COMMAND, SCRIPT], [SHELL]),
        ({"commands": False}, [SHELL, SCRIPT], [COMMAND]),
        ({"scripts": "none"}, [SHELL, COMMAND], [SCRIPT]),
        ({"users": ["root"]}, [COMMAND, asked(command=["id"], user="root")], [asked(command=["id"], user="bob")]),
        ({"users": ["bob"]}, [asked(command=["id"], user="bob")], [COMMAND]),
        ({"users": []}, [], [COMMAND]),
        ({"max_timeout_s": 60}, [COMMAND], [asked(command=["id"], timeout_s=60.5)]),
    ],
)
def test_what_each_rule_forbids(policy: dict[str, Any], allowed: list[Asked], refused: list[Asked]) -> None:
    assert [verdict(policy, what) for what in allowed] == [None] * len(allowed)
    assert [verdict(policy, what) for what in refused] == [TaskCode.POLICY_FORBIDS] * len(refused)


def test_a_list_of_scripts_leaves_no_way_around_it() -> None:
    assert verdict(LISTED, SCRIPT) is None
    around = [
        COMMAND,
        SHELL,
        asked(script_sha256=OTHER_SHA, interpreter=["bash"]),
        asked(script_sha256=SHA, interpreter=["bash", "-c", "reboot"]),
        asked(script_sha256=SHA, interpreter=["python3"]),
        asked(script_sha256=SHA, interpreter=["bash"], args=["--all"]),
        asked(script_sha256=SHA, interpreter=["bash"], env={"BASH_ENV": "/tmp/x"}),
    ]
    assert [verdict(LISTED, what) for what in around] == [TaskCode.POLICY_FORBIDS] * len(around)
    more = {"args": True, "env": ["RELEASE"]}
    wider = {**LISTED, "script": [{"sha256": SHA, "interpreter": ["bash"], **more}], "commands": True}
    assert verdict(wider, asked(script_sha256=SHA, interpreter=["bash"], args=["x"], env={"RELEASE": "1"})) is None
    assert verdict(wider, COMMAND) is None
    assert verdict(wider, SHELL) is TaskCode.POLICY_FORBIDS


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"shel": False}, "unknown field `shel`"),
        ({"shell": "no"}, "Expected `bool"),
        ({"runs": "Signed"}, "Invalid enum value"),
        ({"runs": "signed"}, "threshold = 1, and 0 can sign"),
        ({"runs": "signed", "threshold": 2, "operator": [{"name": "a", "key": KEY}]}, "threshold = 2, and 1 can sign"),
        ({"runs": "signed", "operator": [{"name": "a", "key": KEY}, {"name": "b", "key": KEY}]}, "the same key"),
        ({"runs": "signed", "operator": [{"name": "a", "key": KEY.upper()}]}, "match"),
        ({"runs": "signed", "operator": [{"name": "a", "key": KEY, "until": datetime(2027, 1, 1)}]}, "timezone"),  # noqa: DTZ001
        ({"operator": [{"name": "a", "key": KEY}]}, 'say runs = "signed"'),
        ({"script": [{"sha256": SHA, "interpreter": ["sh"]}]}, 'say scripts = "listed"'),
        ({"scripts": "listed", "script": [{"sha256": SHA, "interpreter": []}]}, "length"),
        ({"threshold": 0}, ">= 1"),
        ({"max_timeout_s": float("nan")}, ">= 1.0"),
        ({"max_timeout_s": float("inf")}, "number of seconds"),
        ({"users": ["a\u202eb"]}, "cannot be shown"),
        ({"runs": "signed", "operator": [{"name": "a\nb", "key": KEY}]}, "cannot be shown"),
        ({"runs": "signed", "operator": [{"name": "a", "key": KEY, "until": FAR}]}, "year"),
        ({"stop_file": "stop"}, "absolute"),
        ({"hours": {"from": "25:00", "to": "04:00", "zone": "UTC"}}, "match"),
        ({"hours": {"from": "04:00", "to": "04:00", "zone": "UTC"}}, "span"),
        ({"hours": {"from": "01:00", "to": "04:00", "zone": "Mars/Crater"}}, "time zone"),
        ({"hours": {"from": "01:00", "to": "04:00", "zone": "UTC", "days": ["monday"]}}, "Invalid enum"),
        ({"hours": {"from": "01:00", "to": "04:00", "zone": "UTC", "days": []}}, "length"),
        ({"hours": {"from": "01:00", "to": "04:00"}}, "zone"),
    ],
)
def test_a_slip_of_the_pen_makes_it_unusable(content: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse(content)


@pytest.mark.parametrize(
    ("hours", "now", "opens"),
    [
        (("22:00", "04:00", "UTC", DAYS), "2026-11-29T03:59", "2026-11-29T03:59"),
        (("22:00", "04:00", "UTC", DAYS), "2026-11-29T04:00", "2026-11-29T22:00"),
        (
            ("22:00", "04:00", "UTC", ["sat"]),
            "2026-11-29T03:00",
            "2026-11-29T03:00",
        ),  # the night that began on Saturday
        (("22:00", "04:00", "UTC", ["sun"]), "2026-11-29T03:00", "2026-11-29T22:00"),
        (("00:00", "24:00", "UTC", ["mon"]), "2026-11-29T12:00", "2026-11-30T00:00"),
        (("00:00", "24:00", "UTC", ["mon"]), "2026-11-30T23:59", "2026-11-30T23:59"),
        (("00:00", "24:00", "UTC", ["sat"]), "2026-11-29T00:00", "2026-12-05T00:00"),
        (("08:00", "17:00", "Europe/Berlin", DAYS), "2026-07-01T06:00", "2026-07-01T06:00"),
        (("08:00", "17:00", "Europe/Berlin", DAYS), "2026-12-01T06:00", "2026-12-01T07:00"),
        (
            ("02:30", "05:00", "Europe/Berlin", DAYS),
            "2026-03-29T00:00",
            "2026-03-29T01:30",
        ),  # an hour that is not there
    ],
)
def test_hours(hours: tuple[str, str, str, list[Any]], now: str, opens: str) -> None:
    begin, end, zone, days = hours
    window = Hours(begin=begin, end=end, zone=zone, days=list(days))
    assert window.opens_at(_utc(now)) == _utc(opens)
    policy = Policy(hours=window)
    refusal = forbidden(policy, COMMAND, "root", _utc(now))
    assert (refusal is None) == (now == opens)
    if refusal:
        assert refusal.code is TaskCode.POLICY_HOURS
        assert f"next at {opens}:00Z" in refusal.message


@given(
    begin=st.integers(0, 23), end=st.integers(0, 23), days=st.sets(st.sampled_from(DAYS), min_size=1),
    minutes=st.integers(0, 60 * 24 * 400),
)  # fmt: skip
def test_what_opens_is_open_and_was_not_before(begin: int, end: int, days: set[Any], minutes: int) -> None:
    if begin == end:
        return
    window = Hours(begin=f"{begin:02}:00", end=f"{end:02}:00", zone="Europe/Berlin", days=sorted(days))
    now = NOW + timedelta(minutes=minutes)
    opens = window.opens_at(now)
    assert window.opens_at(opens) == opens >= now
    local = opens.astimezone(ZoneInfo("Europe/Berlin"))
    assert DAYS[local.weekday()] in days or DAYS[(local - timedelta(days=1)).weekday()] in days
    if opens > now:
        assert window.opens_at(opens - timedelta(minutes=1)) == opens


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


FULL = {
    "runs": "signed", "releases": "signed", "threshold": 1, "users": ["root"], "max_timeout_s": 600, **LISTED,
    "operator": [{"name": "ada", "key": KEY, "until": datetime(2027, 1, 1, tzinfo=UTC)}],
    "hours": {"from": "22:00", "to": "04:00", "zone": "Europe/Berlin", "days": ["sat", "sun"]},
}  # fmt: skip


def test_a_report_travels_and_is_told_in_words() -> None:
    report = PolicyReport(file="/etc/deployx-agent/policy.toml", sha256=SHA, user="root", rules=parse(FULL))
    assert report_of(msgspec.json.encode(report).decode()) == report
    assert summary(report) == (
        "runs and releases signed by 1 of 1; no shell or commands; scripts: 1 listed; as root; at most 600 s; "
        "22:00 to 04:00 Europe/Berlin on sat, sun"
    )
    told = words(report.rules or Policy(), "root", NOW)
    assert any("signed by ada" in sentence and "until 2027-01-01" in sentence for sentence in told.may)
    assert "Run lines of the shell." in told.may_not
    assert "Run commands." in told.may_not
    assert words(parse({}), "root", NOW).may_not == []


def test_what_cannot_be_read_counts_as_a_policy_that_lets_nothing_run() -> None:
    assert report_of("") is None
    odd = [
        "{",
        "[]",
        '{"file": "x", "rules": {"tomorrows": true}}',
        '{"file": "x\\u0000"}',
        '{"file": "x", "stop": "\\u202e"}',
        '{"file": "' + "x" * 501 + '"}',
        '{"file": "x", "later": ' + "[" * 12_000,
        '{"file": "x", "later": ' + "[" * 11_000 + "]" * 11_000 + "}",
    ]
    for text in odd:
        report = report_of(text)
        assert report and report.error and report.rules is None
        assert summary(report).startswith("unusable, nothing runs")


def test_the_guide_names_every_rule_and_its_example_is_one() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "policy.md").read_text(encoding="utf-8")
    named = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"`([^`]+)`", guide))))
    assert {field.encode_name for field in msgspec.structs.fields(Policy)} <= named
    lines = guide.partition('    runs = "signed"\n')[2].partition("## ")[0].splitlines()
    example = tomllib.loads('runs = "signed"\n' + "\n".join(line.strip() for line in lines))
    example["operator"][0]["key"] = KEY
    policy = parse(example)
    assert policy.hours and policy.hours.days == ["mon", "tue", "wed", "thu"]
    assert policy.operator[0].until == datetime(2027, 12, 31, tzinfo=UTC)
