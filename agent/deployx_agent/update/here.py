"""Which version of the agent this process is, and how programs of the same version are started.

One version was installed by hand: the *base*. Others lie in slots in the state folder. All run on the base's Python. A
slot brings all that it needs along: nothing of the base's packages is seen from there. Which one this is follows from
where its code lies, so nobody has to be told.
"""

import sys
from enum import Enum, auto
from pathlib import Path
from typing import Final

BASE: Final = "base"
SLOTS: Final = ("a", "b")
NEXT: Final = "next"
"""Where a version is made ready, before it takes the place of another in its slot."""
FOLDER: Final = "update"
"""In the state folder."""
_SITE = "site"
_AT = "import sys;sys.path.insert(0,sys.argv.pop(1));{do}"
_MODULE = "import runpy;runpy.run_module(sys.argv.pop(1),run_name='__main__',alter_sys=True)"
_ENTRY = "from deployx_agent.update import entry;sys.exit(entry.{function}())"


class Start(Enum):
    """How a running agent was started."""

    ELSEWHERE = auto()  # by none of these: nothing can be started after it
    BY_HAND = auto()  # by a person or a service: the launcher decides which version runs
    ALONE = auto()  # by the launcher, which this process was before
    WATCHED = auto()  # by the watchdog, which starts what follows


def site_of(folder: Path, slot: str) -> Path:
    """Where the code of ``slot`` lies, below the update folder ``folder``."""
    return folder / "slots" / slot / _SITE


def own_site() -> Path:
    """Where the code of this process lies."""
    return Path(__file__).parents[2]


def own_slot() -> str:
    """The slot of this process; the base if it is in none."""
    site = own_site()
    slot = site.parent
    return slot.name if site.name == _SITE and slot.name in SLOTS and slot.parent.name == "slots" else BASE


def module(name: str, *arguments: str, isolated: bool = True) -> list[str]:
    """A module of this version, as a program. ``isolated``: it does not see the environment either."""
    return module_at(None if own_slot() == BASE else own_site(), name, *arguments, isolated=isolated)


def module_at(site: Path | None, name: str, *arguments: str, isolated: bool = False) -> list[str]:
    """A module of the version whose code lies at ``site``; None: of the base."""
    if site is None:
        return [sys.executable, *(["-I"] if isolated else []), "-m", name, *arguments]
    return [sys.executable, "-I", "-S", "-c", _AT.format(do=_MODULE), str(site), name, *arguments]


def entry(site: Path | None, function: str, *arguments: str) -> list[str]:
    """``function`` of ``entry.py`` of the version whose code lies at ``site``; None: of the base."""
    do = _ENTRY.format(function=function)
    if site is None:
        return [sys.executable, "-c", f"import sys;{do}", *arguments]
    return [sys.executable, "-I", "-S", "-c", _AT.format(do=do), str(site), *arguments]
