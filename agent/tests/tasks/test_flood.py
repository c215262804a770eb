"""A server that speaks about tasks faster than they can be taken: memory is bounded, and nothing is lost by it."""

import asyncio
import logging
from pathlib import Path

import pytest

from deployx_agent.logs import Log
from deployx_agent.tasks.engine import INBOX_MAX, Engine
from deployx_protocol import events


async def test_threat_20_what_comes_too_fast_is_left_to_be_repeated(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = Engine(tmp_path / "tasks", 1, Log(logging.getLogger("test.flood")))
    for _ in range(INBOX_MAX + 5):
        engine.deliver(events.TASK_ASSIGNED, {"tasks": []})
    assert caplog.text.count("The server speaks about tasks faster than the disk takes them") == 5
    running = asyncio.create_task(engine.run())
    await asyncio.wait_for(engine.drained(), 10)
    engine.deliver(events.TASK_ASSIGNED, {"tasks": []})
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    engine.store.close()
