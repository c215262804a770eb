"""uv, which fetches all other packages. It comes from its own hashed lock by pip, into `.venv`."""

import os
import threading

from bootstrap.places import BIN, PYTHON, REQUIREMENTS
from bootstrap.process import run

PROGRAM = BIN / ("uv.exe" if os.name == "nt" else "uv")
_TURN = threading.Lock()


def ensure(*, locked: bool = False) -> None:
    """Leave a uv; with `locked`, the one that the lock says. Two parts of the set-up that need it take turns."""
    with _TURN:
        if PROGRAM.exists() and not locked:
            return
        env = {**os.environ, "PIP_USER": "0", "PIP_RETRIES": "2", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        env.pop("PIP_TARGET", None)
        run(
            [PYTHON, "-m", "pip", "install", "-q", "--no-deps", "--require-hashes", "-r", REQUIREMENTS / "uv.txt"],
            "fetch uv, which installs the other packages",
            env=env,
        )
