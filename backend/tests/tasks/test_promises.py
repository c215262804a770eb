"""A run answered with 202 is there, whatever becomes of the database; what was not saved is answered with 503."""

import asyncio
from collections import Counter
from pathlib import Path

import httpx2
import sqlalchemy as sa

from app.accounts.permissions import Role
from app.accounts.service import AccountService
from app.migrate import migrate
from app.settings import Settings
from app.tasks.models import Run, Task
from app.uow import UnitOfWork
from tests.support import rows
from tests.support.node import RunningNode, eventually, serving
from tests.support.postgres import throwaway
from tests.support.server import PASSWORD
from tests.support.sqlite_lock import locked

RUNS = "/api/v1/runs"
DEVICES = 20
WITHIN_S = 60.0
"""Long: a machine that is busy with other tests is no failure."""


async def client_of(node: RunningNode) -> httpx2.AsyncClient:
    """Someone who may start runs on the devices that are made for it."""
    accounts = AccountService(UnitOfWork(node.db, lambda _: None), node.db, node.settings)
    await accounts.create_user("ada@example.test", PASSWORD, Role.ADMIN)
    _, cookie = await accounts.login("ada@example.test", PASSWORD, address="127.0.0.1")
    _, token = await accounts.create_token(await accounts.authenticate_cookie(cookie), "tests")
    accounts.close()
    async with node.db.write() as session:
        session.add_all(rows.device(n) for n in range(DEVICES))
    return httpx2.AsyncClient(base_url=node.url, headers={"authorization": f"Bearer {token}"}, timeout=60)


async def test_fault_04_no_run_is_promised_that_is_not_there_when_the_database_is_back(tmp_path: Path) -> None:
    answers: Counter[int] = Counter()
    promised: list[str] = []
    with throwaway() as cluster:
        url = cluster.create_database()
        await migrate(url)
        async with serving(Settings(data_dir=tmp_path, database_url=url)) as node, await client_of(node) as client:
            stopping = False

            async def demand(key: int) -> None:
                number = 0
                while not stopping:
                    number += 1
                    answer = await client.post(
                        RUNS,
                        json={"shell": "true", "targets": {"selector": "*"}},
                        headers={"idempotency-key": f"{key}-{number}"},
                    )
                    answers[answer.status_code] += 1
                    if answer.status_code == 202:
                        promised.append(answer.json()["id"])
                    else:
                        assert answer.json()["code"] == "unavailable", answer.text

            async with asyncio.TaskGroup() as group:
                for key in range(4):
                    group.create_task(demand(key))
                await eventually(lambda: answers[202] >= 5, within_s=WITHIN_S, what="runs to be started")
                await asyncio.to_thread(cluster.stop, immediate=True)
                await eventually(lambda: answers[503] >= 5, within_s=WITHIN_S, what="runs to be refused")
                cluster.start()
                again = answers[202] + 5
                await eventually(lambda: answers[202] >= again, within_s=WITHIN_S, what="runs to be started again")
                stopping = True
            counts = sa.select(Task.run_id, sa.func.count().label("tasks")).group_by(Task.run_id)
            async with node.db.read() as session:
                saved = {row.run_id: row.tasks for row in await session.execute(counts)}
            assert len(set(promised)) == len(promised)
            assert {run_id: saved.get(run_id) for run_id in promised} == dict.fromkeys(promised, DEVICES)
    assert set(answers) == {202, 503}


async def test_a_database_that_is_locked_refuses_a_run_and_keeps_nothing_of_it(tmp_path: Path, sqlite_url: str) -> None:
    async with (
        serving(Settings(data_dir=tmp_path, database_url=sqlite_url)) as node,
        await client_of(node) as client,
    ):
        body = {"script": "date", "interpreter": ["sh"], "targets": {"selector": "*"}}
        async with locked(sqlite_url):
            answer = await client.post(RUNS, json=body)
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            assert answer.headers["retry-after"] == "2"
        assert await node.rows(Run) == []
        assert (await client.post(RUNS, json=body)).status_code == 202
