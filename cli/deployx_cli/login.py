"""`deployx login` and `deployx logout`."""

import os
import socket
import sys

import typer

from deployx_cli import store
from deployx_cli.address import DEFAULT_URL, check_transport, normalise
from deployx_cli.api import Api
from deployx_cli.errors import CodeNeeded, CommandError, NotAllowed, WrongCode

_STDIN = "-"


def sign_in(url: str, email: str, token: str, *, insecure_http: bool) -> None:
    """Store a login that works: with `token`, or with a token made from e-mail and password."""
    old = store.load() if store.path().exists() else None
    url = normalise(url or (old.url if old else "") or _ask("Server", DEFAULT_URL))
    check_transport(url, insecure_http=insecure_http)
    if token:
        token = sys.stdin.readline().strip() if token == _STDIN else token.strip()
        with Api(url, token=token) as api:
            login = store.Login(url=url, token=token, email=str(api.me().get("email", "")))
    else:
        email = email or _ask("E-mail")
        password = _ask_password()
        with Api(url) as api:
            made = api.create_token(_session(api, email, password), _token_name())
        login = store.Login(url=url, token=str(made["token"]), token_id=str(made["id"]), email=email)
    file = store.save(login)
    typer.echo(f"Signed in to {login.url} as {login.email}. The token is in {file}.")


def sign_out(*, insecure_http: bool) -> None:
    """Forget the stored login, and make its token worthless if `deployx login` has made it."""
    login = store.load()
    if login is None:
        typer.echo("You are not signed in.")
        return
    store.forget()
    if login.token_id:
        try:
            check_transport(login.url, insecure_http=insecure_http)
            with Api(login.url, token=login.token) as api:
                api.delete_token(login.token_id)
        except CommandError as error:
            kind = type(error)
            raise kind(f"The login is forgotten here, but its token still works until it is deleted: {error}") from None
    typer.echo(f"Signed out of {login.url}.")


def _session(api: Api, email: str, password: str) -> str:
    """A session, in two steps where there is a second factor. Who is there may mistype the code."""
    try:
        return api.sign_in(email, password)
    except CodeNeeded as needed:
        challenge = needed.challenge
    while True:
        try:
            return api.second_step(challenge, _ask_code())
        except WrongCode as wrong:
            if not sys.stdin.isatty():
                raise
            typer.echo(str(wrong), err=True)


def _ask(what: str, default: str | None = None) -> str:
    if not sys.stdin.isatty():
        if default is not None:
            return default
        raise typer.BadParameter(f"{what} is not given and there is nobody to ask; pass --email.")
    return str(typer.prompt(what, default=default, err=True))


def _ask_password() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, err=True))
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise typer.BadParameter("There is nobody to ask for the password; write it to stdin.")
    return password


def _ask_code() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Code of the authenticator, or a recovery code", err=True)).strip()
    code = sys.stdin.readline().strip()
    if not code:
        raise NotAllowed(
            "This account has two-factor sign-in: write the code to stdin, on the line after the password."
        )
    return code


def _token_name() -> str:
    user = os.environ.get("USER") or os.environ.get("USERNAME") or "someone"
    name = f"deployx on {user}@{socket.gethostname()}"
    return "".join(character if character.isprintable() else "?" for character in name)[:100]
