"""A private certificate authority, for tests of TLS."""

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Authority:
    """A private certificate authority in a folder, by the openssl command."""

    folder: Path

    @property
    def certificate(self) -> Path:
        return self.folder / "ca.pem"

    def make(self) -> "Authority":
        self.folder.mkdir()
        key, usage = self.folder / "ca.key", "keyUsage=critical,keyCertSign,cRLSign"
        openssl("req", "-x509", *NEW_KEY, "-keyout", key, "-out", self.certificate, "-subj", "/CN=ca", "-addext", usage)
        return self

    def issue(self, name: str, *, not_after: str = "21260101000000Z") -> ssl.SSLContext:
        """What a server with a certificate for ``name`` (an openssl subjectAltName) speaks with."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*self.files(name, not_after=not_after))
        return context

    def files(self, name: str, *, not_after: str = "21260101000000Z") -> tuple[Path, Path]:
        """A new certificate for ``name``, and its key."""
        key, request, issued, more = (self.folder / f"server.{end}" for end in ("key", "csr", "pem", "ext"))
        openssl("req", *NEW_KEY, "-keyout", key, "-out", request, "-subj", "/CN=server")
        more.write_text(
            "[ca]\ndefault_ca=own\n[own]\nrand_serial=yes\ndefault_md=sha256\npolicy=any\nunique_subject=no\n"
            f"database={self.folder}/index\nnew_certs_dir={self.folder}\n[any]\ncommonName=supplied\n"
            f"[leaf]\nsubjectAltName={name}\nbasicConstraints=critical,CA:FALSE\nsubjectKeyIdentifier=hash\n"
            "authorityKeyIdentifier=keyid\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n"
        )
        (self.folder / "index").touch()
        dates = ("-startdate", "20250101000000Z", "-enddate", not_after)
        signer = ("-cert", self.certificate, "-keyfile", self.folder / "ca.key")
        sections = ("-config", more, "-extensions", "leaf")
        openssl("ca", "-batch", "-notext", *sections, *signer, *dates, "-in", request, "-out", issued)
        return issued, key


NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def openssl(*arguments: str | Path) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
