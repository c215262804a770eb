"""Where the browser of the tests is, and how it has to be started."""

import os
import shutil

LAUNCH_ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


class ChromiumMissing(RuntimeError):
    """There is no Chromium on this machine."""


def executable() -> str:
    """The path for Playwright's `executable_path`; `DEPLOYX_TEST_CHROMIUM` overrides it. Raises ChromiumMissing."""
    path = os.environ.get("DEPLOYX_TEST_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        raise ChromiumMissing("The tests need a browser: install the package `chromium`.")
    return path
