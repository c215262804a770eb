"""apt and dpkg. What is there is asked of dpkg's own database, and going back is dpkg's work alone, with files.

Nothing is asked of people: no debconf, no question about a changed file of settings, which stays as it is. Whoever else
holds the locks is waited for. An agent that is killed takes dpkg with it; `mend` is what dpkg has for that.
"""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from deployx_agent.connection.background import in_thread
from deployx_agent.releases.failure import Failure, unfit
from deployx_agent.releases.managers import Plan, inherited, last_words, must
from deployx_agent.releases.programs import Programs
from deployx_agent.releases.repack import repacked
from deployx_agent.tasks.entry import clock
from deployx_agent.tasks.runner import Ending
from deployx_protocol.tasks import TaskState

LOCK_PATIENCE_S = 300
_TIMEOUT_S = 3_600.0
_MEND_TIMEOUT_S = 600.0
_LOCK_RETRY_S = 2.0
_WHEN_LOCKED = (2, 100)
"""How dpkg and apt exit when somebody else holds a lock, among other things."""
_LOCKED = re.compile(r"Could not get lock|Unable to lock|frontend lock|(is|was) locked")
_ENV = {
    "DEBIAN_FRONTEND": "noninteractive",
    "DEBCONF_NONINTERACTIVE_SEEN": "true",
    "APT_LISTCHANGES_FRONTEND": "none",
    "NEEDRESTART_MODE": "l",
    "LC_ALL": "C.UTF-8",
}
_KEEP_SETTINGS = ("--force-confdef", "--force-confold")
_APT = (
    "apt-get",
    "-y",
    *("-o", f"DPkg::Lock::Timeout={LOCK_PATIENCE_S}", "-o", "APT::Color=0", "-o", "Dpkg::Use-Pty=0"),
    *(part for option in _KEEP_SETTINGS for part in ("-o", f"Dpkg::Options::={option}")),
)
_INSTALLS = re.compile(r"^Inst (\S+) (?:\[([^\]]+)\] )?\(", re.MULTILINE)
_REMOVES = re.compile(r"^(?:Remv|Purg) (\S+) \[([^\]]+)\]", re.MULTILINE)
_URIS = re.compile(r"^'[^']*' \S+ (\d+) ", re.MULTILINE)


class Apt:
    """Of Debian and what comes of it."""

    cache = Path("/var/cache/apt/archives")

    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        self.env = {**_ENV, **inherited("APT_CONFIG")}

    # ------------------------------------------------------------ what is there

    async def version(self, name: str) -> str:
        """Of the state `installed`; one that is only unpacked, or has left its settings behind, is not there."""
        return await self._status(name, "i")

    async def _status(self, name: str, state: str = "") -> str:
        """The version that dpkg knows; of any state, or of that alone."""
        form = "-f=${db:Status-Abbrev}\t${Version}\n"
        code, said = await self._programs.asked("dpkg-query", "-W", form, name, env=self.env)
        for line in said.splitlines() if code == 0 else []:
            abbreviated, _, version = line.partition("\t")
            if abbreviated[1:2] not in ("n", "") and (not state or abbreviated[1:3].strip() == state):
                return version.strip()
        return ""

    async def candidate(self, name: str) -> str:
        """As `apt-cache policy` has it."""
        code, said = await self._programs.asked("apt-cache", "policy", "--", name, env=self.env)
        found = re.search(r"^\s*Candidate: (\S+)$", said, re.MULTILINE) if code == 0 else None
        return found[1] if found and found[1] != "(none)" else ""

    async def refresh(self) -> None:
        """`apt-get update`."""
        await self._run((*_APT, "update"), "apt-get update")

    # ------------------------------------------------------------ before

    async def plan(self, name: str, version: str) -> Plan:
        """Simulated by apt itself."""
        wanted = ("install", "--allow-downgrades", "--", f"{name}={version}") if version else ("remove", "--", name)
        code, said = await self._programs.asked("apt-get", "-s", "-y", *wanted, env=self.env)
        if code:
            raise unfit(f"apt cannot do it: {last_words(said)}.")
        installs = _INSTALLS.findall(said)
        replaced = {one: before for one, before in installs if before} | dict(_REMOVES.findall(said))
        new = tuple(one for one, before in installs if not before)
        size, download = 0, tuple[str, ...]()
        if installs:
            _, uris = await self._programs.asked("apt-get", "-qq", "-y", "--print-uris", *wanted, env=self.env)
            size, download = sum(map(int, _URIS.findall(uris))), (*_APT, "--download-only", *wanted)
        left = tuple([one for one in new if await self._status(one)])
        return Plan((*_APT, *wanted), replaced, new, left, download, size)

    async def keep(self, name: str, version: str, folder: Path) -> list[Path]:
        """Out of the repositories, apt's own cache, or put together from what is installed."""
        await self._run(("apt-get", "-q", "download", f"{name}={version}"), f"keep {name} {version}", folder)
        found = await in_thread(lambda: self._found(name, version, folder), "package")
        files = [path for path in found if await self._is(path, version)]
        if not files:
            files = [await repacked(self._programs, name, folder, self.env)]
            if not await self._is(files[0], version):
                raise unfit(f"{name} {version} is in no repository, and what is installed of it cannot be kept.")
        return files[:1]

    def _found(self, name: str, version: str, folder: Path) -> list[Path]:
        if not list(folder.glob("*.deb")):
            plain, escaped = name.partition(":")[0], version.replace(":", "%3a")
            for cached in self.cache.glob(f"{plain}_{escaped}_*.deb"):
                shutil.copyfile(cached, folder / cached.name)
        return sorted(folder.glob("*.deb"))

    async def _is(self, file: Path, version: str) -> bool:
        code, said = await self._programs.asked("dpkg-deb", "-f", str(file), "Version", env=self.env)
        return code == 0 and said.strip() == version

    # ------------------------------------------------------------ back

    async def mend(self) -> None:
        """`dpkg --configure -a`."""
        await self._patiently(("dpkg", *_KEEP_SETTINGS, "--configure", "-a"), "dpkg --configure -a", _MEND_TIMEOUT_S)

    async def back(self, files: Sequence[Path], new: Sequence[str], left: Sequence[str]) -> None:
        """First the old versions, which need nothing of the new packages; then these go."""
        if files:
            options = (*_KEEP_SETTINGS, "--force-downgrade", "--auto-deconfigure")
            argv = ("dpkg", *options, "--install", *map(str, files))
            await must(lambda: self._patiently(argv, "dpkg --install"), "dpkg --install", self._programs)
        for verb, names in (("--purge", set(new) - set(left)), ("--remove", set(left))):
            there = [name for name in sorted(names) if await self._status(name)]
            if there:
                argv = ("dpkg", "--force-remove-reinstreq", verb, *there)
                await must(lambda argv=argv: self._patiently(argv, f"dpkg {verb}"), f"dpkg {verb}", self._programs)  # type: ignore[misc]  # noqa: B023

    # ------------------------------------------------------------ programs

    async def carry_out(self, argv: Sequence[str], name: str) -> Ending:
        """Whoever holds a lock is waited for."""
        return await self._patiently(argv, name)

    async def _patiently(
        self, argv: Sequence[str], name: str, timeout_s: float = _TIMEOUT_S, folder: Path | None = None
    ) -> Ending:
        """dpkg waits for no lock, and apt for one of its three."""
        give_up = clock() + LOCK_PATIENCE_S
        while True:
            ending = await self._programs.run(argv, None, folder or Path("/"), self.env, timeout_s, name)
            locked = ending.exit_code in _WHEN_LOCKED and _LOCKED.search(self._programs.said)
            if ending.state is TaskState.SUCCEEDED or not locked or clock() > give_up:
                return ending
            await self._programs.pause(_LOCK_RETRY_S)

    async def _run(self, argv: tuple[str, ...], name: str, folder: Path | None = None) -> Ending:
        """Before anything is changed."""
        try:
            return await self._patiently(argv, name, folder=folder)
        except Failure as why:
            raise unfit(str(why)) from None
