"""The Python packages: everything from hashed locks, our own four from the checkout.

uv installs them in a fraction of pip's time.
"""

from collections.abc import Mapping
from pathlib import Path

from bootstrap import uv
from bootstrap.console import step
from bootstrap.index import uv_environment
from bootstrap.places import BIN, OWN_PACKAGES, PYTHON, REQUIREMENTS, ROOT
from bootstrap.process import run
from bootstrap.stamps import Stamps, digest
from bootstrap.venv import STAMPS

_COMMANDS = ("deployx-server", "deployx-agent", "deployx")


def ensure(*, development: bool) -> None:
    """Leave `.venv` with exactly what the lock says, and our commands.

    `dev.txt` holds all of `run.txt`, so an environment for tests also serves to run; it is not cut back.
    """
    stamps = Stamps(STAMPS)
    dev_state, run_state, own_state = _state("dev.txt"), _state("run.txt"), digest(_manifests())
    current = stamps.matches("dev.txt", dev_state)
    if not current and not development:
        current = stamps.matches("run.txt", run_state)
    if current and stamps.matches("own", own_state) and all((BIN / name).exists() for name in _COMMANDS):
        return
    lock = "dev.txt" if development or stamps.matches("dev.txt", dev_state) else "run.txt"
    with step(f"Installing the Python packages of requirements/{lock}"):
        for name in ("dev.txt", "run.txt", "own"):
            stamps.drop(name)
        uv.ensure(locked=True)
        env = uv_environment()
        _uv(["sync", "--require-hashes", REQUIREMENTS / lock], f"fetch the packages of requirements/{lock}", env)
        own = [argument for name in OWN_PACKAGES for argument in ("-e", str(ROOT / name))]
        _uv(["install", "--no-deps", "--no-build-isolation", *own], "install DeployX's own packages", env)
        stamps.put(lock, dev_state if lock == "dev.txt" else run_state)
        stamps.put("own", own_state)


def _uv(arguments: list[str | Path], what: str, env: Mapping[str, str]) -> None:
    command = [uv.PROGRAM, "pip", arguments[0], "--python", PYTHON, "--quiet", *arguments[1:]]
    run(command, what, env=env, cwd=ROOT)


def _state(lock: str) -> str:
    return digest([REQUIREMENTS / lock, REQUIREMENTS / "uv.txt"])


def _manifests() -> list[Path]:
    return [ROOT / name / "pyproject.toml" for name in OWN_PACKAGES]
