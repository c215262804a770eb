"""The files and constants that the specification names, where it names them."""

from pathlib import Path
from typing import Any

import pytest

from app import main
from app.settings import Settings
from documents.source import ROOT


@pytest.mark.parametrize("path", ["agent/main.py", "backend/app/main.py", "frontend/src/pages/Dashboard.jsx"])
def test_the_specifications_files_are_there(path: str) -> None:
    assert (ROOT / path).is_file()


def test_main_names_the_specifications_settings() -> None:
    assert main.PING_TIMEOUT == 60
    assert main.PING_INTERVAL == 25
    assert "http://localhost:5173" in main.CORS_ORIGINS


@pytest.mark.parametrize("prefix", ["/socket.io", "/ui/socket.io"])
def test_both_socketio_servers_take_ping_interval_and_timeout_from_them(prefix: str, tmp_path: Path) -> None:
    defaults = Settings(data_dir=tmp_path)
    assert (defaults.ping_timeout, defaults.ping_interval) == (main.PING_TIMEOUT, main.PING_INTERVAL)
    assert defaults.cors_origins == main.CORS_ORIGINS
    server = _engineio(main.create_app(defaults), prefix)
    assert (server.ping_timeout, server.ping_interval) == (60, 25)


def _engineio(app: Any, prefix: str) -> Any:
    return next(route.app.engineio_server for route in app.routes if getattr(route, "path", "") == prefix).eio
