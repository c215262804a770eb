"""Every error of the API as RFC 9457 says it: ``application/problem+json``, with a code and the request's id.

Invariant: what the server did not mean to raise is logged with that id, and nothing of it gets outside.
"""

import math
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.errors import DeployXError, InvalidInput, InvalidSelector, SecondFactorRequired

MEDIA_TYPE = "application/problem+json"
_CODES = {
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
}
_SENTENCES = {
    404: "There is nothing at this address.",
    405: "This address does not take this method.",
    413: "The request is too large; files and bulk output have routes of their own.",
}

log = structlog.get_logger()


class FieldError(BaseModel):
    """What is wrong with one field."""

    field: str
    message: str


class Problem(BaseModel):
    """An answer that is not the one asked for. ``detail`` says what is wrong and what to do."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldError] | None = None
    position: int | None = None
    """Of a selector: which of its characters the detail speaks of, from 1."""
    challenge: str | None = None
    """With `second_factor_required`: what goes with the code to `/api/v1/auth/login/second-factor`."""
    expires_in_s: int | None = None
    """How long the challenge is good."""


RESPONSES: dict[int | str, dict[str, Any]] = {
    kind: {"description": text, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    for kind, text in (("4XX", "The request cannot be answered"), ("5XX", "The server cannot answer now"))
}
"""For ``FastAPI(responses=…)``; ``install`` adds the schema they name."""


def install(app: FastAPI) -> None:
    """Answer every exception of ``app`` with a problem, and name the problem's schema in its OpenAPI."""
    app.add_exception_handler(DeployXError, _deployx_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    _add_schema(app)


def unexpected(request_id: str) -> Response:
    """The answer to a bug."""
    detail = "The server made a mistake and has logged it under this request id."
    return _answer(request_id, 500, "internal", DeployXError.title, detail)


def no_answer(request_id: str) -> Response:
    """The answer to a request that says of itself that it is a websocket, and does not ask to become one."""
    detail = "This is no handshake of a websocket: it needs `Connection: Upgrade` and `Upgrade: websocket`."
    return _answer(request_id, 400, "no_handshake", "The request cannot be answered", detail)


async def _deployx_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, DeployXError)
    headers = {}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after_s))
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    if error.status >= 500:
        log.warning("request.failed", code=error.specific_code, cause=repr(error.__cause__ or error))
    more: dict[str, Any] = {}
    if isinstance(error, InvalidSelector):
        more["position"] = error.position
    if isinstance(error, SecondFactorRequired):
        more |= {"challenge": error.challenge, "expires_in_s": error.expires_in_s}
    return _answer(_id(request), error.status, error.specific_code, error.title, error.message, headers=headers, **more)


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [
        FieldError(field=_field(problem["loc"]), message=str(problem["msg"]).removeprefix("Value error, "))
        for problem in error.errors()[:20]
    ]
    detail = "; ".join(f"{one.field}: {one.message}" if one.field else one.message for one in errors[:3]) + "."
    return _answer(_id(request), InvalidInput.status, InvalidInput.code, InvalidInput.title, detail, errors=errors)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    code = _CODES.get(status, "bad_request" if status < 500 else "internal")
    detail = _SENTENCES.get(status, f"{str(error.detail).rstrip('.')}.")
    return _answer(_id(request), status, code, status.phrase, detail, headers=dict(error.headers or {}))


def _field(location: tuple[Any, ...]) -> str:
    return ".".join(str(part) for part in location[1:]) or str(location[0] if location else "")


def _answer(
    request_id: str,
    status: int,
    code: str,
    title: str,
    detail: str,
    *,
    headers: dict[str, str] | None = None,
    **more: Any,
) -> Response:
    problem = Problem(title=title, status=status, detail=detail, code=code, request_id=request_id, **more)
    return JSONResponse(problem.model_dump(exclude_none=True), status, headers, MEDIA_TYPE)


def _id(request: Request) -> str:
    return str(request.scope.get("state", {}).get("request_id", ""))


def _add_schema(app: FastAPI) -> None:
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        document = generate()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        if "Problem" not in schemas:
            schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(schema.pop("$defs", {}))
            schemas["Problem"] = schema
        return document

    app.openapi = openapi  # type: ignore[method-assign]
