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
_DNF = ("dnf", "-y")
_ENV = {"LC_ALL": "C.UTF-8"}
_FORM = "%{EPOCHNUM}:%{VERSION}-%{RELEASE}\n"
_HEADING = re.compile(r"^(Installing|Upgrading|Downgrading|Reinstalling|Removing)\b.*:$")


class Dnf:
    """Of Fedora and what comes of it."""

    cache = Path("/var/cache/dnf")
    env = _ENV

    def __init__(self, programs: Programs) -> None:
        self._programs = programs

    # ------------------------------------------------------------ what is there

    async def version(self, name: str) -> str:
        """As rpm has it, with its epoch if that is not 0. An update that was broken off leaves two versions, which is
        neither; of what may be there more than once, such as kernels, it is the last."""
        code, said = await self._rpm(name, _FORM)
        there = list(dict.fromkeys(line.removeprefix("0:") for line in said.split())) if code == 0 else []
        if len(there) > 1 and not await self._may_be_many(name):
            return " ".join(there)
        return there[-1] if there else ""

    async def _rpm(self, name: str, form: str) -> tuple[int, str]:
        return await self._programs.asked("rpm", "-q", "--qf", form, "--", name, env=_ENV)

    async def _may_be_many(self, name: str) -> bool:
        code, said = await self._programs.asked("rpm", "-q", "--provides", "--", name, env=_ENV)
        return code == 0 and "installonlypkg(" in said

    async def candidate(self, name: str) -> str:
        """The newest that is enabled."""
        form = "%{epoch}:%{version}-%{release}\n"
        argv = ("dnf", "-q", "repoquery", "--latest-limit=1", "--qf", form, "--", name)
        code, said = await self._programs.asked(*argv, env=_ENV)
        return said.split()[-1].removeprefix("0:") if code == 0 and said.strip() else ""

    async def refresh(self) -> None:
        """`dnf makecache`, however young what it has is."""
        await self._run((*_DNF, "--refresh", "makecache"), "dnf makecache")

    # ------------------------------------------------------------ before

    async def plan(self, name: str, version: str) -> Plan:
        """As dnf shows it before it asks."""
        if version and "-" not in version:
            raise unfit(
                f"`{version}` is no version of a package of rpm: it ends with its release, as in {version}-1.el9."
            )
        verbs = (
            [("install", f"{name}-{version}"), ("downgrade", f"{name}-{version}")] if version else [("remove", name)]
        )
        why = ""
        for verb in verbs:  # an older version is a downgrade to some, and an install like any other to most
            _, said = await self._programs.asked("dnf", "--assumeno", *verb, env=_ENV, both=True)
            why = why or reason(said)
            new, replaced = table(said)
            if new or replaced:
                there = {one: await self.version(one) for one in replaced}
                download = (*_DNF, *verb, "--downloadonly") if version else ()
                return Plan((*_DNF, *verb), {one: at for one, at in there.items() if at}, tuple(new), (), download)
        raise unfit(f"dnf cannot do it: {why}.")

    async def keep(self, name: str, version: str, folder: Path) -> list[Path]:
        """Out of the repositories, for the architecture that is there."""
        _, arch = await self._rpm(name, "%{ARCH}\n")
        exact = f"{name}-{version}.{arch.split()[-1]}" if arch.strip() else f"{name}-{version}"
        await self._run((*_DNF, "download", "--destdir", str(folder), exact), f"keep {name} {version}")
        files = await in_thread(lambda: sorted(folder.glob("*.rpm")), "package")
        if not files:
            raise unfit(
                f"{name} {version}, which is installed, could not be brought back: `dnf download` did not find it "
                f"({last_words(self._programs.said)})."
            )
        return files

    # ------------------------------------------------------------ back

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
        """dnf waits by itself for whoever holds its locks."""
        return await self._run(argv, name)

    async def _run(self, argv: Sequence[str], name: str) -> Ending:
        return await self._programs.run(argv, None, Path("/"), _ENV, _TIMEOUT_S, name)


def table(said: str) -> tuple[list[str], list[str]]:
    """What dnf's table says would be new, each as `NAME-VERSION.ARCH`, and what would be another version or gone, by
    name. A row that is too wide goes on in the next line, which is indented."""
    new: list[str] = []
    replaced: list[str] = []
    rows: list[tuple[str, list[str]]] = []
    heading = ""
    for line in said.splitlines():
        words = line.split()
        if line.startswith("Transaction Summary"):
            break
        if line[:1].strip():
            found = _HEADING.match(line)
            heading = found[1] if found else ""
        elif heading and words[:1] == ["replacing"]:  # of what takes over from another: `replacing NAME.ARCH VERSION`
            rows.append(("Removing", [words[1].rpartition(".")[0] if len(words) == 3 else words[1]]))
        elif heading and words and line[1:2].strip():
            rows.append((heading, words))
        elif heading and words:
            rows[-1][1].extend(words)
    for heading, words in rows:
        if heading != "Installing":
            replaced.append(words[0])
        elif len(words) >= 3:
            new.append(f"{words[0]}-{words[2].rpartition(':')[2]}.{words[1]}")
    return new, list(dict.fromkeys(replaced))


def reason(said: str) -> str:
    """Why dnf refuses, in one line, without its advice on how to make it do so all the same."""
    _, _, after = said.rpartition("Error:")
    lines = [line.strip() for line in after.splitlines()]
    return " ".join(line for line in lines if line and not line.startswith("(try ")).rstrip(".") or last_words(said)
