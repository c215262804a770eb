"""Bundles of versions of the agent that do not exist: this checkout's, under another version, changed as a test wants.

Third-party wheels are packed again from what is installed here: no test fetches anything.
"""

import hashlib
import re
import zipfile
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]
THIRD_PARTY = ("msgspec", "pynacl", "cffi", "pycparser", "tuf", "securesystemslib", "urllib3")
Change = Callable[[str, str], str]
"""Path within the package and its text → the text that the version has."""


def make_folder(
    into: Path, version: str, change: Change | None = None, *, wheels: Mapping[str, Path] | None = None
) -> Path:
    """``into``, as `make wheels` makes it and `pip download` fills it; ``wheels``: those of ``third_party``."""
    (into / "packages").mkdir(parents=True)
    _own(into / f"deployx_agent-{version}-py3-none-any.whl", ROOT / "agent", "deployx_agent", version, change)
    _own(into / f"deployx_protocol-{version}-py3-none-any.whl", ROOT / "protocol", "deployx_protocol", version, None)
    lock = []
    for name, path in (wheels or {}).items():
        (into / "packages" / path.name).hardlink_to(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        lock.append(f"{name}=={path.name.split('-')[1]} \\\n    --hash=sha256:{digest}\n")
    (into / "agent.txt").write_text("".join(lock))
    return into


def third_party(into: Path) -> dict[str, Path]:
    """A wheel of each package that the agent needs, from what is installed."""
    into.mkdir(parents=True)
    return {name: _repacked(into, name) for name in THIRD_PARTY}


def _own(path: Path, root: Path, package: str, version: str, change: Change | None) -> None:
    with zipfile.ZipFile(path, "w") as wheel:
        for file in sorted((root / package).rglob("*")):
            if not file.is_file() or "__pycache__" in file.parts:
                continue
            name = str(file.relative_to(root))
            text = file.read_text(encoding="utf-8")
            if name == "deployx_agent/__init__.py":
                text = re.sub(r'VERSION = "[^"]*"', f'VERSION = "{version}"', text)
            wheel.writestr(name, change(name, text) if change else text)


def _repacked(into: Path, name: str) -> Path:
    found = metadata.distribution(name)
    tags = re.findall(r"^Tag: (\S+)$", found.read_text("WHEEL") or "", re.MULTILINE)
    pythons, abis, platforms = (sorted({tag.split("-")[part] for tag in tags}) for part in range(3))
    tag = "-".join(".".join(one) for one in (pythons, abis, platforms))
    path = into / f"{name}-{found.version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file in found.files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                wheel.write(str(file.locate()), str(file))
    return path
