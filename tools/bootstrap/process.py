"""Running the tools that fetch and build, and saying in one sentence why one of them failed."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from bootstrap.console import SetupError

_NETWORK = (
    "temporary failure in name resolution",
    "name or service not known",
    "nodename nor servname",
    "failed to lookup address",
    "dns error",
    "getaddrinfo",
    "enotfound",
    "eai_again",
    "econnrefused",
    "econnreset",
    "etimedout",
    "enetunreach",
    "connection refused",
    "connection reset",
    "network is unreachable",
    "no route to host",
    "newconnectionerror",
    "connecttimeout",
    "readtimeout",
    "proxyerror",
    "tcp connect error",
    "error sending request",
    "max retries exceeded",
    "temporary failure resolving",
    "could not resolve",
)
_CERTIFICATE = (
    "certificate_verify_failed",
    "certificate verify failed",
    "unable to get local issuer",
    "invalid peer cert",
)


def run(
    command: Sequence[str | os.PathLike[str]],
    what: str,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """Run `command` quietly and return what it printed.

    `what` completes "Could not …". Raises SetupError: for a network or certificate problem with nothing but a
    sentence, for anything else with the tool's own words.
    """
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=env,
            cwd=cwd,
            check=False,
        )
    except OSError as error:
        raise SetupError(f"Could not {what}: {error}.") from None
    if done.returncode:
        raise _explained(what, done.stdout, done.returncode)
    return done.stdout


def works(command: Sequence[str | os.PathLike[str]], *, env: Mapping[str, str] | None = None) -> str | None:
    """What `command` printed if it can be run and exits with 0, else None."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout


def _explained(what: str, output: str, code: int) -> SetupError:
    lower = output.lower()
    if any(sign in lower for sign in _CERTIFICATE):
        return SetupError(
            f"Could not {what}: the server's certificate is not trusted. "
            "Behind a proxy of your own, set PIP_CERT, SSL_CERT_FILE and NODE_EXTRA_CA_CERTS to its CA file."
        )
    if any(sign in lower for sign in _NETWORK):
        return SetupError(
            f"Could not {what}: there is no network, or the package index cannot be reached. "
            "Check the connection and the proxy settings, then run the same command again."
        )
    return SetupError(f"Could not {what}: the tool ended with {code}.", output)
