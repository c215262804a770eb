"""A whole simulation: the agents come, an operator gives them work, all comes to rest, the oracle judges.

The order of the end matters. First chaos ends and everybody is connected, so that whatever is still owed can be paid;
then some leave for good, so that there is somebody to be shown as offline; then the server is asked.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.sim import crews, oracle
from app.sim.chaos import EVERY_S
from app.sim.crew import Spec
from app.sim.crews import Crews
from app.sim.errors import CannotSimulate
from app.sim.figures import Figures, figures
from app.sim.oracle import Asked, Shown
from app.sim.plan import Plan
from app.sim.plants import Plant
from app.sim.rest import Operator
from app.sim.witness import Report
from deployx_protocol.tasks import FINAL

GATHER_S = 60.0
GATHER_EACH_S = 0.06
PATIENCE_S = 60.0
"""How long the server may take to come to rest."""
PRESENCE_S = 20.0
"""How long at most it may take to notice who has left: their connections are closed."""
DEPART_SHARE = 0.2
_READING = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to simulate. ``origin`` is the server's; ``enrollment_token`` is made by the operator when it is empty."""

    origin: str
    agents: int
    seconds: float
    seed: str
    processes: int
    chaos: bool
    mishap_every_s: float = EVERY_S
    api_token: str
    enrollment_token: str = ""
    plant: Plant | None = None
    patience_s: float = PATIENCE_S


Say = Callable[[str], None]
Views = dict[str, dict[str, Any]]
"""Agent id → device."""


async def judged(wanted: Wanted, say: Say) -> Figures:
    """Simulate, and judge. Raises CannotSimulate."""
    operator = Operator(wanted.origin, wanted.api_token)
    try:
        token = wanted.enrollment_token or await operator.enrollment_token(wanted.origin, wanted.agents)
        async with crews.running(_specs(wanted, token)) as crew:
            await _gathered(crew, wanted.agents, say)
            return await _work(crew, operator, wanted, say)
    finally:
        await operator.close()


async def idle(wanted: Wanted, say: Say) -> Figures:
    """Only be there, and answer what others ask; nothing is judged. Raises CannotSimulate."""
    async with crews.running(_specs(wanted, wanted.enrollment_token)) as crew:
        await _gathered(crew, wanted.agents, say)
        ended = asyncio.ensure_future(crew.ended())
        await asyncio.wait({ended}, timeout=wanted.seconds or None)
        if ended.done():
            ended.result()
        ended.cancel()
        return figures(wanted.agents, wanted.seed, await crew.report())


def _specs(wanted: Wanted, token: str) -> Sequence[Spec]:
    return crews.split(
        wanted.agents,
        wanted.processes,
        origin=wanted.origin,
        token=token,
        seed=wanted.seed,
        mishap_every_s=wanted.mishap_every_s if wanted.chaos else 0.0,
        plant=wanted.plant,
    )


async def _gathered(crew: Crews, agents: int, say: Say) -> None:
    within_s = GATHER_S + GATHER_EACH_S * agents
    registered = await crew.gather(within_s)
    if registered < agents and registered == 0:
        raise CannotSimulate(f"No agent could register within {within_s:g} s. Is the server there, at this address?")
    say(f"{registered} of {agents} agents are there.")


async def _work(crew: Crews, operator: Operator, wanted: Wanted, say: Say) -> Figures:
    mine = {device.agent_id for device in (await crew.report()).devices}
    devices = await operator.devices(mine)
    if not devices:
        raise CannotSimulate("The API token's user sees none of these devices: use one of their owner, or an admin's.")
    dice = random.Random(f"{wanted.seed}:plan")  # noqa: S311 - a simulation that can be repeated
    plan = Plan(operator, sorted(view["id"] for view in devices.values()), dice, chaos=wanted.chaos)
    await plan.follow(wanted.seconds)
    say(f"{len(plan.asked)} runs were accepted; waiting until all comes to rest …")
    await crew.settle(wanted.patience_s)
    await _until_over(operator, plan.asked, wanted.patience_s)
    await crew.finish_speaking(wanted.patience_s)  # a task may be over before the last of its output is there
    await crew.depart(DEPART_SHARE)
    saw, devices = await _presence(crew, operator, mine, min(wanted.patience_s, PRESENCE_S))
    shown = await _shown(operator, plan.asked, devices)
    verdict = oracle.judge(plan.asked, shown, saw, datetime.now(UTC))
    return figures(wanted.agents, wanted.seed, saw, plan.asked, shown, verdict)


async def _until_over(operator: Operator, asked: Sequence[Asked], within_s: float) -> None:
    """Until every run is over, or has had its time."""
    give_up = time.monotonic() + within_s
    for run in asked:
        while time.monotonic() < give_up:
            view = await operator.run(run.run_id)
            if view is None or view["finished_at"] is not None:
                break
            await asyncio.sleep(0.1)


async def _presence(crew: Crews, operator: Operator, mine: set[str], within_s: float) -> tuple[Report, Views]:
    """What the devices saw, and the devices as the server shows them: as they are, or its time is over."""
    give_up = time.monotonic() + within_s
    while True:
        saw = await crew.report()
        mine |= {device.agent_id for device in saw.devices}
        devices = await operator.devices(mine)
        if not oracle.misplaced(saw.devices, devices) or time.monotonic() > give_up:
            return saw, devices
        await asyncio.sleep(0.5)


async def _shown(operator: Operator, asked: Sequence[Asked], devices: Views) -> Shown:
    """What the server shows of runs, tasks and output."""
    shown = Shown({}, {}, {}, devices)
    for run in asked:
        shown.runs[run.run_id] = await operator.run(run.run_id)
        shown.tasks[run.run_id] = await operator.tasks(run.run_id)
    turn = asyncio.Semaphore(_READING)

    async def read(task_id: str) -> None:
        async with turn:
            shown.outputs[task_id] = await operator.output(task_id)

    over = {state.value for state in FINAL}
    printed = [
        task["id"] for tasks in shown.tasks.values() for task in tasks if task["state"] in over and task["output_bytes"]
    ]
    await asyncio.gather(*(read(task_id) for task_id in printed))
    return shown
