"""Has semgrep look for the rules of semgrep.yml. It asks nobody, and leaves nothing outside of the checkout."""

import os
from collections.abc import Iterable
from pathlib import Path

from bootstrap import apart
from bootstrap.places import SCRATCH
from checking import installed
from checking.steps import Step

RULES = Path(__file__).with_suffix(".yml")
LOOKED_AT = (*installed.PYTHON, installed.PAGES)
_QUIETLY = ("--quiet", "--metrics", "off", "--disable-version-check", "--no-git-ignore", "--jobs", "2")


def step(places: Iterable[str | Path] = LOOKED_AT, *more: str) -> Step:
    """The check; ``more`` are options of `semgrep scan`."""
    folder = apart.folder("semgrep")
    command = [folder / "semgrep", "scan", "--config", RULES, "--error", *_QUIETLY, *more, *places]
    env = {
        **os.environ,
        "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "SEMGREP_SETTINGS_FILE": str(SCRATCH / "semgrep" / "settings.yml"),
        "SEMGREP_LOG_FILE": str(SCRATCH / "semgrep" / "semgrep.log"),
    }
    return Step("Dangerous code, by semgrep", command, env=env)
