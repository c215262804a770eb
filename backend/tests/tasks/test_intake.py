"""Output comes in, over the link and over HTTP: byte for byte, no gaps, once, within its quota, from its own device."""

import hashlib
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.clock import utcnow
from app.db import Database
from app.devices.models import Device
from app.tasks.agent_routes import FRAMES_MAX
from app.tasks.models import Script
from app.tasks.reports import Printed, ReportService
from app.uow import UnitOfWork
from deployx_protocol import frames, limits
from deployx_protocol.frames import Frame
from deployx_protocol.states import Trust
from tests.support import rows, work
from tests.support.node import RunningNode
from tests.support.server import Browse, MakePerson
from tests.support.work import Enter, WorkPeer, one_task, output_of, queue

BYTES = bytes(range(256))


async def running(node: RunningNode, enter: Enter, **run: Any) -> tuple[WorkPeer, str]:
    """An agent that runs a task, and its id."""
    peer, _ = await enter(before=lambda device_id: queue(node.db, [device_id], **run))
    (told,) = await peer.assigned()
    await peer.report(told["task_id"], "running")
    return peer, told["task_id"]


def bearer(peer: WorkPeer) -> dict[str, str]:
    return {"authorization": f"Bearer {peer.http_token}"}


async def post(http: httpx2.AsyncClient, peer: WorkPeer, task_id: str, *sent: Frame) -> httpx2.Response:
    body = b"".join(frames.encode(frame) for frame in sent)
    return await http.post(f"/api/agent/v1/tasks/{task_id}/output", content=body, headers=bearer(peer))


async def test_output_is_kept_byte_for_byte_and_in_order(node: RunningNode, enter: Enter) -> None:
    peer, task_id = await running(node, enter)
    assert await peer.write(task_id, (0, 1, BYTES), (1, 2, b"\xff\x00"), (2, 1, b"")) == 3
    assert await peer.write(task_id, (3, 1, b"end")) == 4
    assert await output_of(node.db, task_id) == [(0, 1, BYTES), (1, 2, b"\xff\x00"), (3, 1, b"end")]
    row = await one_task(node.db, task_id)
    assert (row.output_bytes, row.output_next_seq, row.output_lost_bytes) == (261, 4, 0)


@pytest.mark.databases("sqlite")
async def test_gaps_are_answered_with_what_is_wanted_and_repeats_change_nothing(
    node: RunningNode, enter: Enter
) -> None:
    peer, task_id = await running(node, enter)
    assert await peer.write(task_id, (1, 1, b"late")) == 0
    assert await peer.write(task_id, (0, 1, b"a"), (1, 1, b"b"), (3, 1, b"d")) == 2
    assert await peer.write(task_id, (0, 1, b"A"), (1, 1, b"B"), (2, 1, b"c")) == 3
    assert await output_of(node.db, task_id) == [(0, 1, b"a"), (1, 1, b"b"), (2, 1, b"c")]


@pytest.mark.databases("sqlite")
async def test_the_last_output_may_come_after_the_end(node: RunningNode, enter: Enter) -> None:
    peer, task_id = await running(node, enter)
    await peer.report(task_id, "succeeded", exit_code=0, chunks=2)
    assert await peer.write(task_id, (0, 1, b"a"), (1, 1, b"b")) == 2
    row = await one_task(node.db, task_id)
    assert (row.state, row.output_chunks, row.output_next_seq) == ("succeeded", 2, 2)


async def test_past_the_quota_bytes_are_counted_and_not_kept(node: RunningNode, enter: Enter) -> None:
    peer, task_id = await running(node, enter, output_quota_bytes=5)
    assert await peer.write(task_id, (0, 1, b"abc"), (1, 1, b"defg"), (2, 2, b"hi")) == 3
    assert await output_of(node.db, task_id) == [(0, 1, b"abc"), (1, 1, b"de")]
    await peer.report(task_id, "succeeded", exit_code=0, chunks=3, lost_bytes=100)
    row = await one_task(node.db, task_id)
    assert (row.output_bytes, row.output_lost_bytes) == (5, 104)


@pytest.mark.databases("sqlite")
async def test_output_goes_on_over_http_where_the_link_ended(node: RunningNode, enter: Enter, browse: Browse) -> None:
    peer, task_id = await running(node, enter)
    http = browse(node)
    assert await peer.write(task_id, (0, 1, b"a")) == 1
    answer = await post(http, peer, task_id, Frame(1, 2, BYTES), Frame(2, 1, b"c"))
    assert (answer.status_code, answer.json()) == (200, {"next_seq": 3})
    assert (await post(http, peer, task_id, Frame(1, 2, BYTES), Frame(5, 1, b"x"))).json() == {"next_seq": 3}
    assert (await post(http, peer, task_id)).json() == {"next_seq": 3}
    assert await output_of(node.db, task_id) == [(0, 1, b"a"), (1, 2, BYTES), (2, 1, b"c")]
    await peer.abort()  # the link is not needed for it
    await node.status(peer.machine.agent_id, "offline")
    assert (await post(http, peer, task_id, Frame(3, 1, b"d"))).json() == {"next_seq": 4}


@pytest.mark.databases("sqlite")  # it is about what comes before a database
async def test_a_post_has_a_size_and_of_many_frames_the_first_are_taken(
    node: RunningNode, enter: Enter, browse: Browse
) -> None:
    peer, task_id = await running(node, enter, output_quota_bytes=2 << 20)
    http = browse(node)
    whole = limits.CHUNK_MAX_BYTES
    fits = [Frame(n, 1, b"x" * (whole - frames.HEADER_BYTES)) for n in range(limits.OUTPUT_POST_MAX_BYTES // whole)]
    assert (await post(http, peer, task_id, *fits)).json() == {"next_seq": len(fits)}
    too_much = await post(http, peer, task_id, *fits, Frame(len(fits), 1, b""))
    assert (too_much.status_code, too_much.json()["code"]) == (413, "too_large")
    first = len(fits)
    many = [Frame(first + n, 1, b"y") for n in range(FRAMES_MAX + 10)]
    assert (await post(http, peer, task_id, *many)).json() == {"next_seq": first + FRAMES_MAX}
    assert (await one_task(node.db, task_id)).output_next_seq == first + FRAMES_MAX


@pytest.mark.databases("sqlite")  # it is about what comes before a database
async def test_what_is_no_frame_is_refused_with_a_sentence(node: RunningNode, enter: Enter, browse: Browse) -> None:
    peer, task_id = await running(node, enter)
    http = browse(node)
    for body in (b"\x01", b"\x03" + b"\0" * 8, frames.encode(Frame(0, 1, b"abc"))[:-1]):
        answer = await http.post(f"/api/agent/v1/tasks/{task_id}/output", content=body, headers=bearer(peer))
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")
        assert "frame" in answer.json()["detail"]
    assert (await http.post("/api/agent/v1/tasks/x/output", headers=bearer(peer))).status_code == 422
    assert await output_of(node.db, task_id) == []


@pytest.mark.databases("sqlite")
async def test_threat_13_over_http_a_device_speaks_of_its_own_tasks_only(
    node: RunningNode, enter: Enter, browse: Browse
) -> None:
    peer, task_id = await running(node, enter)
    thief, _ = await enter()
    http = browse(node)
    assert (await post(http, thief, task_id, Frame(0, 1, b"mine"))).status_code == 404
    assert await output_of(node.db, task_id) == []
    assert (await http.post(f"/api/agent/v1/tasks/{task_id}/output")).status_code == 401
    old = bearer(peer)
    assert (await post(http, peer, task_id)).status_code == 200
    await peer.abort()
    peer, _ = await enter(peer.machine)
    assert (await http.post(f"/api/agent/v1/tasks/{task_id}/output", headers=old)).status_code == 401
    assert (await post(http, peer, task_id)).status_code == 200


@pytest.mark.databases("sqlite")
async def test_a_users_token_is_no_agents_and_an_agents_no_users(
    node: RunningNode, enter: Enter, browse: Browse, person: MakePerson
) -> None:
    peer, task_id = await running(node, enter)
    ada = await person()
    http = browse(node)
    assert (await http.post(f"/api/agent/v1/tasks/{task_id}/output", headers=ada.bearer)).status_code == 401
    assert (await http.get("/api/v1/devices", headers=bearer(peer))).status_code == 401


@pytest.mark.databases("sqlite")
async def test_scripts_are_handed_to_those_who_have_to_run_them(
    node: RunningNode, enter: Enter, browse: Browse
) -> None:
    body = b"#!/bin/sh\n" + BYTES
    sha256 = hashlib.sha256(body).hexdigest()
    async with node.db.write() as session:
        session.add(Script(sha256=sha256, body=body, created_at=utcnow()))
    script = {"argv": None, "script_sha256": sha256, "script_size": len(body), "interpreter": ["sh"], "args": ["1"]}
    peer, _ = await enter(before=lambda device_id: queue(node.db, [device_id], **script))
    (told,) = await peer.assigned()
    assert told["script"] == {"sha256": sha256, "size": len(body), "interpreter": ["sh"], "args": ["1"]}
    assert told["argv"] is told["shell"] is None
    http = browse(node)
    answer = await http.get(f"/api/agent/v1/scripts/{sha256}", headers=bearer(peer))
    assert (answer.status_code, answer.content) == (200, body)
    other, _ = await enter()
    assert (await http.get(f"/api/agent/v1/scripts/{sha256}", headers=bearer(other))).status_code == 404
    assert (await http.get(f"/api/agent/v1/scripts/{'0' * 64}", headers=bearer(peer))).status_code == 404
    async with node.db.write() as session:
        theirs = Device.agent_id == peer.machine.agent_id
        await session.execute(sa.update(Device).where(theirs).values(trust=Trust.QUARANTINED))
    assert (await http.get(f"/api/agent/v1/scripts/{sha256}", headers=bearer(peer))).status_code == 404


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(0, 6), max_size=5), max_size=8))
async def test_whatever_chunks_come_what_is_stored_is_the_beginning_of_the_output(
    db: Database, uow: UnitOfWork, batches: list[list[int]]
) -> None:
    whole = [Frame(n, 1 + n % 2, bytes([n]) * (n + 1)) for n in range(7)]
    async with db.write() as session:
        run = work.run()
        device = rows.device(int(run.id[-6:], 16))
        session.add_all([device, run])
        await session.flush()
        task = work.task(run, device.id, state="running")
        session.add(task)
    reports = ReportService(uow)
    items = [Printed(device.id, task.id, [whole[n] for n in batch]) for batch in batches]
    saved = [one.output[0].next_seq for one in await reports.save_many(items)]
    expected = 0
    for batch, answer in zip(batches, saved, strict=True):
        for n in batch:
            if n > expected:
                break
            expected += n == expected
        assert answer == expected
    assert await output_of(db, task.id) == [(frame.seq, frame.stream, frame.data) for frame in whole[:expected]]
