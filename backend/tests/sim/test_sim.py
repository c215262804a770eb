"""The simulator against a real server: a sound one is found sound. That bugs are found is `test_plants.py`'s."""

import asyncio

import pytest

from tests.support.node import RunningNode, eventually
from tests.support.server import Browse, MakePerson
from tests.support.simulated import Simulate, command

SOUND = {"L": 0, "D": 0, "U": 0, "P": 0}


async def test_a_sound_server_is_found_sound(simulate: Simulate) -> None:
    found = await simulate("--agents", "20", "--seconds", "2", "--processes", "2")
    assert (found.exit_code, found.verdict) == (0, SOUND), found.figures["findings"]
    assert found.figures["tasks"] == 20 * found.figures["runs"] > 20
    assert found.figures["task_s"]["count"] == found.figures["tasks"]
    assert 0 < found.figures["run_s"]["p50_s"] <= found.figures["run_s"]["max_s"]
    assert found.figures["registration_s"]["count"] == found.figures["ping_s"]["count"] == 20


async def test_it_is_found_sound_under_chaos(simulate: Simulate) -> None:
    found = await simulate("--agents", "20", "--seconds", "6", "--chaos", "--seed", "storm")
    assert (found.exit_code, found.verdict) == (0, SOUND), found.figures["findings"]
    assert sum(found.figures["faults"].values()) > 5


@pytest.mark.soak
async def test_500_agents_are_judged_through_a_minute_of_chaos(simulate: Simulate) -> None:
    found = await simulate("--agents", "500", "--seconds", "60", "--chaos", "--processes", "2", "--seed", "soak")
    assert (found.exit_code, found.verdict) == (0, SOUND), found.figures["findings"]
    assert sum(found.figures["faults"].values()) > 1_000


async def test_idle_devices_answer_what_somebody_else_starts(
    node: RunningNode, person: MakePerson, browse: Browse
) -> None:
    client = browse(node, (await person()).bearer)
    made = await client.post("/api/v1/enrollment-tokens", json={"name": "idle", "max_uses": 2})
    env = {"DEPLOYX_ENROLLMENT_TOKEN": made.json()["token"]}
    arguments = ("--url", node.url, "--agents", "2", "--idle", "--seconds", "0")
    devices = asyncio.create_task(command(*arguments, **env))
    try:
        await eventually(lambda: _online(node, 2), what="two devices")
        body = {"shell": "hostname", "targets": {"selector": "*"}}
        run_id = (await client.post("/api/v1/runs", json=body)).json()["id"]

        async def over() -> bool:
            return bool((await client.get(f"/api/v1/runs/{run_id}")).json()["finished_at"])

        await eventually(over, what="the run's end")
        tasks = (await client.get(f"/api/v1/runs/{run_id}/tasks")).json()["items"]
        printed = [(await client.get(f"/api/v1/tasks/{task['id']}/output/stdout")).text for task in tasks]
        assert printed == [f"{task['device_name']}\n" for task in tasks]
    finally:
        devices.cancel()
        await asyncio.gather(devices, return_exceptions=True)


async def _online(node: RunningNode, count: int) -> bool:
    return sum(device.status == "online" for device in await node.devices()) == count


@pytest.mark.parametrize(
    ("arguments", "env", "code", "words"),
    [
        (["--url", "nowhere"], {}, 2, "is not a server address"),
        (["--url", "http://127.0.0.1:1"], {}, 2, "Set DEPLOYX_TOKEN to an operator's API token"),
        (
            ["--url", "http://127.0.0.1:1"],
            {"DEPLOYX_ENROLLMENT_TOKEN": "x", "DEPLOYX_TOKEN": "t"},
            2,
            "should look like",
        ),
        (["--url", "http://127.0.0.1:1", "--agents", "0"], {}, 2, "--agents"),
    ],
)
async def test_wrong_usage_is_a_sentence(arguments: list[str], env: dict[str, str], code: int, words: str) -> None:
    ended, out, err = await command(*arguments, **env)
    assert (ended, out) == (code, "")
    assert words in err
    assert "Traceback" not in err


async def test_a_token_that_is_not_good_is_a_sentence(node: RunningNode) -> None:
    code, out, err = await command("--url", node.url, DEPLOYX_TOKEN="dxp_wrong")
    assert (code, out) == (69, "")
    assert err.startswith("deployx-server: The server answered 401 to POST /api/v1/enrollment-tokens: ")
    assert err.count("\n") == 1
