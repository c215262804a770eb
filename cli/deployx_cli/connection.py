"""How a command reaches its server."""

from typing import Annotated

import typer

from deployx_cli import store
from deployx_cli.address import check_transport
from deployx_cli.api import TIMEOUT_S, Api

InsecureHttp = Annotated[
    bool, typer.Option("--insecure-http", help="Accept plain http to another machine: anyone on the way can read it.")
]


def connected(insecure_http: bool, timeout_s: float = TIMEOUT_S) -> Api:
    """The server that the environment or the stored login names. Raises NotAllowed and WrongUsage."""
    whom = store.current()
    check_transport(whom.url, insecure_http=insecure_http)
    return Api(whom.url, token=whom.token, timeout_s=timeout_s)
