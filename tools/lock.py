"""`make lock`: resolve every dependency again, for all platforms and Pythons, and write the locks.

Invariant: a lock holds names, versions and hashes only. Where packages come from is each machine's own business, so no
lock names a registry; this fails rather than write one that does. A lock that cannot be made leaves all as they were.
"""

import re
import sys
import tempfile
from pathlib import Path

from bootstrap import node
from bootstrap.console import SetupError, complain, step
from bootstrap.index import uv_environment
from bootstrap.places import BIN, FRONTEND, OWN_PACKAGES, REQUIREMENTS, ROOT, relative
from bootstrap.process import run

_OWN = tuple(f"{name}/pyproject.toml" for name in OWN_PACKAGES)
_LOCKS = {
    "run.txt": (*_OWN, "requirements/build.in"),
    "dev.txt": (*_OWN, "requirements/dev.in"),
    "agent.txt": ("protocol/pyproject.toml", "agent/pyproject.toml"),
    "node.txt": ("requirements/node.in",),
    "semgrep.txt": ("requirements/semgrep.in",),
    "uv.txt": ("requirements/uv.in",),
    "virtualenv.txt": ("requirements/virtualenv.in",),
}
_OLDEST_PYTHON = "3.11"
_ADDRESS = re.compile(r"https?://|\bfile:|--(?:extra-)?index-url|--find-links")
_NPM_ADDRESS = re.compile(r'"resolved":|registry\.')


def main() -> int:
    """Write all locks; the exit code."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            made = [_python_lock(name, inputs, Path(folder)) for name, inputs in _LOCKS.items()]
            for lock in made:
                (REQUIREMENTS / lock.name).write_bytes(lock.read_bytes())
        _npm_lock()
    except SetupError as error:
        complain(f"{error.output}\n{error}".strip())
        return 1
    except KeyboardInterrupt:
        complain("Stopped.")
        return 130
    return 0


def _python_lock(name: str, inputs: tuple[str, ...], folder: Path) -> Path:
    lock = folder / name
    command: list[str | Path] = [
        BIN / "uv",
        "pip",
        "compile",
        "--universal",
        "--generate-hashes",
        "--no-header",
        "--no-annotate",
    ]
    command += ["--quiet", "--upgrade", "--python-version", _OLDEST_PYTHON, "--output-file", lock]
    command += [f"--no-emit-package={package}" for package in ("deployx-protocol", "deployx-agent", "deployx-server")]
    with step(f"Resolving requirements/{name}"):
        run([*command, *inputs], f"resolve requirements/{name}", env=_index_alone(uv_environment()), cwd=ROOT)
    _refuse(_ADDRESS, lock, f"requirements/{name}")
    return lock


def _index_alone(env: dict[str, str]) -> dict[str, str]:
    """Without this machine's own folders: they know the hashes of some files, where a lock needs all of a release."""
    indexes = [index for index in env.get("UV_INDEX", "").split() if not index.startswith(("file:", "/"))]
    kept = {name: value for name, value in env.items() if name not in ("UV_FIND_LINKS", "UV_NO_INDEX", "UV_INDEX")}
    return kept | ({"UV_INDEX": " ".join(indexes)} if indexes else {})


def _npm_lock() -> None:
    env = node.environment()
    with step("Resolving frontend/package-lock.json"):
        command = [node.npm(env), "install", "--package-lock-only", "--no-progress", "--loglevel=error"]
        run(command, "resolve frontend/package-lock.json", env=env, cwd=FRONTEND)
    _refuse(_NPM_ADDRESS, FRONTEND / "package-lock.json", relative(FRONTEND / "package-lock.json"))


def _refuse(pattern: re.Pattern[str], lock: Path, name: str) -> None:
    for number, line in enumerate(lock.read_text().splitlines(), 1):
        if pattern.search(line):
            raise SetupError(f"Line {number} of {name} names where a package comes from: {line.strip()}")


if __name__ == "__main__":
    sys.exit(main())
