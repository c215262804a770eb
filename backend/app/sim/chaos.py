"""What goes wrong with an agent under chaos, and how often. Two runs with one seed ask for the same faults."""

import asyncio
import random
from enum import StrEnum

from app.sim.agent import Agent
from app.sim.witness import Witness

EVERY_S = 6.0
"""How long one agent is left alone, on average, unless someone asks for another rhythm."""


class Fault(StrEnum):
    """One kind of mishap."""

    DROP = "drop"  # the connection breaks; the agent is back at once
    AWAY = "away"  # it breaks, and the agent stays away for a while
    HALF_OPEN = "half-open"  # the agent's end is gone and the server's is not; the agent dials anew beside it
    RESTART = "restart"  # the process is killed: a new boot id, the same journal
    FROZEN_RESTART = "frozen-restart"  # the same, with the old connection left open
    JOURNAL_LOST = "journal-lost"  # the process is killed and its journal is gone
    REPEAT = "repeat"  # reports and output are said twice, and again although they were acknowledged
    REORDER = "reorder"  # they are said in another order, earlier states among them


_WEIGHTS = {
    Fault.DROP: 6,
    Fault.AWAY: 4,
    Fault.HALF_OPEN: 3,
    Fault.RESTART: 3,
    Fault.FROZEN_RESTART: 1,
    Fault.JOURNAL_LOST: 1,
    Fault.REPEAT: 5,
    Fault.REORDER: 5,
}


async def plague(agent: Agent, dice: random.Random, witness: Witness, every_s: float) -> None:
    """One mishap after another, every ``every_s`` on average, until cancelled.

    Absences last for a fifth to four fifths of that.
    """
    while True:
        await asyncio.sleep(dice.expovariate(1 / every_s))
        [kind] = dice.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
        witness.fault(kind.value)
        match kind:
            case Fault.DROP:
                agent.cut()
            case Fault.AWAY:
                agent.cut(away_s=dice.uniform(0.2, 0.8) * every_s)
            case Fault.HALF_OPEN:
                agent.abandon()
            case Fault.RESTART:
                agent.restart()
            case Fault.FROZEN_RESTART:
                agent.abandon()
                agent.restart()
            case Fault.JOURNAL_LOST:
                agent.restart(lose_journal=True)
            case Fault.REPEAT:
                agent.work.mood.twice += dice.randint(1, 5)
                agent.work.say_again()
            case Fault.REORDER:
                agent.work.mood.mixed += dice.randint(1, 5)
                agent.work.say_again()
        if kind in (Fault.HALF_OPEN, Fault.FROZEN_RESTART):
            await asyncio.sleep(dice.uniform(2.0, 6.0))
            agent.close_left_open()
