"""The fixtures that every test folder may use beside the databases; the root `conftest.py` loads them."""

import pytest

from tests.support import chromium


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The browser for Playwright's `executable_path`."""
    return chromium.executable()
