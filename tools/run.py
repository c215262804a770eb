"""`make run`: the server and an agent for this machine, until Ctrl-C or until one of them ends.

Invariant: whatever happens, both are gone afterwards; the agent first, so that the server hears why. Ctrl-C, SIGTERM
and SIGHUP are the ordinary end, with exit code 0; a second one does not wait any longer.
"""

import asyncio
import os
import sys

import processes
from bootstrap.console import complain
from local import environment, terminal
from local.environment import Local
from local.machine import PATIENCE_S, LocalAgent, start_server, was_refused
from local.service import Ended, Service
from local.stopping import until_asked


def main() -> int:
    """The exit code: 0 after being asked to stop."""
    try:
        local = environment.prepare(os.environ)
        with environment.alone(local):
            return asyncio.run(_run(local))
    except Ended as error:
        terminal.explain(error)
        return 1
    except OSError as error:
        complain(f"DeployX cannot be started: {error}.")
        return 1
    except KeyboardInterrupt:  # before there is a loop that handles it
        return 0


async def _run(local: Local) -> int:
    asked = processes.stopping()
    running: list[Service] = []
    failure = await until_asked(asked, _work(local, running))
    await _end(running, asked)
    if isinstance(failure, Ended):
        terminal.explain(failure)
        return 1
    if isinstance(failure, Exception):
        raise failure
    terminal.say("Stopped: the server and the agent have ended.")
    return 0


async def _work(local: Local, running: list[Service]) -> None:
    """Start both, say so, and watch them. Ends by being cancelled or by raising Ended."""
    show = terminal.say if environment.wants_logs() else None
    terminal.say("Starting the server …")
    server, url, made_admin = await start_server(local, show)
    running.append(server)
    try:
        machine, trust = await _bring_online(LocalAgent(local, url, show), running, enrol=made_admin)
    except BaseException:
        if made_admin:
            terminal.keep_password(local)
        raise
    terminal.say(terminal.welcome(local, local.address(url), made_admin=made_admin, machine=machine, trust=trust))
    await processes.first_of(*(asyncio.create_task(service.watch()) for service in running))


async def _bring_online(agent: LocalAgent, running: list[Service], *, enrol: bool) -> tuple[str, str]:
    """Start the agent; its name and how far it is trusted. With a new database, what it remembers admits nobody."""
    running.append(await agent.start(enrol=enrol))
    try:
        return await agent.registered(running[-1])
    except Ended as error:
        if not was_refused(error):
            raise
    running[-1] = await agent.start(enrol=True)
    return await agent.registered(running[-1])


async def _end(running: list[Service], asked: asyncio.Event) -> None:
    """The last started first. Being asked once more ends the patience."""
    asked.clear()

    async def in_order() -> None:
        for service in reversed(running):
            await service.end(PATIENCE_S)

    ending, again = asyncio.create_task(in_order()), asyncio.create_task(asked.wait())
    await asyncio.wait({ending, again}, return_when=asyncio.FIRST_COMPLETED)
    again.cancel()
    for service in running if not ending.done() else []:
        processes.kill_group(service.process)
    await ending


if __name__ == "__main__":
    sys.exit(main())
