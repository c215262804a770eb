"""The old connection closes around the moment at which the new one registers: the device stays online, every time."""

import asyncio
import contextlib
import random
import secrets

import httpx2
import pytest

from deployx_protocol import events
from tests.support.machines import Machine
from tests.support.node import RunningNode, Serve, eventually
from tests.support.rawlink import RawLink
from tests.support.server import MakePerson, Person

DEVICES = 20
WAVES = 50  # times DEVICES: the interleavings
REGISTERED = (events.REGISTRATION_SUCCESS, events.REGISTRATION_FAILED)


class Device:
    """One agent process whose connection is replaced by a new one again and again."""

    def __init__(self, node: RunningNode, links: contextlib.AsyncExitStack, seed: int) -> None:
        self.machine = Machine()
        self.link: RawLink
        self._node = node
        self._links = links
        self._boot_id = secrets.token_hex(16)
        self._chance = random.Random(seed)

    async def first(self) -> None:
        """Register for the first time."""
        self.link = await self._connect()
        await self._register(self.link)

    async def replace(self) -> None:
        """Register a new connection while the old one closes, in an order and with delays left to chance."""
        old, self.link = self.link, await self._connect()
        await asyncio.gather(self._close(old), self._register(self.link))

    async def _connect(self) -> RawLink:
        return await self._links.enter_async_context(RawLink.connected(self._node.url))

    async def _register(self, link: RawLink) -> None:
        await self._hesitate()
        await link.emit(events.AGENT_REGISTER, self.machine.register(self._node.url, link.sid, self._boot_id))
        name, answer = await link.event(*REGISTERED)
        assert name == events.REGISTRATION_SUCCESS, answer
        self.machine.generation = answer["generation"]

    async def _close(self, link: RawLink) -> None:
        await self._hesitate()
        match self._chance.randrange(5):
            case 0:
                link.abort()
            case 1:
                await link.send("41")  # Socket.IO's goodbye
            case 2:
                await link.send("1")  # Engine.IO's
            case 3:
                await link.close()
            case _:
                await link.send('42["agent_leaving",{"reason":"restart"}]')
                link.abort()

    async def _hesitate(self) -> None:
        await asyncio.sleep(self._chance.choice((0, 0, 0.002, 0.02, 0.05)) * self._chance.random())


async def _interleave(node: RunningNode, admin: Person, waves: int) -> None:
    async with contextlib.AsyncExitStack() as links, httpx2.AsyncClient(base_url=node.url) as http:
        devices = [Device(node, links, seed) for seed in range(DEVICES)]
        await asyncio.gather(*(device.first() for device in devices))
        for wave in range(waves):
            await asyncio.gather(*(device.replace() for device in devices))
            await eventually(lambda: _open_links(http, admin, DEVICES), what="the ends of the old connections")
            await _all_written(node, wave)
            known = {row.agent_id: row for row in await node.devices()}
            rows = [known[device.machine.agent_id] for device in devices]
            assert [(row.status, row.session_epoch) for row in rows] == [("online", wave + 2)] * DEVICES
        assert len([row for row in await node.devices() if row.hostname.startswith("host-")]) == DEVICES
        assert await node.claims() == []
        gone = [event for row in rows for event in await node.status_events(row.id) if event.status == "offline"]
        assert 0 < len(gone) < waves * DEVICES  # both orders came to pass


async def _open_links(http: httpx2.AsyncClient, admin: Person, wanted: int) -> bool:
    text = (await http.get("/metrics", headers=admin.bearer)).text
    return f'deployx_agent_connections{{state="open"}} {wanted:.1f}' in text.splitlines()


async def _all_written(node: RunningNode, wave: int) -> None:
    """What the server noticed so far is in the database: registrations are written after the ends before them."""
    async with RawLink.connected(node.url) as barrier:
        seed = Machine(hostname="barrier", machine_id="barrier", agent_id="barrier").seed()
        await barrier.emit(events.AGENT_REGISTER, seed)
        assert (await barrier.event(*REGISTERED))[0] == events.REGISTRATION_SUCCESS, wave


async def test_an_old_connection_that_closes_late_leaves_the_device_online(serve: Serve, person: MakePerson) -> None:
    await _interleave(await serve(enrollment="approval"), await person(), WAVES)


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_twenty_times_as_many(serve: Serve, person: MakePerson) -> None:
    await _interleave(await serve(enrollment="approval"), await person(), 20 * WAVES)
