"""`make wheels`: what other machines need, one folder for each kind: `dist/agent/` and `dist/server/`.

Each holds wheels of ours and the hashed lock of everything else; the agent's also the script that installs it.
"""

import shutil
import sys
from pathlib import Path

from bootstrap.console import SetupError, complain, say, step
from bootstrap.index import uv_environment
from bootstrap.places import BIN, PYTHON, REQUIREMENTS, ROOT, relative
from bootstrap.process import run

DIST = ROOT / "dist"
AGENT_FILES = (REQUIREMENTS / "agent.txt", ROOT / "deploy" / "install.sh")
SERVER_FILES = (REQUIREMENTS / "run.txt", ROOT / "deploy" / "server.env", *sorted((ROOT / "deploy").glob("*.service")))
KINDS = {"agent": (("protocol", "agent"), AGENT_FILES), "server": (("protocol", "backend", "cli"), SERVER_FILES)}


def make(dist: Path) -> None:
    """Fill ``dist`` anew. Raises SetupError."""
    for kind, (packages, files) in KINDS.items():
        folder = dist / kind
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with step(f"Making the wheels in {relative(folder)}"):
            for name in packages:
                options = ("--wheel", "--no-build-isolation", "--python", PYTHON, "--out-dir", folder)
                run([BIN / "uv", "build", *options, ROOT / name], f"make the wheel of {name}", env=uv_environment())
        for file in files:
            shutil.copy2(file, folder)
        (folder / ".gitignore").unlink(missing_ok=True)  # uv's


def main() -> int:
    """The exit code."""
    try:
        make(DIST)
    except SetupError as error:
        complain(f"{error}\n{error.output}".strip())
        return 1
    say("Copy dist/agent to a machine that is to have an agent, and run there as root: sh agent/install.sh")
    return 0


if __name__ == "__main__":
    sys.exit(main())
