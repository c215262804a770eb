"""Where the browser of the tests is, and how it has to be started.

The shell without a window is the same engine and the same pages, with none of the parts of a browser that only a window
shows: it costs a fifth less.
"""

import os
import shutil

LAUNCH_ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--process-per-site")
"""One process for all pages of a screen: to start one for each costs as much as what the page does."""
_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


class ChromiumMissing(RuntimeError):
    """There is no Chromium on this machine."""


def executable() -> str:
    """The path for Playwright's `executable_path`; `DEPLOYX_TEST_CHROMIUM` overrides it. Raises ChromiumMissing."""
    path = os.environ.get("DEPLOYX_TEST_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        raise ChromiumMissing("The tests need a browser: install the package `chromium`.")
    return path
