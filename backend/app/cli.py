"""``deployx-server``: serve, and what an administrator does on the server itself.

Invariant: what can go wrong is said in one line on stderr, with an exit code from sysexits.h; a traceback is a bug.
What a command makes (a password, a token) is alone on stdout, so that a script can take it.
"""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, TypeVar

import structlog
import typer

from app import logging, settings
from app.accounts.permissions import Role
from app.accounts.service import AccountService
from app.audit.actions import Actor
from app.db import Database
from app.devices.enrollment import EnrollmentService
from app.errors import DeployXError, Unavailable
from app.serve import CannotServe, migrate_or_explain, serve
from app.settings import Settings, UnusableSettings
from app.sim import command as simulator
from app.uow import UnitOfWork
from deployx_protocol.codes import EXIT_CONFIG, EXIT_UNAVAILABLE

EXIT_REFUSED = 1
T = TypeVar("T")

log = structlog.get_logger()

commands = typer.Typer(
    help="The DeployX server.", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False
)

Email = Annotated[str, typer.Argument(help="What the user signs in with.")]
PasswordFile = Annotated[Path | None, typer.Option(help="Read the password from this file.")]
Generate = Annotated[bool, typer.Option("--generate", help="Make a password and print it.")]


def main() -> None:
    """Run a command; say in one line why it could not be done."""
    try:
        commands()
    except UnusableSettings as error:
        _fail(error.problems, EXIT_CONFIG)
    except CannotServe as error:
        _fail([str(error)], error.exit_code)
    except DeployXError as error:
        _fail([error.message], EXIT_UNAVAILABLE if isinstance(error, Unavailable) else EXIT_REFUSED)


def _fail(problems: list[str], exit_code: int) -> None:
    for problem in problems:
        print(f"deployx-server: {logging.escape(problem)}", file=sys.stderr)
    sys.exit(exit_code)


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
    serve(_load(**{name: value for name, value in given.items() if value is not None}))


@commands.command("migrate")
def migrate_command() -> None:
    """Bring the database to this version; `serve` does it by itself."""
    asyncio.run(migrate_or_explain(_load()))


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

    async def create(services: "_Services") -> str:
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
    from app import doctor

    loaded = _load()
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
    from app.main import create_app

    app: Any = create_app(Settings(database_url="sqlite+aiosqlite:///:memory:"))
    print(json.dumps(app.openapi(), indent=2, ensure_ascii=False))


commands.command("sim", help=simulator.HELP)(simulator.sim)


@dataclass(frozen=True)
class _Services:
    actor: Actor
    accounts: AccountService
    enrollment: EnrollmentService


def _run(work: Callable[[_Services], Awaitable[T]]) -> T:
    loaded = settings.load()
    logging.configure(loaded.log_format, "warning")  # the command itself says what it did
    _warn_of_misspelt()

    async def run() -> T:
        await migrate_or_explain(loaded)
        db = Database(loaded.database_url)
        uow = UnitOfWork(db, lambda _: None)  # servers see the rows change when they look next
        accounts = AccountService(uow, db, loaded)
        try:
            return await work(_Services(Actor.command_line(), accounts, EnrollmentService(uow, db, loaded)))
        finally:
            accounts.close()
            await db.close()

    return asyncio.run(run())


def _load(**overrides: Any) -> Settings:
    loaded = settings.load(**overrides)
    logging.configure(loaded.log_format, loaded.log_level)
    _warn_of_misspelt()
    return loaded


def _warn_of_misspelt() -> None:
    for sentence in settings.misspelt_variables():
        log.warning(sentence)


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
            raise UnusableSettings([f"The password file cannot be read: {error}."]) from None
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


def _tell(sentence: str, secret: str | None) -> None:
    print(sentence, file=sys.stderr)
    if secret:
        print(secret)


if __name__ == "__main__":
    main()
