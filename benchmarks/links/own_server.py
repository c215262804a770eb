"""DeployX's link for agents with nothing behind it, in the HTTP server of the product. Prints its address."""

from collections.abc import Mapping
from typing import Any, cast

from app.http import Waiting, protocol
from app.realtime.agentlink.handover import Handover
from app.realtime.agentlink.server import AgentLink
from links.serving import serve

EVENTS = frozenset({"agent_register", "ping", "task_updates", "fan_out"})
YES: dict[str, Any] = {"ok": True, "data": {}}


class Handler:
    """Answers as the product does, and remembers nothing but who is there."""

    def __init__(self, link: AgentLink) -> None:
        self._link = link
        self._agents: set[str] = set()

    def opened(self, eio_sid: str, environ: Mapping[str, Any]) -> bool:
        """Whoever comes."""
        return True

    async def connecting(self, sid: str, environ: Mapping[str, Any], auth: Any) -> None:
        """Whoever comes."""

    async def connected(self, sid: str) -> None:
        """Nothing is said."""

    async def received(self, sid: str, name: str, args: list[Any]) -> Any:
        """A registration, a heartbeat, a report, or the wish to hear all of them at once."""
        if name == "agent_register":
            self._agents.add(sid)
            self._tell(sid, "registration_success", {"agent_id": args[0]["agent_id"]})
        elif name == "ping":
            self._tell(sid, "pong", {})
        elif name == "fan_out":
            for agent in self._agents:
                self._tell(agent, "task_assigned", {"task_id": "0" * 32, "command": ["echo", "hi"]})
        return YES

    def beat(self, sid: str) -> None:
        """A heartbeat is an event like any other."""

    async def disconnected(self, sid: str, reason: str) -> None:
        """It is gone."""
        self._agents.discard(sid)

    def closed(self, eio_sid: str) -> None:
        """It is gone."""

    def _tell(self, sid: str, event: str, payload: Any) -> None:
        connection = self._link.connection(sid)
        if connection:
            connection.tell(event, payload)


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    """An application with no pages."""


def main() -> None:
    """Serve until killed."""
    link = AgentLink(allowed=EVENTS, ping_interval_s=25, ping_timeout_s=60, refused=lambda _: None)
    link.serve(Handler(link))
    serve(nothing, http=cast(Any, protocol(Waiting(1_000_000), Handover(link, []))))


if __name__ == "__main__":
    main()
