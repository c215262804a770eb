"""``deployx-server doctor``: is this deployment as it should be, and how to mend what is not.

Each check is a function of what was found, so that it can be tried without a machine that has the fault.
"""

import ipaddress
import os
import shutil
import stat
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from app.accounts.models import Factor, User
from app.accounts.permissions import Role
from app.accounts.sealing import KEY_FILE
from app.db import Database
from app.errors import Unavailable
from app.settings import Settings
from app.tls import UnusableCertificate, certificate
from deployx_protocol import origins

DISK_LOW_BYTES = 1 << 30
FILES_LOW = 16_384
CLOCKS_APART = timedelta(seconds=2)
SESSION_LONG = timedelta(days=30)
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Verdict(StrEnum):
    """How a check went."""

    GOOD = "ok"
    DOUBTFUL = "warning"  # it works, and is less safe or less reliable than it could be
    BAD = "problem"  # mend this before anyone relies on it


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was looked at, how it is, and (unless it is good) how to mend it."""

    verdict: Verdict
    what: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """What the database says of itself. ``problem`` is why it says nothing."""

    problem: str = ""
    server_time: datetime | None = None
    durable: bool = True
    administrators: int = 0
    second_factors: int = 0


def _good(what: str) -> Finding:
    return Finding(Verdict.GOOD, what)


def _doubtful(what: str, mend: str) -> Finding:
    return Finding(Verdict.DOUBTFUL, what, mend)


def _bad(what: str, mend: str) -> Finding:
    return Finding(Verdict.BAD, what, mend)


def examine(settings: Settings, environ: Mapping[str, str], database: DatabaseFacts) -> list[Finding]:
    """Every check of this machine. Reads files and the clock; changes nothing."""
    return [
        *reach(settings),
        *proxies(settings),
        *secrets(settings, environ, database),
        *data(settings),
        *storage(database, datetime.now(UTC)),
        *machine(),
    ]


def reach(settings: Settings) -> Iterator[Finding]:
    """Under which address it is reached, and whether what goes there can be read on the way."""
    plain = _in_the_clear(settings.public_url)
    if plain:
        yield _bad(
            f"DEPLOYX_PUBLIC_URL has {', '.join(plain)}: passwords and commands go there in the clear.",
            "Put TLS in front of it (deploy/nginx.conf, or DEPLOYX_TLS_CERTIFICATE) and write https://.",
        )
    elif settings.public_url:
        yield _good(f"Agents and browsers reach it at {', '.join(settings.public_url)}.")
    elif settings.is_loopback_bound:
        yield _doubtful(
            f"Only this machine reaches it, at {settings.host} port {settings.port}.",
            "For agents on other machines, set DEPLOYX_PUBLIC_URL to the address with https://.",
        )
    else:
        yield _bad(
            f"It listens on {settings.host}, and agents do not know under which address they reach it.",
            "Set DEPLOYX_PUBLIC_URL, for example to https://deployx.example.com.",
        )
    try:
        own = certificate(settings)
    except UnusableCertificate as error:
        yield _bad("The server's own certificate cannot be used.", str(error))
    else:
        if own:
            yield _good("It speaks TLS with a certificate of its own.")
        elif not settings.is_loopback_bound:
            yield _doubtful(
                f"It speaks plain http on {settings.host}, which more than this machine can reach.",
                "Let it listen on 127.0.0.1 behind the proxy (DEPLOYX_HOST), or give it DEPLOYX_TLS_CERTIFICATE.",
            )
    foreign = _in_the_clear(settings.cors_origins)
    if foreign:
        yield _doubtful(
            f"Pages of {', '.join(foreign)} may open the dashboard's socket, and such pages can be forged on the way.",
            "Write https:// in DEPLOYX_CORS_ORIGINS, or leave them out.",
        )


def proxies(settings: Settings) -> Iterator[Finding]:
    """Whether it believes the right ones about where requests come from."""
    wide = [network for network in settings.trusted_proxies if _is_wide(network)]
    https = any(origin.startswith("https://") for origin in settings.public_url)
    if wide:
        yield _bad(
            f"DEPLOYX_TRUSTED_PROXIES has {', '.join(wide)}: anyone there can pretend to come from any address.",
            "Name the proxies' own addresses only.",
        )
    elif settings.trusted_proxies:
        yield _good(f"It believes {', '.join(settings.trusted_proxies)} about where requests come from.")
    elif https and settings.tls_certificate is None:
        yield _bad(
            "It is reached over https, but believes no proxy: nobody can sign in, and all come from one address.",
            "Set DEPLOYX_TRUSTED_PROXIES to the address of the proxy that ends TLS.",
        )


def secrets(settings: Settings, environ: Mapping[str, str], database: DatabaseFacts) -> Iterator[Finding]:
    """Whether secrets are where only the server reads them."""
    if settings.admin_email and database.administrators:
        yield _doubtful(
            "The first administrator's password is still in the server's settings.",
            "Take DEPLOYX_ADMIN_EMAIL and DEPLOYX_ADMIN_PASSWORD out: they are used once only.",
        )
    for name, value in sorted(environ.items()):
        if name.startswith("DEPLOYX_") and name.endswith("_FILE") and value:
            yield from _private(Path(value), f"The secret in {value}")
    key = settings.data_dir.absolute() / KEY_FILE
    if key.exists():
        yield from _private(key, f"The key in {key}")
    elif database.second_factors and not settings.secret_key.get_secret_value():
        yield _bad(
            f"{key} is gone: nobody signs in with an authenticator any more, only with recovery codes.",
            "Bring it back from a backup, or run deployx-server reset-two-factor for each who has one.",
        )
    if environ.get("DEPLOYX_DATABASE_URL") and make_url(settings.database_url).password:
        yield _doubtful(
            "The database's password is in the environment, which other programs of this user can read.",
            "Put the address into a file of mode 0600, and name that in DEPLOYX_DATABASE_URL_FILE.",
        )
    if timedelta(seconds=settings.session_lifetime_s) > SESSION_LONG:
        yield _doubtful(
            f"Browsers stay signed in for {settings.session_lifetime_s // 86_400} days.",
            "Set DEPLOYX_SESSION_LIFETIME to 30 days or less.",
        )
    if not database.problem:
        if database.administrators:
            yield _good(f"Administrators: {database.administrators}.")
        else:
            yield _bad("There is no administrator.", "Run: deployx-server create-admin EMAIL")


def data(settings: Settings) -> Iterator[Finding]:
    """The data folder: who can read it, and how much room there is."""
    folder = settings.data_dir.absolute()
    if not folder.exists():
        if settings.is_sqlite:
            yield _doubtful(f"The data folder {folder} is not there yet.", "The server makes it at its first start.")
        return
    yield from _private(folder, f"The data folder {folder}")
    free = shutil.disk_usage(folder).free
    if free < DISK_LOW_BYTES:
        yield _bad(
            f"The disk of {folder} has {free >> 20} MiB left: when it is full, nothing is saved.",
            "Make room, or move DEPLOYX_DATA_DIR; the *_RETENTION_DAYS settings say what is kept how long.",
        )
    else:
        yield _good(f"The disk of {folder} has {free >> 30} GiB left.")


def storage(database: DatabaseFacts, now: datetime) -> Iterator[Finding]:
    """The database: is it there, does it keep what it said it kept, does its clock agree."""
    if database.problem:
        yield _bad("The database does not answer.", database.problem)
        return
    if database.durable:
        yield _good("The database keeps what it has confirmed.")
    else:
        yield _bad(
            "The database confirms what a power cut can still take back (synchronous_commit or fsync is off).",
            "Turn both on in postgresql.conf: accepted work would be lost, or done twice.",
        )
    if database.server_time and abs(database.server_time - now) > CLOCKS_APART:
        seconds = abs(database.server_time - now).total_seconds()
        yield _bad(
            f"This machine's clock and the database's are {seconds:.0f} s apart.",
            "Let both follow the same time servers (chrony, systemd-timesyncd).",
        )


def machine() -> Iterator[Finding]:
    """The process's limits, its user, and the clock."""
    if os.name != "posix":
        return
    import resource

    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files != resource.RLIM_INFINITY and files < FILES_LOW:
        yield _doubtful(
            f"It may have {files} files open, and each agent needs one.",
            "Raise the limit: LimitNOFILE=65536 in its unit.",
        )
    if os.geteuid() == 0:
        yield _doubtful("It runs as root, which it never needs.", "Run it as a user of its own (deploy/install.sh).")
    followed = _clock_is_followed()
    if followed is False:
        yield _bad("Nothing keeps this machine's clock right.", "Turn on chrony or systemd-timesyncd.")
    elif followed:
        yield _good("The clock follows a time server.")


async def ask_database(settings: Settings) -> DatabaseFacts:
    """What the database says of itself. It is not made if it is not there."""
    file = make_url(settings.database_url).database
    if settings.is_sqlite and not os.path.exists(file or ""):  # noqa: ASYNC240, PTH110 - nothing else goes on here
        return DatabaseFacts(problem="It is made by the server's first start, or by: deployx-server migrate")
    db = Database(settings.database_url)
    try:
        async with db.read() as session:
            admins = sa.select(sa.func.count()).where(User.role == Role.ADMIN, User.disabled_at.is_(None))
            administrators = await session.scalar(admins) or 0
            sealed = await session.scalar(sa.select(sa.func.count()).select_from(Factor)) or 0
            if settings.is_sqlite:
                return DatabaseFacts(administrators=administrators, second_factors=sealed)
            now = await session.scalar(sa.text("SELECT clock_timestamp()"))
            asked = [await session.scalar(sa.text(f"SHOW {name}")) for name in ("synchronous_commit", "fsync")]
            return DatabaseFacts("", now, "off" not in asked, administrators, sealed)
    except Unavailable as error:
        reason = getattr(error.__cause__, "orig", None) or error.__cause__ or error
        return DatabaseFacts(problem=f"It says: {str(reason).partition(chr(10))[0]}")
    except DBAPIError as error:
        return DatabaseFacts(problem=f"It says: {str(error.orig).partition(chr(10))[0]}; run: deployx-server migrate")
    finally:
        await db.close()


def _private(path: Path, what: str) -> Iterator[Finding]:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        yield _bad(f"{what} cannot be read: {error.strerror}.", "Correct its path, or who owns it.")
        return
    if os.name == "posix" and mode & _OTHERS:
        yield _bad(f"{what} is open to other users (mode {mode:04o}).", f"Run: chmod {mode & ~_OTHERS:o} {path}")
    else:
        yield _good(f"{what} is the server's alone.")


def _in_the_clear(named: Iterable[str]) -> list[str]:
    return [origin for origin in named if origin.startswith("http://") and not origins.is_loopback(origin)]


def _is_wide(network: str) -> bool:
    parsed = ipaddress.ip_network(network)
    return parsed.prefixlen < (8 if parsed.version == 4 else 32)


def _clock_is_followed() -> bool | None:
    """Whether systemd says so; None where there is none to ask."""
    if not Path("/run/systemd/system").is_dir():
        return None
    command = ["timedatectl", "show", "--property", "NTPSynchronized", "--value"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"yes": True, "no": False}.get(done.stdout.strip())
