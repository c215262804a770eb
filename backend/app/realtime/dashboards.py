"""The dashboards' side: who may watch, what they are shown first, and how they are told of changes.

What is sent is handed to the link as a struct, which it encodes as it is, once for all who see the same; a detour by
plain values took longer than all the rest.

Invariant: a dashboard joins its room before its snapshot is read, so that nothing falls between the two; it is in a
room only while its session is good, which is looked up every few seconds.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from http.cookies import CookieError, SimpleCookie
from typing import Any
from uuid import uuid4

import structlog
from socketio.exceptions import ConnectionRefusedError as Refusal

from app.accounts.auth import COOKIE
from app.accounts.permissions import Permission
from app.accounts.principal import Principal
from app.accounts.service import AccountService
from app.clock import Clock, iso, utcnow
from app.devices.service import DeviceService
from app.errors import DeployXError, Unavailable
from app.realtime.admission import Admission
from app.realtime.answers import accepted, refusal
from app.realtime.audiences import Audience, Audiences
from app.realtime.deployment_watching import DeploymentWatch
from app.realtime.link import LinkServer, source_ip
from app.realtime.link_socket import LinkSocket
from app.realtime.watching import RunWatch
from app.web.metrics import Metrics
from deployx_protocol import events
from deployx_protocol.checks import InvalidPayload
from deployx_protocol.codes import Code
from deployx_protocol.deployments import DeploymentsChanged, DeploymentView
from deployx_protocol.messages import (
    ClaimsChanged,
    DevicesChanged,
    DeviceView,
    Message,
    SessionEnded,
    SnapshotBegin,
    SnapshotDevices,
    SnapshotEnd,
)
from deployx_protocol.task_messages import RunsChanged, RunView

log = structlog.get_logger()

PIECE = 500
PIECES_AHEAD = 1
"""Pieces of a snapshot that may wait for a slow browser before the next is read."""
READERS = 2
"""Snapshots that read at a time; the others wait their turn, so that a crowd leaves connections to everyone else."""
CHECK_S = 3.0
CONNECT_DEADLINE_S = 10.0


@dataclass(eq=False)
class Viewer:
    """A dashboard. ``batch``: it asked for one event per tick; ``rooms`` it is in."""

    sid: str
    principal: Principal
    batch: bool
    watching: bool = False
    asked: bool = False
    """It asked for a snapshot that was not begun yet; one that is under way ends early."""
    streaming: bool = False

    @cached_property
    def user_id(self) -> int | None:
        """Whose devices it is shown; None: everyone's."""
        return None if self.principal.may(Permission.DEVICES_ALL) else self.principal.user_id

    @property
    def proof(self) -> str:
        """The id of the session or token it came with."""
        return self.principal.session_id or self.principal.token_id or ""


class DashboardGateway:
    """Dashboards connected to this node. ``origins`` are those whose pages may open a socket, besides our own."""

    def __init__(
        self,
        server: LinkServer,
        accounts: AccountService,
        devices: DeviceService,
        audiences: Audiences,
        watch: RunWatch,
        deployments: DeploymentWatch,
        origins: Collection[str],
        metrics: Metrics,
        anonymous_max: int,
        clock: Clock = utcnow,
    ) -> None:
        self._metrics = metrics
        self._server = server
        self._accounts = accounts
        self._devices = devices
        self._audiences = audiences
        self._watch = watch
        self._deployments = deployments
        self._origins = frozenset(origins)
        self._clock = clock
        self._viewers: dict[str, Viewer] = {}
        self._snapshots: set[asyncio.Task[None]] = set()
        self._admission = Admission("dashboard", anonymous_max, CONNECT_DEADLINE_S, self._too_late)
        self._reading = asyncio.Semaphore(READERS)
        server.serve(self)

    # ------------------------------------------------------------ connections

    def opened(self, eio_sid: str, environ: Mapping[str, Any]) -> bool:
        """Admit a transport for as long as it takes to sign in, unless its address has too many that have not."""
        return self._admission.admit(eio_sid, source_ip(environ))

    def _too_late(self, eio_sid: str) -> None:
        self._start(self._server.cut_transport(eio_sid))

    async def connecting(self, sid: str, environ: Mapping[str, Any], auth: Any) -> None:
        """Admit whoever is signed in. Raises ConnectionRefusedError with a code as its message."""
        if not self._is_own_page(environ):
            log.warning("dashboard.refused", why="foreign origin", source_ip=source_ip(environ))
            raise Refusal("forbidden_origin")
        options = auth if isinstance(auth, dict) else {}
        try:
            principal = await self._authenticate(environ, options.get("token"))
        except Unavailable:
            raise Refusal("unavailable") from None
        except DeployXError:
            log.info("dashboard.refused", why="not signed in", source_ip=source_ip(environ))
            raise Refusal("unauthenticated") from None
        self._metrics.dashboard_connections.inc()
        self._viewers[sid] = Viewer(sid=sid, principal=principal, batch=options.get("batch") is True)

    async def _authenticate(self, environ: Mapping[str, Any], token: Any) -> Principal:
        if isinstance(token, str):
            return await self._accounts.authenticate_token(token)
        try:
            cookie = SimpleCookie(str(environ.get("HTTP_COOKIE", ""))).get(COOKIE)
        except CookieError:
            cookie = None
        return await self._accounts.authenticate_cookie(cookie.value if cookie else "")

    def _is_own_page(self, environ: Mapping[str, Any]) -> bool:
        """Whether no browser sent this, or a page of ours: same host, or on the list. `null` is nobody's."""
        origin = environ.get("HTTP_ORIGIN")
        if origin is None:
            return True
        scheme = {"ws": "http", "wss": "https"}.get(environ["asgi.scope"]["scheme"], environ["asgi.scope"]["scheme"])
        return origin == f"{scheme}://{environ.get('HTTP_HOST', '')}" or origin in self._origins

    async def connected(self, sid: str) -> None:
        """A plain client hears of changes from now on; ours asks for a snapshot first."""
        viewer = self._viewers.get(sid)
        if viewer is None:
            await self._server.cut(sid)
            return
        self._admission.done(self._server.manager.eio_sid_from_sid(sid, "/"))
        log.info("dashboard.connected", user=viewer.principal.email, sid=sid)
        if not viewer.batch:
            try:
                await self._join(viewer)
            except Unavailable:
                await self._database_away(viewer)

    async def _join(self, viewer: Viewer) -> None:
        await self._audiences.join(viewer.user_id)
        viewer.watching = True
        await self._server.enter_room(viewer.sid, _room(viewer.user_id, batch=viewer.batch))

    async def disconnected(self, sid: str, reason: str) -> None:
        """Forget it."""
        self._watch.forget(sid)
        self._deployments.forget(sid)
        viewer = self._viewers.pop(sid, None)
        if viewer:
            self._audiences.keep({one.user_id for one in self._viewers.values()})
            self._metrics.dashboard_connections.dec()
            log.info("dashboard.disconnected", user=viewer.principal.email, sid=sid, reason=reason)

    def closed(self, eio_sid: str) -> None:
        """Forget the transport."""
        self._admission.done(eio_sid)

    # ------------------------------------------------------------ what they ask

    async def received(self, sid: str, name: str, args: list[Any]) -> dict[str, Any]:
        """`watch`: join, then stream a snapshot. `watch_run`, `unwatch_run`: hear of a run's tasks, or no longer;
        `watch_deployment`, `unwatch_deployment`: of a deployment's targets."""
        viewer = self._viewers.get(sid)
        if viewer is None:
            return refusal("unauthenticated", "Sign in first.")
        payload = args[0] if args else {}
        try:
            match name:
                case events.WATCH_RUN:
                    return await self._watch.watch(sid, viewer.user_id, payload)
                case events.UNWATCH_RUN:
                    return await self._watch.unwatch(sid, payload)
                case events.WATCH_DEPLOYMENT:
                    return await self._deployments.watch(sid, viewer.user_id, payload)
                case events.UNWATCH_DEPLOYMENT:
                    return await self._deployments.unwatch(sid, payload)
            await self._join(viewer)
        except InvalidPayload as error:
            return refusal(Code.INVALID_PAYLOAD, str(error))
        except Unavailable as error:
            return refusal(error.code, error.message)
        self._show(viewer)
        return accepted()

    def _show(self, viewer: Viewer) -> None:
        """Begin a snapshot, in place of one that is under way."""
        viewer.asked = True
        if not viewer.streaming:
            viewer.streaming = True
            self._start(self._stream(viewer))

    async def _stream(self, viewer: Viewer) -> None:
        """Snapshots, one at a time, for as long as a newer one is asked for."""
        try:
            while viewer.asked:
                viewer.asked = False
                await self._snapshot(viewer)
        finally:
            viewer.streaming = False

    async def _snapshot(self, viewer: Viewer) -> None:
        snapshot_id = uuid4().hex
        try:
            async with self._reading:
                total = await self._devices.count(viewer.user_id)
            now = iso(self._clock())
            await self._emit(
                viewer, events.SNAPSHOT_BEGIN, SnapshotBegin(snapshot_id=snapshot_id, total=total, server_time=now)
            )
            last_id = 0
            while piece := await self._piece(viewer, last_id):
                last_id = piece[-1].id
                message = SnapshotDevices(snapshot_id=snapshot_id, devices=piece)
                await self._emit(viewer, events.SNAPSHOT_DEVICES, message)
                if not await self._has_read(viewer) or viewer.asked:
                    return
            claims = await self._devices.claims(viewer.user_id)
            end = SnapshotEnd(snapshot_id=snapshot_id, claims=claims.views, more_claims=claims.more)
            await self._emit(viewer, events.SNAPSHOT_END, end)
        except Unavailable:
            await self._database_away(viewer)

    async def _database_away(self, viewer: Viewer) -> None:
        await self._end(viewer, Code.SERVER_UNAVAILABLE, "The database does not answer. Connecting again helps.")

    async def _piece(self, viewer: Viewer, last_id: int) -> list[DeviceView]:
        async with self._reading, self._audiences.get(viewer.user_id).showing() as shown:
            piece = await self._devices.after(viewer.user_id, last_id, PIECE)
            shown(piece)
            return piece

    async def _has_read(self, viewer: Viewer) -> bool:
        """Wait until the browser has taken most of what was sent; False if it went away."""
        while viewer.sid in self._viewers:
            socket: LinkSocket | None = self._server.socket(viewer.sid)
            if socket is None:
                return False
            if socket.queue.qsize() <= PIECES_AHEAD:
                return True
            await asyncio.sleep(0.02)
        return False

    # ------------------------------------------------------------ what they are told

    def any_watching(self) -> bool:
        """Whether there is anybody to tell."""
        return any(viewer.watching for viewer in self._viewers.values())

    def audiences(self) -> list[Audience]:
        """Those of whom somebody is watching."""
        watching = {viewer.user_id for viewer in self._viewers.values() if viewer.watching}
        return [self._audiences.get(user_id) for user_id in watching]

    async def send(self, user_id: int | None, changed: DevicesChanged) -> None:
        """Tell an audience: our own dashboards in one event, plain clients as the specification says."""
        if changed.devices or changed.changes or changed.removed or changed.seen:
            await self._server.tell_room(_room(user_id, batch=True), events.DEVICES_CHANGED, changed)
        if any(v.watching and not v.batch and v.user_id == user_id for v in self._viewers.values()):
            for change in changed.changes:
                room = _room(user_id, batch=False)
                await self._server.tell_room(room, events.DEVICE_STATUS_CHANGED, change)

    def show_all(self) -> None:
        """Show all of our own dashboards again what they see."""
        for viewer in self._viewers.values():
            if viewer.watching and viewer.batch:
                self._show(viewer)

    def any_plain(self) -> bool:
        """Whether a plain client watches, which has no snapshot to be shown again."""
        return any(viewer.watching and not viewer.batch for viewer in self._viewers.values())

    async def show_again(self, user_ids: Collection[int]) -> None:
        """What is shared with these users changed: show them what they see now, in place of what they saw. Raises
        Unavailable."""
        known = await self._audiences.refresh(user_ids)
        for viewer in self._viewers.values():
            if viewer.watching and viewer.batch and viewer.user_id in known:
                self._show(viewer)

    async def send_runs(self, user_id: int | None, runs: Sequence[RunView]) -> None:
        """Tell the dashboards of an audience, our own, of these runs, all of which they may see."""
        if runs:
            message = RunsChanged(runs=list(runs))
            await self._server.tell_room(_room(user_id, batch=True), events.RUNS_CHANGED, message)

    async def send_deployments(self, user_id: int | None, deployments: Sequence[DeploymentView]) -> None:
        """Tell the dashboards of an audience, our own, of these deployments, all of which they may see."""
        if deployments:
            message = DeploymentsChanged(deployments=list(deployments))
            await self._server.tell_room(_room(user_id, batch=True), events.DEPLOYMENTS_CHANGED, message)

    async def send_claims(self) -> None:
        """Tell our own dashboards which claims are open."""
        for user_id in {viewer.user_id for viewer in self._viewers.values() if viewer.watching and viewer.batch}:
            claims = await self._devices.claims(user_id)
            message = ClaimsChanged(claims=claims.views, more_claims=claims.more)
            await self._server.tell_room(_room(user_id, batch=True), events.CLAIMS_CHANGED, message)

    async def watch_sessions(self) -> None:
        """Cut dashboards whose session or token has ended, or whose user has another role, until cancelled."""
        while True:
            await asyncio.sleep(CHECK_S)
            viewers = list(self._viewers.values())
            if not viewers:
                continue
            try:
                alive = await self._accounts.alive(
                    {viewer.principal.session_id for viewer in viewers if viewer.principal.session_id},
                    {viewer.principal.token_id for viewer in viewers if viewer.principal.token_id},
                )
            except Unavailable:
                continue
            for viewer in viewers:
                if viewer.proof not in alive:
                    await self._end(viewer, Code.SIGNED_OUT, "You were signed out. Sign in again.")
                elif viewer.principal.role != alive[viewer.proof]:
                    text = f"You are {alive[viewer.proof]} from now on. Connecting again shows what you may see."
                    await self._end(viewer, Code.ROLE_CHANGED, text)

    async def goodbye(self) -> None:
        """The server stops: say so, and close."""
        for viewer in list(self._viewers.values()):
            await self._end(viewer, Code.SERVER_SHUTDOWN, "The server is stopping.")

    async def _end(self, viewer: Viewer, code: Code, message: str) -> None:
        await self._emit(viewer, events.SESSION_ENDED, SessionEnded.because(code, message))
        await self._server.cut(viewer.sid)

    async def _emit(self, viewer: Viewer, event: str, message: Message) -> None:
        await self._server.tell(viewer.sid, event, message)

    def _start(self, step: Any) -> None:
        task = asyncio.get_running_loop().create_task(step)
        self._snapshots.add(task)
        task.add_done_callback(self._snapshots.discard)


def _room(user_id: int | None, *, batch: bool) -> str:
    return f"{'batch' if batch else 'plain'}:{'all' if user_id is None else user_id}"
