"""dnf and rpm. What is there is asked of rpm's own database, and going back is rpm's work alone, with files.

`dnf download` comes with dnf-plugins-core; a machine without it is told so before anything is changed.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from deployx_agent.connection.background import in_thread
from deployx_agent.releases.failure import unfit
from deployx_agent.releases.managers import Plan, last_words, must
from deployx_agent.releases.programs import Programs
from deployx_agent.tasks.runner import Ending

_TIMEOUT_S = 3_600.0
_DNF = ("dnf", "-y", "--color=never", "--setopt=exit_on_lock=False")
_ENV = {"LC_ALL": "C.UTF-8", "COLUMNS": "500"}
_FORM = "%{EPOCHNUM}:%{VERSION}-%{RELEASE}\n"
_HEADING = re.compile(r"^(Installing|Upgrading|Downgrading|Reinstalling|Removing)\b.*:$")
_ROW = re.compile(r"^ (\S+) +(\S+) +(\S+) +(\S+) ")


class Dnf:
    """Of Fedora and what comes of it."""

    cache = Path("/var/cache/dnf")
    env = _ENV

    def __init__(self, programs: Programs) -> None:
        self._programs = programs

    async def version(self, name: str) -> str:
        """As rpm has it, with its epoch if that is not 0."""
        code, said = await self._programs.asked("rpm", "-q", "--qf", _FORM, "--", name, env=_ENV)
        return said.splitlines()[-1].strip().removeprefix("0:") if code == 0 and said.strip() else ""

    async def candidate(self, name: str) -> str:
        """The newest that is enabled."""
        form = "%{epoch}:%{version}-%{release}"
        argv = ("dnf", "-q", "repoquery", "--latest-limit=1", "--qf", form, "--", name)
        code, said = await self._programs.asked(*argv, env=_ENV)
        return said.splitlines()[-1].strip().removeprefix("0:") if code == 0 and said.strip() else ""

    async def refresh(self) -> None:
        """`dnf makecache`."""
        await self._run((*_DNF, "makecache"), "dnf makecache")

    async def plan(self, name: str, version: str) -> Plan:
        """As dnf shows it before it asks."""
        verb = ("remove", name) if not version else ("install", f"{name}-{version}")
        there = await self.version(name)
        if version and there and await self._is_newer(there, version):
            verb = ("downgrade", f"{name}-{version}")
        _, said = await self._programs.asked("dnf", "--assumeno", "--color=never", *verb, env=_ENV, both=True)
        new, replaced = table(said)
        if not new and not replaced:
            raise unfit(f"dnf cannot do it: {last_words(said)}.")
        there_now = {one: await self.version(one) for one in replaced}
        download = (*_DNF, *verb, "--downloadonly") if version else ()
        return Plan((*_DNF, *verb), {one: at for one, at in there_now.items() if at}, tuple(new), (), download)

    async def _is_newer(self, one: str, other: str) -> bool:
        code, said = await self._programs.asked("rpm", "--eval", f'%{{lua:print(rpm.vercmp("{one}", "{other}"))}}')
        return code == 0 and said.strip() == "1"

    async def keep(self, name: str, version: str, folder: Path) -> list[Path]:
        """Out of the repositories."""
        argv = (*_DNF, "download", "--destdir", str(folder), f"{name}-{version}")
        await self._run(argv, f"keep {name} {version}")
        files = await in_thread(lambda: sorted(folder.glob("*.rpm")), "package")
        if not files:
            raise unfit(
                f"{name} {version}, which is installed, could not be brought back: `dnf download` did not find it "
                f"({last_words(self._programs.said)})."
            )
        return files

    async def mend(self) -> None:
        """rpm keeps its database whole by itself."""

    async def back(self, files: Sequence[Path], new: Sequence[str], left: Sequence[str]) -> None:
        """First the old versions, then what was not there goes."""
        if files:
            argv = ("rpm", "-U", "--oldpackage", "--replacepkgs", *map(str, files))
            await must(lambda: self._run(argv, "rpm -U"), "rpm -U", self._programs)
        there = [name for name in new if await self.version(name)]
        if there:
            await must(lambda: self._run(("rpm", "-e", *there), "rpm -e"), "rpm -e", self._programs)

    async def carry_out(self, argv: Sequence[str], name: str) -> Ending:
        """dnf waits by itself."""
        return await self._run(argv, name)

    async def _run(self, argv: Sequence[str], name: str) -> Ending:
        return await self._programs.run(argv, None, Path("/"), _ENV, _TIMEOUT_S, name)


def table(said: str) -> tuple[list[str], list[str]]:
    """What dnf's table says would be new, and what would be another version or gone."""
    new: list[str] = []
    replaced: list[str] = []
    heading = ""
    for line in said.splitlines():
        if found := _HEADING.match(line):
            heading = found[1]
        elif line.startswith("Transaction Summary"):
            break
        elif heading and (row := _ROW.match(line)):
            (new if heading == "Installing" else replaced).append(row[1])
    return new, replaced
