"""An ordinary client of the public REST API: starts runs, calls them off, and reads what the server shows of them."""

import asyncio
import base64
from collections.abc import AsyncIterator, Collection
from typing import Any

import httpx2

from app.sim.errors import CannotSimulate
from app.sim.witness import mark

PATIENCE_S = 60.0
"""How long a server that is away, or has too much to do, is asked again."""
_PAUSE_S = 0.3
_PAGE = 500
_OVER = 409
_LATER = (429, 502, 503, 504)


class Operator:
    """Speaks with an API token. Raises CannotSimulate for what the server refuses."""

    def __init__(self, origin: str, token: str) -> None:
        self._client = httpx2.AsyncClient(
            base_url=f"{origin}/api/v1", headers={"authorization": f"Bearer {token}"}, timeout=30, trust_env=False
        )

    async def close(self) -> None:
        """End its connections."""
        await self._client.aclose()

    async def enrollment_token(self, origin: str, uses: int) -> str:
        """A token with which so many agents may enrol."""
        body = {"name": "simulated devices", "max_uses": uses, "origin": origin}
        return str((await self._ask("POST", "/enrollment-tokens", json=body))["token"])

    async def devices(self, agent_ids: Collection[str]) -> dict[str, dict[str, Any]]:
        """Agent id → what the server shows of these devices."""
        return {one["agent_id"]: one async for one in self._pages("/devices") if one["agent_id"] in agent_ids}

    async def start(self, request: dict[str, Any], key: str) -> dict[str, Any]:
        """Start a run; with one ``key`` only one, however often it has to be said."""
        made: dict[str, Any] = await self._ask("POST", "/runs", json=request, headers={"idempotency-key": key})
        return made

    async def cancel(self, run_id: str) -> None:
        """Call a run off, unless it is over meanwhile."""
        await self._ask("POST", f"/runs/{run_id}/cancel", unless=_OVER)

    async def run(self, run_id: str) -> dict[str, Any] | None:
        """What the server shows of a run; None if it has none."""
        found: dict[str, Any] | None = await self._ask("GET", f"/runs/{run_id}")
        return found

    async def tasks(self, run_id: str) -> list[dict[str, Any]]:
        """What it shows of the run's tasks."""
        return [one async for one in self._pages(f"/runs/{run_id}/tasks")]

    async def output(self, task_id: str) -> list[tuple[int, str]]:
        """What can be read of a task's output: (stream, ``mark``) of each chunk, in order."""
        chunks: list[tuple[int, str]] = []
        following = 0
        while True:
            page = await self._ask("GET", f"/tasks/{task_id}/output", params={"from_seq": following})
            if page is None:
                return chunks
            chunks += [(one["stream"], mark(base64.b64decode(one["data"]))) for one in page["chunks"]]
            if page["next_seq"] == following or page["complete"]:
                return chunks
            following = page["next_seq"]

    async def _pages(self, path: str) -> AsyncIterator[dict[str, Any]]:
        cursor: dict[str, str] = {}
        while True:
            page = await self._ask("GET", path, params={"limit": _PAGE, **cursor})
            if page is None:
                return
            for item in page["items"]:
                yield item
            if not page["next_cursor"]:
                return
            cursor = {"cursor": page["next_cursor"]}

    async def _ask(self, method: str, path: str, *, unless: int = 404, **options: Any) -> Any:
        """The answer's JSON; None for 404, and for the status ``unless``."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + PATIENCE_S
        while True:
            try:
                answer = await self._client.request(method, path, **options)
            except httpx2.TransportError as error:
                why = f"The server cannot be reached: {error or type(error).__name__}."
            else:
                if answer.is_success:
                    return answer.json() if answer.content else None
                if answer.status_code in (404, unless):
                    return None
                why = _problem(answer)
                if answer.status_code not in _LATER:
                    raise CannotSimulate(why)
            if loop.time() > give_up:
                raise CannotSimulate(why)
            await asyncio.sleep(_PAUSE_S)


def _problem(answer: httpx2.Response) -> str:
    try:
        said = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        said = "no reason was given"
    return f"The server answered {answer.status_code} to {answer.request.method} {answer.request.url.path}: {said}"
