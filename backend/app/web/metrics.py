"""What the server counts, for Prometheus.

``/metrics`` answers an administrator only, with an API token as bearer: the numbers say how large a fleet is and when
it is weak, and behind a proxy every visitor seems to come from this machine, so the address proves nothing.
"""

import contextlib
import gc
import time
from collections.abc import Iterator

from fastapi import Depends
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from app.accounts.auth import Auth
from app.accounts.permissions import Permission
from app.routing import Router
from deployx_protocol.packets import Why
from deployx_protocol.states import StatusCause


class Metrics:
    """One registry and everything in it. Made once, in ``create_app``, and handed to whoever counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.http_requests = self._counter("http_requests", "HTTP requests answered", "method", "status")
        self.http_seconds = Histogram(
            "deployx_http_request_seconds", "Time to answer an HTTP request", registry=self.registry
        )
        self.gc_pauses = Histogram(
            "deployx_gc_pause_seconds",
            "Pauses of the garbage collector",
            registry=self.registry,
            buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2),
        )
        self.agent_connections = self._gauge("agent_connections", "Agent connections by state", "state")
        self.dashboard_connections = self._gauge("dashboard_connections", "Dashboards connected")
        self.registrations = self._counter("registrations", "Answers to agent_register", "outcome")
        self.heartbeats = self._counter("heartbeats", "Heartbeats received")
        self.status_changes = self._counter("status_changes", "Devices that came or went", "status", "cause")
        self.tasks = self._gauge("tasks", "Tasks that are not over", "state")
        self.tasks_sent = self._counter("tasks_sent", "Tasks handed to agents, repeats included")
        self.task_reports = self._counter("task_reports", "Reports of tasks that were saved", "state")
        self.task_output_bytes = self._counter("task_output_bytes", "Bytes of output received, repeats included")
        self.task_intake_full = self._counter("task_intake_full", "Reports that had to be sent again for want of room")
        self.tasks_reaped = self._counter("tasks_reaped", "Tasks ended by their deadline", "state")
        self.deployments = self._gauge("deployments", "Deployments that are not over, where they are run", "state")
        self.link_refused = self._counter("link_refused", "Packets of agents that break the protocol", "why")
        self.nodes = self._gauge("nodes", "Servers on this database whose lease is good, this one included")
        self.database_errors = self._counter("database_errors", "Times that the database did not answer")

    @contextlib.contextmanager
    def collector_watched(self) -> Iterator[None]:
        """Within it, each pause that the garbage collector makes is measured: everyone waits for it."""
        began = 0.0

        def turn(phase: str, _info: dict[str, int]) -> None:
            nonlocal began
            if phase == "start":
                began = time.perf_counter()
            else:
                self.gc_pauses.observe(time.perf_counter() - began)

        gc.callbacks.append(turn)
        try:
            yield
        finally:
            gc.callbacks.remove(turn)

    def came_online(self) -> None:
        """A device registered that was not online."""
        self.status_changes.labels("online", StatusCause.REGISTERED.value).inc()

    def went_offline(self, cause: StatusCause) -> None:
        """A device went offline."""
        self.status_changes.labels("offline", cause.value).inc()

    def refused_packet(self, why: Why) -> None:
        """An agent sent what breaks the protocol."""
        self.link_refused.labels(why.value).inc()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"deployx_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"deployx_{name}", text, labels, registry=self.registry)


def router(metrics: Metrics, auth: Auth) -> Router:
    """``/metrics``."""
    routes = Router()

    @routes.get("/metrics", include_in_schema=False, dependencies=[Depends(auth.requires(Permission.METRICS_READ))])
    async def read_metrics() -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return routes
