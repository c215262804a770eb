"""schemathesis over the whole OpenAPI document, as nobody and in each role: no server error, nothing undocumented.

``test_openapi.py`` sends values that we know to be hostile, one at a time. This sends what the document's schemas allow
and what they forbid, several at a time, and holds the answers against the schemas, which the other does not.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.accounts.permissions import Role
from tests.support.node import Lines, Serve
from tests.support.server import Browse, MakePerson
from tests.support.stock import stock

# One database: what a database thinks of a value is asked in `test_openapi.py`.
pytestmark = pytest.mark.databases("sqlite")

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ENDS = frozenset({"/api/v1/auth/logout", "/api/v1/auth/password"})
"""They would end what the walk signs in with; `test_openapi.py` sends them what is refused."""
PATIENCE_S = 60.0


class Walk:
    """Requests to every operation: those that its schemas allow, on things that are there, and those they forbid."""

    def __init__(self, document: Any, url: str, headers: Mapping[str, str], ids: Mapping[str, Any]) -> None:
        self._schema = schemathesis.openapi.from_dict(_without_tuples(document))
        self._url, self._headers, self._ids = url, dict(headers), ids
        self.complaints: list[str] = []
        self.answers: Counter[int] = Counter()

    def ask_all(self, examples: int, every: int, start: int) -> None:
        """So many of each kind to one of ``every`` operations, from ``start`` on; what is deleted is deleted last."""
        operations: list[Any] = [cast(Any, found).ok() for found in self._schema.get_all_operations()]
        for operation in sorted(operations[start::every], key=lambda one: one.method.upper() == "DELETE"):
            if operation.path not in ENDS:
                for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                    self._ask(operation, mode, examples)

    def _ask(self, operation: Any, mode: GenerationMode, examples: int) -> None:
        def ask(case: Any) -> None:
            if mode is GenerationMode.POSITIVE and case.path_parameters:
                case.path_parameters |= {
                    name: self._ids.get(name, value) for name, value in case.path_parameters.items()
                }
            response = case.call(base_url=self._url, headers=self._headers, timeout=PATIENCE_S)
            self.answers[response.status_code] += 1
            try:
                case.validate_response(response, checks=CHECKS)
            except (Failure, FailureGroup) as error:
                told = error.exceptions if isinstance(error, FailureGroup) else [error]
                self.complaints.extend(f"{operation.method.upper()} {operation.path}: {one}" for one in told)

        bounds = settings(
            max_examples=examples,
            phases=[Phase.generate],
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        bounds(given(case=operation.as_strategy(generation_mode=mode))(ask))()


def _without_tuples(part: Any) -> Any:
    """``prefixItems`` as ``items`` of any of these kinds: schemathesis 4.32 makes a list of it that it then refuses."""
    if isinstance(part, dict):
        kinds = part.get("prefixItems")
        rest = {name: _without_tuples(value) for name, value in part.items() if name != "prefixItems"}
        return rest | {"items": {"anyOf": _without_tuples(kinds)}} if isinstance(kinds, list) else rest
    return [_without_tuples(one) for one in part] if isinstance(part, list) else part


async def _everyone(examples: int, every: int, serve: Serve, browse: Browse, person: MakePerson, lines: Lines) -> None:
    node = await serve()
    document = (await browse(node).get("/api/openapi.json")).json()
    answers: Counter[int] = Counter()
    for number, role in enumerate((None, *Role)):
        headers: dict[str, str] = {}
        ids: dict[str, Any] = {}
        if role:
            somebody = await person(f"{role}@example.test", role)
            headers, ids = somebody.bearer, await stock(node, browse(node, somebody.bearer), somebody)
        walk = Walk(document, node.url, headers, ids)
        await asyncio.to_thread(walk.ask_all, examples, every, number % every)
        assert walk.complaints == [], role
        answers += walk.answers
    assert min(answers[status] for status in (200, 401, 403, 404, 422)) > 0, "the walk did not get far"
    assert not [line for line in lines() if "Traceback" in line or "[ERROR]" in line]


async def test_the_document_holds_whoever_asks(serve: Serve, browse: Browse, person: MakePerson, lines: Lines) -> None:
    await _everyone(1, len(Role) + 1, serve, browse, person, lines)


@pytest.mark.soak
@pytest.mark.timeout(0)
async def test_the_document_holds_however_long_they_ask(
    serve: Serve, browse: Browse, person: MakePerson, lines: Lines
) -> None:
    await _everyone(100, 1, serve, browse, person, lines)
