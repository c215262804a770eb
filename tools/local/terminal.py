"""What `make run` and `make dev` show: how to get in, and what went wrong."""

import contextlib
import sys

from bootstrap.places import ROOT, relative
from local.environment import Local
from local.service import Ended


def say(text: str) -> None:
    """Print at once. A terminal that has gone away is no reason to leave the work undone."""
    with contextlib.suppress(OSError, ValueError):
        print(text, flush=True)


def welcome(local: Local, url: str, *, made_admin: bool, machine: str, trust: str) -> str:
    """The block of lines that says where DeployX is and how to sign in."""
    rows = [("Sign in as", local.admin_email)]
    if made_admin and local.made_password:
        rows.append(("Password", f"{local.made_password}   (shown this once)"))
    elif made_admin:
        rows.append(("Password", "what DEPLOYX_ADMIN_PASSWORD says"))
    else:
        rows.append(("Password", "as before; for another one run"))
        rows.append(("", _reset(local)))
    online = f"{machine} is online" + (" and trusted" if trust == "trusted" else f", but {trust}: see Needs attention")
    rows.append(("This machine", online))
    rows.append(("Logs", ", ".join(relative(local.data_dir / name) for name in ("server.log", "agent.log"))))
    body = "\n".join(f"  {label:<14}{value}" for label, value in rows)
    return f"\nDeployX is running at {url}\n\n{body}\n\nCtrl-C ends it."


def keep_password(local: Local) -> None:
    """Show a password that was made, should there be no welcome: nothing else knows it."""
    if local.made_password:
        say(f"The password of {local.admin_email} is {local.made_password} (shown this once).")


def _reset(local: Local) -> str:
    command = f".venv/bin/deployx-server reset-password {local.admin_email} --generate"
    return command if local.data_dir == ROOT / ".deployx" else f"DEPLOYX_DATA_DIR={local.data_dir} {command}"


def explain(error: Ended) -> None:
    """Say why it is over."""
    with contextlib.suppress(OSError, ValueError):
        print(str(error), file=sys.stderr, flush=True)
        if error.output:
            print("\n".join(f"    {line}" for line in error.output.splitlines()), file=sys.stderr, flush=True)
