"""What the tests need from the operating system: PostgreSQL, a Chromium, openssl, which makes their certificates, and
strace, which shows what is on the disk when.

Invariant: a test is never skipped because one of them is missing. Root on Debian gets them by apt; anyone else gets a
sentence that names the packages.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from bootstrap.console import SetupError, step
from bootstrap.process import run

_LIGHTER = {"chromium": "chromium-headless-shell"}
"""A package that does as well and costs less, where the distribution has it."""
_BROWSERS = (*_LIGHTER.values(), "chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def ensure() -> None:
    """Leave all installed, or raise SetupError with the packages' names."""
    _install(_missing, "The tests need")


def ensure_programs(programs: Mapping[str, Callable[[], Path | None]], who: str) -> None:
    """Leave these packages installed, each of which has the program that is looked for, or raise SetupError."""
    _install(lambda: [package for package, find in programs.items() if not find()], who)


def postgres() -> Path | None:
    """PostgreSQL's `initdb`, of the newest version; the other programs are beside it."""
    found = shutil.which("initdb")
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return Path(found).resolve() if found else candidates[-1] if candidates else None


def nginx() -> Path | None:
    """nginx, which is not on everybody's path."""
    found = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/bin")
    return Path(found) if found else None


def _install(look: Callable[[], list[str]], who: str) -> None:
    missing = look()
    if not missing:
        return
    if not (os.name == "posix" and os.geteuid() == 0 and shutil.which("apt-get")):
        raise SetupError(
            f"{who} {' and '.join(missing)}, and only root can install them. "
            f"On Debian or Ubuntu: sudo apt-get install {' '.join(missing)}"
        )
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # Our tests start a cluster of their own; the package must neither make one nor start it.
    with step(f"Installing {' and '.join(missing)} by apt"):
        run(["apt-get", "update", "-q"], "read the lists of apt", env=env)
        missing = [_LIGHTER[name] if name in _LIGHTER and _known(_LIGHTER[name]) else name for name in missing]
        command = ["apt-get", "install", "-q", "-y", "--no-install-recommends", *missing]
        run(command, f"fetch {' and '.join(missing)} by apt", env=env)
    still = look()
    if still:
        raise SetupError(f"apt installed {' and '.join(still)}, but the programs are not where they should be.")


def _known(package: str) -> bool:
    command = [shutil.which("apt-cache") or "apt-cache", "show", "--quiet", package]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _missing() -> list[str]:
    missing = []
    if not postgres():
        missing.append("postgresql")
    if not (os.environ.get("DEPLOYX_TEST_CHROMIUM") or any(map(shutil.which, _BROWSERS))):
        missing.append("chromium")
    if not shutil.which("openssl"):
        missing.append("openssl")
    if not shutil.which("strace"):
        missing.append("strace")
    return missing
