"""The server, wired: the only place where its parts are made and joined. `deployx-server serve` runs it.

FastAPI, the agents' Socket.IO server (``/socket.io/``) and the dashboards' (``/ui/socket.io/``) are one ASGI app.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from uuid import uuid4

import socketio
import structlog
from fastapi import FastAPI

from app import __version__
from app.accounts import routes as account_routes
from app.accounts.auth import Auth
from app.accounts.sealing import Sealer
from app.accounts.service import AccountService
from app.artifacts import access as artifact_access
from app.artifacts import agent_routes as artifact_agent_routes
from app.artifacts import routes as artifact_routes
from app.artifacts.sending import Sender
from app.artifacts.service import ArtifactService
from app.artifacts.stores import store_of
from app.artifacts.uploads import Uploads
from app.audit import routes as audit_routes
from app.audit.service import AuditService
from app.db import Database, connections_of
from app.deployments.compliance import ComplianceService
from app.deployments.compliance_routes import router as compliance_routes
from app.deployments.controller import Controller
from app.deployments.joining import Joining
from app.deployments.retention import DeploymentRetention
from app.deployments.rounds import Rounds
from app.deployments.routes import router as deployment_routes
from app.deployments.services import Deployments
from app.devices import routes as device_routes
from app.devices.claims import ClaimService
from app.devices.enrollment import EnrollmentService
from app.devices.presence import PresenceService
from app.devices.probes import ProbeService
from app.devices.registration import RegistrationService
from app.devices.retention import RetentionService
from app.devices.service import DeviceService, Here
from app.devices.standing import StandingService
from app.devices.statistics import StatisticsService
from app.groups.routes import router as group_routes
from app.groups.service import GroupService
from app.groups.sharing import SharingService
from app.housekeeping import Housekeeping
from app.leading import Leadership, Term
from app.realtime.agentlink.handover import Handover
from app.realtime.agentlink.server import AgentLink
from app.realtime.agents import AgentGateway
from app.realtime.audiences import Audiences
from app.realtime.bus import Bus, LocalBus
from app.realtime.dashboards import DashboardGateway
from app.realtime.deployment_publisher import DeploymentPublisher
from app.realtime.deployment_watching import DeploymentWatch
from app.realtime.following import Following
from app.realtime.link import LinkServer
from app.realtime.links import AgentLinks
from app.realtime.notices import Notices
from app.realtime.notifications import NotificationBus
from app.realtime.presence import PresenceLoop
from app.realtime.probing import Probing
from app.realtime.publisher import Publisher
from app.realtime.registering import PROBE_S
from app.realtime.run_publisher import RunPublisher
from app.realtime.sessions import Sessions
from app.realtime.supervision import supervised
from app.realtime.tasks import TaskGateway
from app.realtime.watching import RunWatch
from app.releases import agent_routes as agent_release_routes
from app.releases import routes as release_routes
from app.releases.access import ReleaseAccess, may_fetch
from app.releases.service import ReleaseService
from app.routing import attach
from app.schedules import routes as schedule_routes
from app.schedules.actions import DeploymentStarter, RunStarter, Starters
from app.schedules.firing import Firings
from app.schedules.loop import ScheduleLoop
from app.schedules.service import ScheduleService
from app.settings import CORS_ORIGINS, PING_INTERVAL, PING_TIMEOUT, Settings
from app.software import routes as software_routes
from app.software.intake import Intake
from app.software.service import SoftwareService
from app.tasks import agent_routes
from app.tasks import routes as work_routes
from app.tasks.agent_access import AgentAccess
from app.tasks.delivery import DeliveryService
from app.tasks.reaper import ReaperService
from app.tasks.reports import ReportService
from app.tasks.retention import WorkRetention
from app.tasks.withdrawing import Withdrawing
from app.uow import UnitOfWork
from app.web import docs, health, metrics, problems, spa, unanswered
from app.web.middleware import RequestFrame
from deployx_protocol import events, limits

__all__ = ["CORS_ORIGINS", "PING_INTERVAL", "PING_TIMEOUT", "create_app"]

LAST_WORDS_S = 1.0
HAND_OVER_S = 5.0
"""How long a server that leaves waits for the last of its agents to be somebody else's."""

log = structlog.get_logger()


def create_app(settings: Settings) -> FastAPI:
    """The application for ``settings``. Its database must be migrated before it starts."""
    node_id = str(uuid4())
    db = Database(settings.database_url, name=connections_of(node_id))
    bus: Bus = LocalBus()
    if not settings.is_sqlite:
        bus = NotificationBus(
            db.url,
            node_id,
            lambda: presence.live_nodes - {node_id},
            lambda: loop.newcomer(),  # noqa: PLW0108 - it is made below
            poll_s=settings.poll_interval_s,
        )
    uow = UnitOfWork(db, bus.publish)
    counted = metrics.Metrics()

    accounts = AccountService(uow, db, settings)
    auth = Auth(accounts, settings)
    audit = AuditService(uow, db, settings)

    sessions = Sessions()
    presence = PresenceService(
        uow,
        db,
        node_id=node_id,
        grace_s=settings.presence_grace_s,
        lease_s=settings.node_lease_s,
        key_mark="" if settings.is_sqlite else Sealer(settings).mark(),
        went=counted.went_offline,
        shown=bus.publish_here,
    )
    here = Here(live_nodes=lambda: presence.live_nodes)
    devices = DeviceService(uow, db, here, confirm_above=settings.confirm_above)
    claims = ClaimService(uow, devices)
    enrollment = EnrollmentService(uow, db, settings)
    statistics = StatisticsService(uow, db, here.live_nodes)
    groups = GroupService(uow, db, here.live_nodes)
    runs = work_routes.Work(
        uow, db, devices, here.live_nodes, settings.output_quota_bytes, audit, settings.confirm_above
    )
    artifact_store = store_of(settings)
    uploads = Uploads(uow, db, artifact_store, settings, node_id)
    artifacts = ArtifactService(uow, db, artifact_store, uploads, settings)
    sender = Sender(artifact_store, settings)
    agent_access = AgentAccess(db)
    deployments = Deployments(
        uow,
        db,
        devices,
        here.live_nodes,
        approve_above=settings.approve_above,
        confirm_above=settings.confirm_above,
    )
    rounds = Rounds(uow, Joining(here.live_nodes), settings.output_quota_bytes)
    controller = Controller(
        db,
        rounds,
        Leadership(db, "deployments", node_id=node_id, lease_s=settings.node_lease_s),
        measured=lambda state, count: counted.deployments.labels(state).set(count),
    )
    intake = Intake(db)
    starters: Starters = {"run": RunStarter(runs.runs), "deployment": DeploymentStarter(deployments.starting)}
    firings = Firings(uow, db, starters)
    schedule_loop = ScheduleLoop(firings, Leadership(db, "schedules", node_id=node_id, lease_s=settings.node_lease_s))
    schedules = ScheduleService(
        uow,
        db,
        starters,
        firings,
        changed=schedule_loop.changed,
        history_days=settings.schedule_history_retention_days,
        confirm_above=settings.confirm_above,
    )
    registrations = RegistrationService(
        uow,
        node_id=node_id,
        approval=settings.enrollment == "approval",
        pending_max=settings.pending_devices_max,
        live_nodes=here.live_nodes,
    )

    agent_link = AgentLink(
        allowed=events.FROM_AGENT,
        ping_interval_s=settings.ping_interval,
        ping_timeout_s=settings.ping_timeout,
        refused=counted.refused_packet,
    )
    polling_server = LinkServer(
        allowed=events.FROM_AGENT,
        ping_interval=settings.ping_interval,
        ping_timeout=settings.ping_timeout,
        max_http_buffer_size=limits.AGENT_MESSAGE_MAX_BYTES,
        cors_allowed_origins="*",  # no cookie is read here: a page can do nothing that its user's shell could not
    )
    agent_links = AgentLinks(agent_link, polling_server)
    notices = Notices(agent_links, sessions)
    loop = PresenceLoop(
        registrations,
        presence,
        sessions,
        counted,
        alone=settings.is_sqlite,
        reregister=notices.register_again,
        given_up=notices.part,
        moved=notices.superseded,
        lease_renewal_s=None if settings.is_sqlite else settings.node_lease_s / 3,
    )
    probing = Probing(
        ProbeService(uow, db, node_id),
        sessions,
        lambda session: agent_links.probe(session.sid, PROBE_S),
        probe_s=PROBE_S,
    )
    following = Following(
        StandingService(db, node_id), sessions, notices, notices.superseded, poll_s=settings.poll_interval_s
    )
    work = TaskGateway(
        notices.emit,
        sessions,
        DeliveryService(uow, db, node_id=node_id),
        ReportService(uow),
        ReaperService(uow, db),
        counted,
        poll_s=settings.poll_interval_s,
    )
    agents = AgentGateway(agent_links, sessions, notices, loop, work, settings, counted, probing=probing)
    agent_links.serve(agents)

    dashboard_server = LinkServer(
        allowed=events.FROM_DASHBOARD,
        transports=["websocket"],
        ping_interval=settings.ping_interval,
        ping_timeout=settings.ping_timeout,
        max_http_buffer_size=limits.AGENT_MESSAGE_MAX_BYTES,
        cors_allowed_origins="*",  # the gateway checks the origin, and says so in words a page can read
    )
    watch = RunWatch(dashboard_server, runs.reader)
    deployment_watch = DeploymentWatch(dashboard_server, deployments.reader)
    audiences = Audiences(devices)
    dashboards = DashboardGateway(
        dashboard_server,
        accounts,
        devices,
        audiences,
        watch,
        deployment_watch,
        [*settings.cors_origins, *settings.public_url],
        counted,
        settings.anonymous_max,
    )
    publisher = Publisher(devices, audiences, dashboards)
    run_publisher = RunPublisher(runs.reader, dashboards, watch)
    bus.subscribe(notices.hinted, others=False)
    bus.subscribe(following.hinted, own=False)
    bus.subscribe(probing.hinted)
    bus.subscribe(work.hinted)
    bus.subscribe(publisher.hinted)
    bus.subscribe(run_publisher.hinted)
    bus.subscribe(runs.news.hinted)
    deployment_publisher = DeploymentPublisher(deployments.reader, dashboards, deployment_watch)
    bus.subscribe(deployment_publisher.hinted)
    bus.subscribe(controller.hinted)
    withdrawing = Withdrawing(runs.cancelling)
    bus.subscribe(withdrawing.hinted)
    prunings = [
        accounts.prune,
        statistics.prune,
        RetentionService(uow, db, settings).prune,
        WorkRetention(db, settings).prune,
        DeploymentRetention(db, settings).prune,
        audit.prune,
        artifacts.prune,
        schedules.prune,
        intake.prune,
    ]
    housekeeping = Housekeeping(statistics, prunings)
    chores = Leadership(db, "chores", node_id=node_id, lease_s=settings.node_lease_s)

    async def do_chores(_term: Term) -> None:
        """What one server does for all; each of these may be done twice without harm."""
        async with asyncio.TaskGroup() as group:
            group.create_task(housekeeping.run())
            group.create_task(work.reap())
            group.create_task(supervised("presence.sweep", loop.sweep))

    async def drain() -> None:
        """Let agents go to other servers, if there are any; save that the devices are offline, tell everyone, say
        goodbye. A second call does nothing."""
        if app.state.drained:
            return
        app.state.drained = True
        if settings.drain_s and presence.live_nodes - {node_id}:
            await hand_over()
        runs.news.close()
        await loop.stop()
        await notices.goodbye()
        await publisher.told(LAST_WORDS_S)
        await dashboards.goodbye()
        await asyncio.gather(agent_links.finished(LAST_WORDS_S), dashboard_server.finished(LAST_WORDS_S))

    async def hand_over() -> None:
        """Others share the work: let the agents go there while this server goes on for those that are still here."""
        agents.leaving = True
        loop.hand_over()
        await notices.hand_over(settings.drain_s)
        await loop.handed_over(HAND_OVER_S)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await loop.start()
        with counted.collector_watched():
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(supervised("presence", loop.run)),
                    group.create_task(supervised("tasks", work.run)),
                    group.create_task(supervised("publisher", publisher.run)),
                    group.create_task(supervised("run_publisher", run_publisher.run)),
                    group.create_task(supervised("dashboards", dashboards.watch_sessions)),
                    group.create_task(supervised("withdrawing", withdrawing.run)),
                    group.create_task(supervised("deployments", controller.run)),
                    group.create_task(supervised("deployment_publisher", deployment_publisher.run)),
                    group.create_task(supervised("chores", partial(chores.lead, do_chores))),
                    group.create_task(supervised("schedules", schedule_loop.run)),
                ]
                if not settings.is_sqlite:
                    others = [("bus", bus.run), ("following", following.run), ("probing", probing.run)]
                    tasks += [group.create_task(supervised(name, run)) for name, run in others]
                yield
                await drain()
                for task in tasks:
                    task.cancel()
        await agent_links.shutdown()
        await dashboard_server.shutdown()
        accounts.close()
        artifact_store.close()
        await db.close()

    app = FastAPI(
        title="DeployX",
        version=__version__,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        responses=problems.RESPONSES,
    )
    app.state.drained = False
    app.state.drain = drain
    app.state.bus = bus
    app.state.node_id, app.state.live_nodes = node_id, here.live_nodes
    app.state.handover = Handover(agent_link, settings.trusted_proxies)
    app.add_middleware(RequestFrame, metrics=counted)
    problems.install(app)
    attach(
        app,
        account_routes.router(accounts, auth),
        audit_routes.router(auth, audit),
        device_routes.router(auth, devices, claims, enrollment, statistics),
        group_routes(auth, groups, SharingService(uow, db)),
        work_routes.router(auth, runs),
        deployment_routes(auth, deployments),
        compliance_routes(auth, ComplianceService(db, here.live_nodes)),
        release_routes.router(auth, ReleaseService(uow, db)),
        schedule_routes.router(auth, schedules),
        software_routes.router(auth, SoftwareService(db)),
        software_routes.agent_router(agent_access, intake),
        artifact_routes.router(auth, artifacts, uploads, sender),
        artifact_agent_routes.router(agent_access, artifact_access.ArtifactAccess(db, may_fetch), sender),
        agent_routes.router(agent_access, work.post),
        agent_release_routes.router(agent_access, ReleaseAccess(db)),
        health.router(db, lambda: app.state.drained),
        metrics.router(counted, auth),
        docs.router(),
    )
    if settings.polling:
        app.mount("/socket.io", socketio.ASGIApp(polling_server, socketio_path=None))
    app.mount("/ui/socket.io", socketio.ASGIApp(dashboard_server, socketio_path=None))
    app.router.routes += unanswered.Unanswered().routes
    attach(app, spa.router(spa.find()))
    return app
