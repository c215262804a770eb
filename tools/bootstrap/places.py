"""Where the set-up puts things."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
SCRATCH = ROOT / ".setup"
FRONTEND = ROOT / "frontend"
REQUIREMENTS = ROOT / "requirements"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")

OWN_PACKAGES = ("protocol", "agent", "backend", "cli")


def relative(path: Path) -> str:
    """`path` as people read it: from the root of the checkout if it is inside."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
