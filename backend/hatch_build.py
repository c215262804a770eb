"""What the server's wheel carries besides its code: the built dashboard and the migrations.

Invariant: a wheel without the dashboard is never made by accident. In a checkout both lie outside ``app``, where the
server looks for them; in an sdist the dashboard lies where the wheel wants it.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_STATIC = "app/web/static"
_MIGRATIONS = "migrations"


class ServerFiles(BuildHookInterface[Any]):
    """Adds the files to wheel and sdist."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before each build; an editable install takes everything from the checkout."""
        if version == "editable":
            return
        root = Path(self.root)
        built = root.parent / "frontend" / "dist"
        if (built / "index.html").is_file():
            build_data["force_include"][str(built)] = _STATIC
        elif not (root / _STATIC / "index.html").is_file():
            raise RuntimeError("The dashboard is not built: run `make setup` in the checkout first.")
        if self.target_name == "wheel":
            build_data["force_include"][str(root / _MIGRATIONS)] = f"app/{_MIGRATIONS}"
