"""What a browser gets that is not the API: the page, its files, health and metrics, and what it is told to refuse."""

import asyncio
import http.client
import re
from urllib.parse import urlsplit

import httpx2
import pytest

from app.accounts.permissions import Role
from app.settings import Settings
from tests.support.node import Serve, serving
from tests.support.server import Browse, MakePerson, Site

# One database: nothing here depends on which it is.
pytestmark = pytest.mark.databases("sqlite")


HTML = {"accept": "text/html,application/xhtml+xml"}
THIRD_PARTY = re.compile(r"""(?:src|href|url|@import)\s*[=(]?\s*["'(]?\s*(?:https?:)?//""")


def nonce(answer: httpx2.Response) -> str:
    """The one nonce in the policy of a page."""
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "*" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "http:" not in policy
    assert "https:" not in policy
    [found] = set(re.findall(r"'nonce-([^']+)'", policy))
    assert len(found) >= 20
    return str(found)


async def test_threat_08_each_page_has_a_nonce_of_its_own(site: Site) -> None:
    nonces = set()
    for path in ("/", "/index.html", "/devices/7", "/sign-in", "/devices?q=<script>"):
        answer = await site.client.get(path, headers=HTML)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")
        fresh = nonce(answer)
        assert f'nonce="{fresh}"' in answer.text
        assert "__CSP_NONCE__" not in answer.text
        nonces.add(fresh)
    assert len(nonces) == 5


async def test_no_page_needs_another_host(serve: Serve, browse: Browse) -> None:
    node = await serve()
    client = browse(node, HTML)
    nonces = set()
    for path in ("/", "/api/docs", "/api/docs"):
        answer = await client.get(path)
        assert answer.headers["content-type"].startswith("text/html")
        assert not THIRD_PARTY.search(answer.text), path
        assert not re.search(r"\son\w+=|\sstyle=|javascript:", answer.text), path
        nonces.add(nonce(answer))
        for tag in re.findall(r"<(?:script|style)\b[^>]*>", answer.text):
            assert "nonce=" in tag or "src=" in tag
    assert len(nonces) == 3
    assert "/api/v1/devices" in answer.text
    document = (await client.get("/api/openapi.json")).json()
    assert "/api/v1/devices/{device_id}" in document["paths"]


async def test_everything_carries_the_headers(site: Site) -> None:
    for path in ("/", "/assets/app-1.js", "/healthz", "/api/v1/auth/me", "/nothing.txt", "/api/docs"):
        answer = await site.client.get(path, headers=HTML)
        assert answer.headers["x-content-type-options"] == "nosniff", path
        assert answer.headers["x-frame-options"] == "DENY", path
        assert answer.headers["referrer-policy"] == "same-origin", path
        assert "content-security-policy" in answer.headers, path
        assert "strict-transport-security" not in answer.headers, path
        assert "access-control-allow-origin" not in answer.headers, path


async def test_assets_are_kept_for_good_and_the_page_is_not(site: Site) -> None:
    asset = await site.client.get("/assets/app-1.js")
    assert asset.text == "console.log('hello')"
    assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert asset.headers["content-type"].startswith("text/javascript")
    again = await site.client.get("/assets/app-1.js", headers={"if-none-match": asset.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    icon = await site.client.get("/favicon.svg")
    assert (icon.status_code, icon.headers["cache-control"]) == (200, "no-cache")
    missing = await site.client.get("/assets/app-2.js", headers=HTML)
    assert missing.status_code == 404


TRAVERSALS = (
    "/../index.html",
    "/assets/../index.html",
    "/assets/../../secret.txt",
    "/..%2f..%2fetc%2fpasswd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/%252e%252e/etc/passwd",
    "/assets/..%5c..%5csecret.txt",
    "//etc/passwd",
    "/assets//etc/passwd",
    "/%00",
    "/assets/app-1.js%00.txt",
    "/file:///etc/passwd",
    "/secret.txt",
    "/dist/index.html",
    "/.git/config",
    "/deployx.db",
)


@pytest.mark.parametrize("accept", ["*/*", HTML["accept"]])
async def test_threat_17_no_path_leads_out_of_the_build(accept: str, site: Site, settings: Settings) -> None:
    (settings.data_dir / "secret.txt").write_text("the secret of the house")
    there = urlsplit(site.url)
    for path in TRAVERSALS:
        connection = http.client.HTTPConnection(there.hostname or "", there.port, timeout=30)
        connection.putrequest("GET", path, skip_accept_encoding=True)
        connection.putheader("accept", accept)
        connection.endheaders()
        status, body = await _read(connection)
        assert status in (200, 400, 404), path
        assert b"the secret" not in body, path
        assert b"root:" not in body, path
        if accept == "*/*":
            assert status == 404, path
        elif status == 200:
            assert b"__CSP_NONCE__" not in body
            assert b"/assets/app-1.js" in body, path


async def _read(connection: http.client.HTTPConnection) -> tuple[int, bytes]:
    def read() -> tuple[int, bytes]:
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, body

    return await asyncio.to_thread(read)


async def test_health_is_for_everyone_and_metrics_for_administrators(
    serve: Serve, browse: Browse, person: MakePerson
) -> None:
    node = await serve()
    client = browse(node)
    for path in ("/healthz", "/readyz"):
        answer = await client.get(path)
        assert (answer.status_code, answer.text) == (200, "ok\n")
    assert (await client.get("/metrics")).status_code == 401
    operator = await person("bob@example.test", Role.OPERATOR)
    assert (await client.get("/metrics", headers=operator.bearer)).status_code == 403
    counted = await client.get("/metrics", headers=(await person()).bearer)
    assert counted.status_code == 200
    assert 'deployx_http_requests_total{method="GET",status="401"} 1.0' in counted.text
    assert "deployx_agent_connections" in counted.text
    assert not re.search(r"example\.test|dxp_", counted.text)


async def test_a_server_without_a_build_says_so(site: Site, settings: Settings) -> None:
    (settings.data_dir / "dist" / "index.html").unlink()
    answer = await site.client.get("/", headers=HTML)
    assert answer.status_code == 503
    assert "make setup" in answer.text


async def test_behind_tls_the_browser_stays_with_it(settings: Settings) -> None:
    trusting = settings.model_copy(
        update={"trusted_proxies": ["127.0.0.1/32"], "public_url": ["https://deployx.example.test"]}
    )
    forwarded = {"x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.9"}
    async with serving(trusting) as node, httpx2.AsyncClient(base_url=node.url) as client:
        assert "strict-transport-security" in (await client.get("/healthz", headers=forwarded)).headers
    async with serving(settings) as node, httpx2.AsyncClient(base_url=node.url) as client:
        assert "strict-transport-security" not in (await client.get("/healthz", headers=forwarded)).headers
