"""What simulated agents ask for over HTTP: scripts come in, output beyond the preview goes out.

One client serves all agents of a process, each with the token of its own newest registration.
"""

from collections.abc import Sequence
from typing import Any

import httpx2

from deployx_protocol import frames
from deployx_protocol.frames import Frame

_TIMEOUT_S = 30.0


class NotNow(Exception):
    """It may be had later: the server is away or busy, or wants another registration first."""


class NotThere(Exception):
    """The server has no such thing for this agent."""


class AgentHttp:
    """Requests to the server at ``origin``. All raise NotNow and NotThere."""

    def __init__(self, origin: str) -> None:
        self._client = httpx2.AsyncClient(base_url=f"{origin}/api/agent/v1", timeout=_TIMEOUT_S, trust_env=False)

    async def close(self) -> None:
        """End its connections."""
        await self._client.aclose()

    async def script(self, token: str, sha256: str) -> bytes:
        """The script with this hash."""
        return (await self._ask(token, "GET", f"/scripts/{sha256}")).content

    async def release(self, token: str, sha256: str) -> bytes:
        """The payload of the release with this hash."""
        return (await self._ask(token, "GET", f"/releases/{sha256}")).content

    async def post(self, token: str, task_id: str, sent: Sequence[Frame]) -> int:
        """Hand in output of a task; the seq that is wanted next."""
        body = b"".join(frames.encode(frame) for frame in sent)
        answer = await self._ask(token, "POST", f"/tasks/{task_id}/output", content=body)
        return int(answer.json()["next_seq"])

    async def _ask(self, token: str, method: str, path: str, **options: Any) -> httpx2.Response:
        try:
            headers = {"authorization": f"Bearer {token}"}
            answer = await self._client.request(method, path, headers=headers, **options)
        except httpx2.TransportError as error:
            raise NotNow(str(error)) from None
        if answer.status_code == httpx2.codes.NOT_FOUND:
            raise NotThere(path)
        if not answer.is_success:
            raise NotNow(f"the server answered {answer.status_code} to {path}")
        return answer
