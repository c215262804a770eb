"""What a server and an agent started from the checkout are told, where the caller's environment says nothing.

Invariant: whatever the caller set in `DEPLOYX_*` is respected, with one exception: logs say at least `info`, since the
tools read there what happens. The agent gets none of the server's secrets.
"""

import contextlib
import ipaddress
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bootstrap.places import ROOT, relative
from local.service import Ended

ADMIN = "admin@example.test"
_SECRETS = (
    "DEPLOYX_ADMIN_PASSWORD",
    "DEPLOYX_ADMIN_PASSWORD_FILE",
    "DEPLOYX_DATABASE_URL",
    "DEPLOYX_DATABASE_URL_FILE",
)


@dataclass(frozen=True, slots=True)
class Local:
    """The environment of the server, and what follows from it."""

    server_env: Mapping[str, str]
    data_dir: Path
    admin_email: str
    made_password: str
    """What the first administrator gets if the server makes one now; empty when the caller named a password."""

    @property
    def agent_dir(self) -> Path:
        """The agent's state folder."""
        return Path(self.server_env.get("DEPLOYX_STATE_DIR") or self.data_dir / "agent").absolute()

    def at(self, url: str) -> dict[str, str]:
        """The server's environment, with the port that it got."""
        return {**self.server_env, "DEPLOYX_PORT": url.rpartition(":")[2]}

    def agent_env(self, url: str) -> dict[str, str]:
        """The agent's environment, for the server that says it is at `url`."""
        env = {name: value for name, value in self.server_env.items() if name not in _SECRETS}
        env["DEPLOYX_SERVER_URL"] = self.address(url)
        env["DEPLOYX_STATE_DIR"] = str(self.agent_dir)
        env["DEPLOYX_INSECURE_HTTP"] = "1"  # the server is this machine, by whatever name
        return env

    def address(self, url: str) -> str:
        """Under which address people and agents reach the server that listens at `url`."""
        return self.server_env.get("DEPLOYX_PUBLIC_URL", "").partition(",")[0].strip() or url


def prepare(caller: Mapping[str, str]) -> Local:
    """The settings for one start; makes the data folder. Raises OSError."""
    env = {name: value for name, value in caller.items() if not (name.startswith("DEPLOYX_") and not value)}
    data_dir = Path(env.get("DEPLOYX_DATA_DIR", ROOT / ".deployx")).absolute()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    env["DEPLOYX_DATA_DIR"] = str(data_dir)
    if _is_loopback(env.get("DEPLOYX_HOST", "127.0.0.1")):
        env.setdefault("DEPLOYX_ENROLLMENT", "approval")
    if env.get("DEPLOYX_LOG_LEVEL", "").strip().lower() in ("warning", "error"):
        env["DEPLOYX_LOG_LEVEL"] = "info"
    env.setdefault("DEPLOYX_ADMIN_EMAIL", ADMIN)
    password = ""
    if "DEPLOYX_ADMIN_PASSWORD" not in env and "DEPLOYX_ADMIN_PASSWORD_FILE" not in env:
        password = env["DEPLOYX_ADMIN_PASSWORD"] = secrets.token_urlsafe(15)
    return Local(env, data_dir, env["DEPLOYX_ADMIN_EMAIL"], password)


@contextlib.contextmanager
def alone(local: Local) -> Iterator[None]:
    """Keep a second start away from this data folder and its logs. Raises Ended."""
    try:
        import fcntl
    except ImportError:  # Windows: the server and the agent refuse by themselves
        yield
        return
    with (local.data_dir / "run.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            folder = relative(local.data_dir)
            raise Ended(f"DeployX is running on {folder} already: end that first, or set DEPLOYX_DATA_DIR.") from None
        yield


def wants_logs(caller: Mapping[str, str] = os.environ) -> bool:
    """Whether VERBOSE asks for the logs on the terminal."""
    return caller.get("VERBOSE", "").lower() not in ("", "0", "false", "no")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
