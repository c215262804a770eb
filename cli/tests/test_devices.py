"""Listing devices: every page, every output form, every kind of refusal."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest


def device(number: int, **values: Any) -> dict[str, Any]:
    """A device as the server shows it."""
    return {
        "id": number,
        "agent_id": f"pc-{number}-abcd0123",
        "device_name": f"pc-{number}",
        "hostname": f"pc-{number}.example.test",
        "platform": "linux",
        "ip_address": "192.0.2.7",
        "status": "online" if number % 2 else "offline",
        "trust": "trusted",
        "owner": None,
        "last_seen": "2020-01-01T00:00:00Z",
        **values,
    }


def paged(devices: list[dict[str, Any]], size: int = 2) -> Any:
    """A server that gives `devices` in small pages."""

    def answer(request: Any) -> tuple[int, Any, dict[str, str]]:
        query = parse_qs(urlsplit(request.path).query)
        start = int(query.get("cursor", ["0"])[0])
        following = start + size
        cursor = str(following) if following < len(devices) else None
        return 200, {"items": devices[start:following], "next_cursor": cursor}, {}

    return answer


def ask(deployx: Any, server: Any, *arguments: str, **env: str) -> Any:
    return deployx("devices", *arguments, DEPLOYX_URL=server.url, DEPLOYX_TOKEN="dxp_x", **env)


def test_json_holds_all_pages_as_the_server_sent_them(server: Any, deployx: Any) -> None:
    devices = [device(number) for number in range(5)]
    server.answer = paged(devices)
    done = ask(deployx, server, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == devices
    assert len(server.requests) == 3
    assert server.requests[0].headers["authorization"] == "Bearer dxp_x"


def test_filters_go_to_the_server(server: Any, deployx: Any) -> None:
    server.answer = paged([])
    assert ask(deployx, server, "--status", "offline", "-q", "web 1", "--sort", "-last_seen", "--json").stdout == "[]\n"
    query = parse_qs(urlsplit(server.requests[0].path).query)
    assert query == {"status": ["offline"], "q": ["web 1"], "sort": ["created_at"], "limit": ["500"]}


def test_each_device_comes_once_in_order_though_all_change_between_the_pages(server: Any, deployx: Any) -> None:
    devices = [device(number, status="online") for number in range(5)]
    give = paged(devices)

    def answer(request: Any) -> Any:
        reply = give(request)
        for one in devices:
            one["status"] = "offline" if one["status"] == "online" else "online"
        return json.loads(json.dumps(reply))

    server.answer = answer
    listed = json.loads(ask(deployx, server, "--sort", "-status", "--json").stdout)
    assert sorted(one["id"] for one in listed) == list(range(5))
    statuses = [one["status"] for one in listed]
    assert statuses == sorted(statuses, reverse=True)
    assert len(set(statuses)) == 2


@pytest.mark.parametrize("sort", ["name", "hostname", "platform", "last_seen", "created_at", "-created_at"])
def test_each_order_that_help_names_is_made(server: Any, deployx: Any, sort: str) -> None:
    field = {"name": "device_name"}.get(sort.removeprefix("-"), sort.removeprefix("-"))
    devices = [device(number) | {field: value} for number, value in enumerate(["b", "C", "a"])]
    server.answer = paged(devices)
    listed = json.loads(ask(deployx, server, "--sort", sort, "--json").stdout)
    wanted = ["a", "b", "C"]
    assert [one[field] for one in listed] == (wanted[::-1] if sort.startswith("-") else wanted)


def test_a_pipe_gets_tab_separated_lines(server: Any, deployx: Any) -> None:
    server.answer = paged([device(1, device_name="Ada's\tPC \x1b[31m", owner="ada@example.test")])
    lines = ask(deployx, server).stdout.splitlines()
    assert lines[0].split("\t") == ["STATUS", "NAME", "HOSTNAME", "PLATFORM", "ADDRESS", "TRUST", "OWNER", "LAST SEEN"]
    assert lines[1].split("\t") == [
        "online",
        "Ada's�PC �[31m",
        "pc-1.example.test",
        "linux",
        "192.0.2.7",
        "trusted",
        "ada@example.test",
        "2020-01-01T00:00:00Z",
    ]


def test_a_terminal_gets_a_table_without_what_an_agent_smuggles(server: Any, deployx: Any) -> None:
    server.answer = paged([device(1, hostname="evil\x1b]0;title\x07"), device(2, device_name="[red]markup[/red]")])
    printed = deployx.on_terminal("devices", DEPLOYX_URL=server.url, DEPLOYX_TOKEN="dxp_x")
    assert "● online" in printed
    assert "○ offline" in printed
    assert "[red]markup[/red]" in printed
    assert "\x1b]0;" not in printed
    assert "d ago" in printed
    assert "2 devices, 1 online" in printed
    assert "\x1b[" in printed
    plain = deployx.on_terminal("devices", DEPLOYX_URL=server.url, DEPLOYX_TOKEN="dxp_x", NO_COLOR="1")
    assert "\x1b[3" not in plain


@pytest.mark.parametrize(
    ("status", "body", "headers", "code", "says"),
    [
        (401, {"code": "unauthenticated", "detail": "x"}, {}, 77, "deployx login"),
        (403, {"code": "forbidden", "detail": "Your role does not allow this."}, {}, 77, "Your role does not"),
        (503, {"code": "unavailable", "detail": "The database does not answer."}, {}, 69, "database"),
        (502, b"<html>Bad gateway</html>", {}, 69, "not ready (502)"),
        (422, {"code": "invalid_input", "detail": "`sort` cannot be that."}, {}, 2, "`sort`"),
        (308, b"", {"location": "https://other.example/"}, 1, "https://other.example/"),
        (200, b"<html>hello</html>", {}, 1, "does not answer like a DeployX server"),
        (200, [1, 2], {}, 1, "does not answer like a DeployX server"),
        (200, {"items": "none"}, {}, 1, "does not answer like a DeployX server"),
    ],
)
def test_a_refusal_is_one_sentence_and_a_code(
    server: Any, deployx: Any, status: int, body: Any, headers: dict[str, str], code: int, says: str
) -> None:
    server.answer = lambda request: (status, body, headers)
    done = ask(deployx, server)
    assert done.returncode == code
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_no_server_is_69(server: Any, deployx: Any) -> None:
    server.close()
    done = ask(deployx, server, HTTP_PROXY="http://192.0.2.1:1", http_proxy="http://192.0.2.1:1")
    assert done.returncode == 69
    assert "cannot be reached" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_not_signed_in_is_77(deployx: Any) -> None:
    done = deployx("devices")
    assert done.returncode == 77
    assert "deployx login" in done.stderr


def test_plain_http_to_another_machine_needs_a_flag(deployx: Any) -> None:
    done = deployx("devices", DEPLOYX_URL="http://deployx.invalid", DEPLOYX_TOKEN="dxp_x")
    assert done.returncode == 2
    assert "not encrypted" in done.stderr
    done = deployx("devices", "--insecure-http", DEPLOYX_URL="http://deployx.invalid", DEPLOYX_TOKEN="dxp_x")
    assert done.returncode == 69


@pytest.mark.parametrize("arguments", [("devices", "--nope"), ("devices", "--status", "bad"), ("nothing",)])
def test_wrong_usage_is_2(deployx: Any, arguments: tuple[str, ...]) -> None:
    done = deployx(*arguments)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_version_and_help(deployx: Any) -> None:
    assert deployx("--version").stdout == "deployx 0.1.0\n"
    assert "69 server unreachable" in deployx("--help").stdout
    assert "Examples" in deployx("devices", "--help").stdout
