"""Which devices have a release: by what deployments did there, and by the lists of packages that agents report."""

from datetime import timedelta
from typing import Any

import pytest

from app.accounts.principal import Principal
from app.clock import utcnow
from app.db import Database
from app.deployments.compliance import Compliance, ComplianceService, Standing
from app.errors import NotFound
from app.releases.models import Release
from app.software.models import DeviceSoftware, Inventory, Software
from deployx_protocol.releases import Kind, Package, PackageState
from tests.support.rollouts import Rollout
from tests.support.server import ManualClock

from .conftest import MakePrincipal


class Asked:
    """The compliance of one release, as one person is told it."""

    def __init__(self, db: Database, who: Principal, release: Release) -> None:
        self.service, self.who, self.id = ComplianceService(db, set), who, release.id

    async def page(self, **asked: Any) -> Compliance:
        every = {"standings": (), "selector": None, "search": None, "limit": 100, "cursor": None}
        return await self.service.page(self.who, self.id, **every | asked)

    async def each(self) -> dict[int, tuple[str, str, str]]:
        """Device → standing, what it has, and why."""
        return {one.device_id: (one.standing.value, one.has, one.why) for one in (await self.page()).devices}


async def test_by_what_deployments_did(
    rollout: Rollout, somebody: MakePrincipal, clock: ManualClock, db: Database
) -> None:
    ada = await somebody()
    one = await rollout.release()
    two = await rollout.release(version="2.0", number=2)
    old, both, back, failed, none = await rollout.devices(5, ada.user_id)
    [windows] = await rollout.devices(1, ada.user_id, platform="windows")
    await rollout.devices(1, None)  # somebody else's
    await rollout.go_on(await rollout.create(ada, [old, both, back, failed]))
    clock.advance(minutes=1)
    id = await rollout.create(ada, [both, back, failed], release="web@2.0", strategy={"failure_threshold": "9"})
    await rollout.turn(id)
    given = {device_id: (device_id, task) for device_id, task in await rollout.deliver()}
    await rollout.finish([given[both]])
    await rollout.finish([given[back]], state="failed", outcome="reverted", code="release_unhealthy", message="Sick.")
    await rollout.finish([given[failed]], state="failed", outcome="revert_failed", message="It could not be undone.")
    await rollout.turn(id)

    first, second = Asked(db, ada, one), Asked(db, ada, two)
    brought, unfit = "a deployment has installed web {}", ("unfit", "", "the release is for linux")
    half = ("unknown", "", "web 2.0 failed there after it had begun: It could not be undone")
    missing = ("missing", "", "no deployment has brought one there")
    assert await second.each() == {
        old: ("older", "1.0", brought.format("1.0")),
        both: ("exact", "2.0", brought.format("2.0")),
        back: ("older", "1.0", brought.format("1.0")),
        failed: half,
        none: missing,
        windows: unfit,
    }
    assert {id: said[0] for id, said in (await first.each()).items()} == {
        old: "exact",
        both: "newer",
        back: "exact",
        failed: "unknown",
        none: "missing",
        windows: "unfit",
    }
    page = await second.page(standings=[Standing.OLDER], limit=1)
    assert page.counts == {"older": 2, "exact": 1, "unknown": 1, "missing": 1, "unfit": 1}
    assert [one.device_id for one in page.devices] == [old] and page.next_cursor
    page = await second.page(standings=[Standing.OLDER], limit=1, cursor=page.next_cursor)
    assert ([one.device_id for one in page.devices], page.next_cursor) == ([back], None)
    assert (await second.page(selector="platform=windows")).counts == {"unfit": 1}
    eve = await somebody("eve@example.test")
    assert (await Asked(db, eve, two).page()).counts == {}
    with pytest.raises(NotFound):
        await second.service.page(ada, "nothing", standings=(), selector=None, search=None, limit=1, cursor=None)


async def test_a_package_is_looked_for_in_what_agents_report(
    rollout: Rollout, somebody: MakePrincipal, db: Database
) -> None:
    ada = await somebody()

    def package(state: PackageState, version: str = "") -> dict[str, Any]:
        named = Package(name="nginx", state=state, version=version)
        return {"kind": Kind.PACKAGE, "package": named, "install": None, "detect": None}

    wanted = await rollout.release(name="nginx", **package(PackageState.VERSION, "1.22.1-9+deb12u1"))
    absent = await rollout.release(name="no-nginx", **package(PackageState.ABSENT))
    older, exact, newer, bare, stale, silent = await rollout.devices(6, ada.user_id)
    versions = {older: "1.22.1-9", exact: "1.22.1-9+deb12u1", newer: "1:1.0-1", stale: "1.22.1-9"}
    now = utcnow()
    async with db.write() as session:
        for number, version in enumerate(sorted(set(versions.values())), 1):
            row = Software(id=number, digest=str(number), name="nginx", version=version, arch="amd64", source="dpkg")
            row.created_at = now
            session.add(row)
            await session.flush()
            session.add_all(
                DeviceSoftware(device_id=id, software_id=number) for id, v in versions.items() if v == version
            )
        for id in (older, exact, newer, bare, stale):
            at = now - timedelta(days=id == stale)
            said = {"sha256": "0" * 64, "sources": ["dpkg"], "packages": 1, "received_at": at, "confirmed_at": at}
            session.add(Inventory(device_id=id, **said))
    await rollout.go_on(await rollout.create(ada, [stale], release="nginx@1.0"))
    rollout_at = "a deployment has installed nginx 1.0"
    assert await Asked(db, ada, wanted).each() == {
        older: ("older", "1.22.1-9", "its list of packages has nginx 1.22.1-9"),
        exact: ("exact", "1.22.1-9+deb12u1", "its list of packages has nginx 1.22.1-9+deb12u1"),
        newer: ("newer", "1:1.0-1", "its list of packages has nginx 1:1.0-1"),
        bare: ("missing", "", "its list of packages has no nginx"),
        stale: ("exact", "1.0", rollout_at),
        silent: ("unknown", "", "no deployment has brought one there, and no list of packages can tell"),
    }
    found = {id: said[0] for id, said in (await Asked(db, ada, absent).each()).items()}
    assert found == {**dict.fromkeys((older, exact, newer, stale), "missing"), bare: "exact", silent: "unknown"}
