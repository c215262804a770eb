"""The commands of ``deployx-server``: serve, and what an administrator does on the server itself.

Invariant: what a command makes (a password, a token) is alone on stdout, so that a script can take it. A command loads
what it needs when it runs: help and the simulator need nothing of the server.
"""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import structlog
import typer

from app import logging
from app.accounts.permissions import Role
from app.loading import loading
from app.sim import command as simulator

if TYPE_CHECKING:
    from app.administering import Services
    from app.settings import Settings

EXIT_REFUSED = 1
T = TypeVar("T")

log = structlog.get_logger()

commands = typer.Typer(
    help="The DeployX server.", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False
)

Email = Annotated[str, typer.Argument(help="What the user signs in with.")]
PasswordFile = Annotated[Path | None, typer.Option(help="Read the password from this file.")]
Generate = Annotated[bool, typer.Option("--generate", help="Make a password and print it.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        print(version("deployx-server"))
        raise typer.Exit


@commands.callback()
def _options(
    _version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True)] = False,
) -> None:
    pass


@commands.command("serve")
def serve_command(
    host: Annotated[str | None, typer.Option(help="Address to listen on (DEPLOYX_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (DEPLOYX_PORT).")] = None,
) -> None:
    """Run the server. Everything is configured by DEPLOYX_* in the environment."""
    given: dict[str, Any] = {"host": host, "port": port}
    loaded = _load(**{name: value for name, value in given.items() if value is not None})
    with loading():
        from app.serve import serve
    serve(loaded)


@commands.command("migrate")
def migrate_command() -> None:
    """Bring the database to this version; `serve` does it by itself."""
    loaded = _load()
    with loading():
        from app.prepare import migrate_or_explain
    asyncio.run(migrate_or_explain(loaded))


@commands.command("create-admin")
def create_admin(email: Email, password_file: PasswordFile = None, generate: Generate = False) -> None:
    """Add an administrator."""
    _create(email, Role.ADMIN, password_file, generate)


@commands.command("create-user")
def create_user(
    email: Email,
    role: Annotated[Role, typer.Option(help="What the user may do.")] = Role.OPERATOR,
    password_file: PasswordFile = None,
    generate: Generate = False,
) -> None:
    """Add a user."""
    _create(email, role, password_file, generate)


@commands.command("reset-password")
def reset_password(email: Email, password_file: PasswordFile = None, generate: Generate = False) -> None:
    """Give a user another password; their sessions and API tokens end."""
    password = _password(password_file, generate)
    _run(lambda services: services.accounts.reset_password(email, password, by=services.actor))
    _tell(f"The password of {email} is changed; sessions and API tokens are ended.", password if generate else None)


@commands.command("reset-two-factor")
def reset_two_factor(email: Email) -> None:
    """Let a user who lost the authenticator sign in with the password alone; their sessions end."""
    _run(lambda services: services.accounts.two_factor.reset(email, by=services.actor))
    _tell(f"{email} signs in with the password alone; sessions are ended.", None)


@commands.command("disable-user")
def disable_user(email: Email) -> None:
    """Shut a user out; their devices stay."""
    _run(lambda services: services.accounts.disable(email, by=services.actor))
    _tell(f"{email} can no longer sign in.", None)


@commands.command("enable-user")
def enable_user(email: Email) -> None:
    """Let a user in again who was shut out."""
    _run(lambda services: services.accounts.enable(email, by=services.actor))
    _tell(f"{email} can sign in again.", None)


@commands.command("set-role")
def set_role(email: Email, role: Annotated[Role, typer.Argument(help="What the user may do.")]) -> None:
    """Change what a user may do; it holds at once, also for whoever is signed in."""
    _run(lambda services: services.accounts.set_role(email, role, by=services.actor))
    _tell(f"{email} is {role} from now on.", None)


@commands.command("create-enrollment-token")
def create_enrollment_token(
    name: Annotated[str, typer.Option(help="What people see in the list of tokens.")] = "command line",
    max_uses: Annotated[int, typer.Option(min=1, max=100_000, help="How many devices may enrol with it.")] = 1,
    expires_in_s: Annotated[int, typer.Option(min=60, max=31_622_400, help="How long it is good.")] = 86_400,
    owner: Annotated[str, typer.Option(help="Whose the devices are; by default the first administrator's.")] = "",
) -> None:
    """Make a token with which agents enrol, and print it."""

    async def create(services: "Services") -> str:
        user = await (services.accounts.find_user(owner) if owner else services.accounts.first_admin())
        made = await services.enrollment.create(
            user.id, services.actor, name=name, max_uses=max_uses, expires_in_s=expires_in_s
        )
        return made.token

    print(_run(create))


@commands.command("doctor")
def doctor_command() -> None:
    """Check this deployment's settings, TLS, secrets, database, clock and disk, and say how to mend each.

    Run it as the server's user, with the server's environment. Exits with 1 if there is a problem.
    """
    loaded = _load()
    with loading():
        from app import doctor
    findings = doctor.examine(loaded, os.environ, asyncio.run(doctor.ask_database(loaded)))
    for finding in findings:
        print(f"{finding.verdict:8} {logging.escape(finding.what)}")
        if finding.mend:
            print(f"{'':8} → {logging.escape(finding.mend)}")
    if any(finding.verdict is doctor.Verdict.BAD for finding in findings):
        raise typer.Exit(EXIT_REFUSED)


@commands.command("openapi")
def openapi() -> None:
    """Print the API's OpenAPI document."""
    with loading():
        from app.main import create_app
        from app.settings import Settings
    app: Any = create_app(Settings(database_url="sqlite+aiosqlite:///:memory:"))
    print(json.dumps(app.openapi(), indent=2, ensure_ascii=False))


commands.command("sim", help=simulator.HELP)(simulator.sim)


def _run(work: "Callable[[Services], Awaitable[T]]") -> T:
    loaded = _load(log_level="warning")  # the command itself says what it did
    with loading():
        from app.administering import run
    return asyncio.run(run(loaded, work))


def _load(log_level: str = "", **given: Any) -> "Settings":
    with loading():
        from app import settings
    loaded = settings.load(**given)
    logging.configure(loaded.log_format, log_level or loaded.log_level)
    for sentence in settings.misspelt_variables():
        log.warning(sentence)
    return loaded


def _create(email: str, role: Role, password_file: Path | None, generate: bool) -> None:
    password = _password(password_file, generate)
    user = _run(lambda services: services.accounts.create_user(email, password, role, by=services.actor))
    _tell(f"{user.email} can sign in as {role}.", password if generate else None)


def _password(file: Path | None, generate: bool) -> str:
    if generate:
        return secrets.token_urlsafe(15)
    if file:
        try:
            return file.read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            from app.settings import UnusableSettings

            raise UnusableSettings([f"The password file cannot be read: {error}."]) from None
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


def _tell(sentence: str, secret: str | None) -> None:
    print(sentence, file=sys.stderr)
    if secret:
        print(secret)
