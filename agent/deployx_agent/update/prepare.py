"""Makes a version ready, in a process of its own: asks whether it is vouched for, unpacks it, and loads it once.

`python -m deployx_agent.update.prepare` reads a JSON object (``Wanted``) from standard input and prints one
(``Prepared``). Exit code 3: it is not trusted; 4: it does not fit here; with either, the sentence is on standard error.
"""

import json
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from deployx_agent.state.durable import Unusable, usable
from deployx_agent.update import here
from deployx_protocol.updates import METADATA_MAX_BYTES

UNTRUSTED, UNFIT = 3, 4
_CHECK_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be looked at."""

    folder: str
    """Of updates, in the state folder."""
    pinned: str
    """The file with the root that this machine trusts."""
    metadata: str
    version: str
    bundle: str = ""
    """Empty: nothing is unpacked, the version is here already."""
    highest: int = 0


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the metadata say of it."""

    number: int


def prepare(wanted: Wanted) -> Prepared:
    """Raises Untrusted, Unfit, OSError."""
    from deployx_agent.update.trust import Trust, Untrusted

    folder = Path(wanted.folder)
    try:
        usable(Path(wanted.pinned))
        pinned = Path(wanted.pinned).read_bytes()
    except Unusable as why:
        raise Untrusted(f"{wanted.pinned} cannot be trusted: {why}.") from None
    except OSError as error:
        raise Untrusted(
            f"This machine trusts no keys for updates of its agent: {wanted.pinned} cannot be read ({error.strerror}). "
            "Put the root there that `deployx agent-update root` prints."
        ) from None
    trust = Trust(pinned, folder / "metadata", _files(Path(wanted.metadata)))
    if not wanted.bundle:
        return Prepared(trust.number_of(wanted.version))
    number = trust.bundle(wanted.version, Path(wanted.bundle), wanted.highest)
    try:
        _fill(folder, wanted)
    except BaseException:
        shutil.rmtree(here.site_of(folder, here.NEXT).parent, ignore_errors=True)
        raise
    return Prepared(number)


def _fill(folder: Path, wanted: Wanted) -> None:
    from deployx_agent.update.bundle import Unfit, unpack

    site = here.site_of(folder, here.NEXT)
    unpack(Path(wanted.bundle), site)
    command = here.entry(site, "check")
    try:
        done = subprocess.run(  # noqa: S603 - what was vouched for
            command, check=False, capture_output=True, text=True, timeout=_CHECK_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        raise Unfit(f"Version {wanted.version} cannot be loaded within {_CHECK_TIMEOUT_S:g} s.") from None
    said = done.stdout.strip()
    if done.returncode or said != wanted.version:
        why = (done.stderr.strip().splitlines() or [f"it says that it is {said[:40]!r}"])[-1]
        raise Unfit(f"Version {wanted.version} cannot be loaded on this machine: {why[:200]}.")


def _files(path: Path) -> dict[str, str]:
    from deployx_agent.update.trust import Untrusted

    try:
        raw = path.read_bytes()
        found = json.loads(raw) if len(raw) <= METADATA_MAX_BYTES else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise Untrusted("What came as update metadata cannot be read.")
    return found


def main() -> int:
    """The exit code."""
    from deployx_agent.update.bundle import Unfit
    from deployx_agent.update.trust import Untrusted

    try:
        sys.stdout.write(json.dumps(asdict(prepare(Wanted(**json.load(sys.stdin))))))
    except Untrusted as why:
        sys.stderr.write(f"{why}\n")
        return UNTRUSTED
    except Unfit as why:
        sys.stderr.write(f"{why}\n")
        return UNFIT
    except OSError as error:
        sys.stderr.write(f"The disk of the agent cannot be used ({error.strerror or error}).\n")
        return UNFIT
    return 0


if __name__ == "__main__":
    sys.exit(main())
