"""The API's reference, as one page of our own: no script, no other host, readable by everyone.

It is made from the OpenAPI document, so it cannot say anything else than ``/api/openapi.json`` does.
"""

import json
from html import escape
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from app.routing import Router
from app.web import policy

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
code, pre { font: 14px/1.45 ui-monospace, monospace; }
pre { background: var(--soft); padding: .75rem; overflow-x: auto; }
details { border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0; padding: .25rem .75rem; }
summary { cursor: pointer; } summary b { display: inline-block; min-width: 4.5rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .25rem .5rem; vertical-align: top; border-bottom: 1px solid var(--line); }
"""


def router() -> Router:
    """``/api/docs`` and ``/api/openapi.json``; give ``FastAPI`` no addresses of its own for them."""
    routes = Router(include_in_schema=False)

    @routes.get("/api/openapi.json")
    async def openapi(request: Request) -> Response:
        return JSONResponse(request.app.openapi())

    @routes.get("/api/docs")
    async def docs(request: Request) -> Response:
        nonce = policy.new_nonce()
        headers = {"content-security-policy": policy.for_page(nonce)}
        return HTMLResponse(render(request.app.openapi(), nonce), headers=headers)

    return routes


def render(document: dict[str, Any], nonce: str) -> str:
    """The page for an OpenAPI document."""
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    sections: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tag = operation.get("tags", ["other"])[0]
            sections.setdefault(tag, []).append(_operation(method.upper(), path, operation))
    operations = "".join(f"<h2>{escape(tag.capitalize())}</h2>{''.join(parts)}" for tag, parts in sections.items())
    schemas = "".join(
        f'<details id="schema-{escape(name)}"><summary>{escape(name)}</summary>{_json(schema)}</details>'
        for name, schema in document.get("components", {}).get("schemas", {}).items()
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style nonce="{nonce}">{_STYLE}</style></head>
<body><main><h1>{title}</h1>
<p>Sign in with the session cookie, or send <code>Authorization: Bearer dxp_…</code>. Errors are
<code>application/problem+json</code>. For programs: <a href="/api/openapi.json">openapi.json</a>.</p>
{operations}<h2>Schemas</h2>{schemas}</main></body></html>
"""


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    summary = escape(operation.get("summary", ""))
    description = f"<p>{escape(operation['description'])}</p>" if operation.get("description") else ""
    body = _content("Body", operation.get("requestBody", {}))
    answers = "".join(_content(f"Answer {status}", answer) for status, answer in operation.get("responses", {}).items())
    return (
        f"<details><summary><b>{method}</b> <code>{escape(path)}</code> {summary}</summary>"
        f"{description}{_parameters(operation.get('parameters', []))}{body}{answers}</details>"
    )


def _parameters(parameters: list[dict[str, Any]]) -> str:
    if not parameters:
        return ""
    rows = "".join(
        f"<tr><td><code>{escape(one['name'])}</code></td><td>{escape(one['in'])}"
        f"{', required' if one.get('required') else ''}</td><td>{_json(one.get('schema', {}))}</td></tr>"
        for one in parameters
    )
    return f"<table><thead><tr><th>Parameter</th><th>In</th><th>Schema</th></tr></thead><tbody>{rows}</tbody></table>"


def _content(title: str, described: dict[str, Any]) -> str:
    parts = [
        f"<h3>{escape(title)} · <code>{escape(kind)}</code></h3>{_schema(content.get('schema', {}))}"
        for kind, content in described.get("content", {}).items()
    ]
    if not parts and described.get("description"):
        parts.append(f"<h3>{escape(title)}</h3><p>{escape(described['description'])}</p>")
    return "".join(parts)


def _schema(schema: dict[str, Any]) -> str:
    name = schema.get("$ref", "").rpartition("/")[2]
    return f'<p><a href="#schema-{escape(name)}">{escape(name)}</a></p>' if name else _json(schema)


def _json(value: Any) -> str:
    return f"<pre>{escape(json.dumps(value, indent=1, ensure_ascii=False))}</pre>"
