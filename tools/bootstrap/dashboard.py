"""The built dashboard, `frontend/dist`: built again only when its sources or its lock changed."""

import os
import shutil
from pathlib import Path

from bootstrap import node
from bootstrap.console import step
from bootstrap.places import FRONTEND, SCRATCH
from bootstrap.process import run
from bootstrap.stamps import Stamps, digest

_STAMPS = SCRATCH / "dashboard.json"
_MODULES = FRONTEND / "node_modules"
_DIST = FRONTEND / "dist"
_RESULTS = frozenset({"node_modules", "dist", "coverage", "test-results"})


def ensure(*, modules: bool) -> None:
    """Leave `frontend/dist`; with `modules`, also the `node_modules` that lint, types and tests need."""
    stamps = Stamps(_STAMPS)
    lock, sources = digest([FRONTEND / "package-lock.json", FRONTEND / "package.json"]), digest(_sources())
    built = stamps.matches("dist", sources) and (_DIST / "index.html").is_file()
    if built and not modules:
        return
    installed = Stamps(_MODULES / ".deployx-setup.json")
    env = None
    if not installed.matches("lock", lock):
        env = node.environment()
        with step("Installing the dashboard's packages"):
            command = [node.npm(env), "ci", "--include=dev", "--no-progress", "--loglevel=error"]
            run(command, "fetch the dashboard's packages (frontend/package-lock.json)", env=env, cwd=FRONTEND)
            Stamps(_MODULES / ".deployx-setup.json").put("lock", lock)
    if not built:
        env = env or node.environment()
        with step("Building the dashboard"):
            stamps.drop("dist")
            shutil.rmtree(_DIST, ignore_errors=True)
            run([node.npm(env), "run", "build"], "build the dashboard", env=env, cwd=FRONTEND)
            stamps.put("dist", sources)


def _sources() -> list[Path]:
    found = []
    for folder, folders, files in os.walk(FRONTEND):
        folders[:] = [name for name in folders if name not in _RESULTS and not name.startswith(".")]
        found += [Path(folder, name) for name in files]
    return found
