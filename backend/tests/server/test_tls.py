"""A server with its own certificate: what it speaks, what keeps it from starting, and a certificate that is renewed."""

import asyncio
import shutil
import ssl
from pathlib import Path
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs

from app import tls
from app.tls import Certificate, UnusableCertificate
from tests.support.authority import Authority
from tests.support.node import eventually
from tests.support.rawlink import RawLink
from tests.support.server import PASSWORD


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Somebody who signs certificates."""
    return Authority(tmp_path / "authority").make()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")  # which is why it is refused
def test_everything_goes_over_its_own_certificate(server: Any, authority: Authority) -> None:
    certificate, key = authority.files("IP:127.0.0.1")
    server("create-admin", "ada@example.test", stdin=f"{PASSWORD}\n")
    with server.serving(DEPLOYX_TLS_CERTIFICATE=str(certificate), DEPLOYX_TLS_KEY=str(key)) as serving:
        assert serving.url.startswith("https://127.0.0.1:")
        trusting = ssl.create_default_context(cafile=authority.certificate)
        with httpx2.Client(base_url=serving.url, verify=trusting) as client:
            page = client.get("/", headers={"accept": "text/html"})
            assert page.status_code == 200
            assert page.headers["strict-transport-security"].startswith("max-age=")
            login = {"email": "ada@example.test", "password": PASSWORD}
            assert client.post("/api/v1/auth/login", json=login).status_code == 200
            token = client.post("/api/v1/enrollment-tokens", json={"name": "x"}, headers={"origin": serving.url})
            assert token.json()["origin"] == serving.url

        async def link_answers() -> bool:
            async with RawLink.connected(serving.url, ssl=trusting) as link:
                return await link.alive()

        assert asyncio.run(link_answers())
        with httpx2.Client(base_url=serving.url) as client, pytest.raises(httpx2.ConnectError):
            client.get("/healthz")
        plain = httpx2.Client(base_url=serving.url.replace("https", "http"))
        with plain, pytest.raises(httpx2.RequestError):
            plain.get("/healthz")
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.load_verify_locations(authority.certificate)
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        with httpx2.Client(base_url=serving.url, verify=old) as client, pytest.raises(httpx2.ConnectError):
            client.get("/healthz")
        assert serving.stop()[0] == 0


def test_what_cannot_be_used_keeps_it_from_starting(server: Any, authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.files("IP:127.0.0.1")
    foreign = tmp_path / "foreign.key"
    shutil.copy(authority.folder / "ca.key", foreign)
    foreign.chmod(0o600)
    shown = tmp_path / "shown.key"
    shutil.copy(key, shown)
    shown.chmod(0o644)
    for files, says in (
        ((certificate, foreign), "are no certificate with its key: key values mismatch"),
        ((certificate, shown), "chmod 640"),
        ((tmp_path / "nothing", key), "cannot be read: No such file"),
        ((key, key), "are no certificate with its key"),
        ((certificate, None), "go together"),
    ):
        env = {"DEPLOYX_TLS_CERTIFICATE": str(files[0])}
        done = server("serve", "--port", "0", **env, **({"DEPLOYX_TLS_KEY": str(files[1])} if files[1] else {}))
        assert (done.returncode, len(done.stderr.splitlines())) == (78, 1), done.stderr
        assert says in done.stderr


async def test_a_renewed_certificate_is_taken_and_a_broken_one_is_not(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "CHECK_S", 0.02)
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"

    def put(name: str) -> None:
        for new, there in zip(authority.files(name), (certificate, key), strict=True):
            shutil.copy(new, there)
            there.chmod(0o600)

    put("DNS:old.example.test")
    own = Certificate(certificate, key)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=own.context)
    port = server.sockets[0].getsockname()[1]
    trusting = ssl.create_default_context(cafile=authority.certificate)

    async def answers(name: str) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname=name)
        except ssl.SSLCertVerificationError:
            return False
        writer.close()
        return True

    with capture_logs() as said:
        async with server:
            following = asyncio.create_task(own.follow())
            assert await answers("old.example.test")
            put("DNS:new.example.test")
            await eventually(lambda: answers("new.example.test"))
            certificate.write_text("-----BEGIN NONSENSE-----")
            await eventually(lambda: any(one["event"] == "tls.certificate_unusable" for one in said))
            assert await answers("new.example.test")
            put("DNS:third.example.test")
            await eventually(lambda: answers("third.example.test"))
            following.cancel()


def test_a_folder_is_no_certificate(tmp_path: Path) -> None:
    with pytest.raises(UnusableCertificate):
        Certificate(tmp_path, tmp_path)
