"""From `deployx.yaml` to a manifest: `docs/releases.md` is its reference.

Invariants: everything that is wrong is said at once, each with its place; files are named from the folder of the
manifest and lie in it; what comes out has passed every check that the server and the devices make, but for what only
the server knows (numbers, the previous release).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from deployx_cli import release_archives, release_fields, release_yaml
from deployx_cli.release_artifacts import LocalFile, located
from deployx_cli.release_building import Building
from deployx_cli.release_fields import Fields
from deployx_cli.release_yaml import Fault, Faults, Node
from deployx_protocol.checks import InvalidPayload
from deployx_protocol.release_sense import imprudent
from deployx_protocol.releases import Archive, File, Health, Kind, Manifest, Package, Reboot, Step

TOP = (
    *("name", "version", "number", "kind", "platforms", "description", "artifacts", "archive", "file", "package"),
    *("install", "detect", "health", "uninstall", "previous", "confirm", "reboot", "timeout"),
)
WRITTEN = tuple(kind for kind in Kind if kind is not Kind.AGENT)
"""The kinds that a manifest is written for by hand."""
STEP = ("command", "shell", "artifact", "script", "interpreter", "args", "env", "timeout")
_Word = TypeVar("_Word", Kind, Reboot)
_STEP_TIMEOUT_S = 600.0
_TOTAL_TIMEOUT_S = 3_600.0
_WITHIN_S = 60.0
AUTO, NONE = "auto", "none"


@dataclass(frozen=True, slots=True)
class Draft:
    """A release that is complete but for what only the server knows."""

    manifest: Manifest
    """With number 1 if the file names none, and without a previous release."""
    number: int | None
    previous: str
    """A version; `auto`: the newest one; `none`."""
    files: dict[str, LocalFile]
    """Artifact → the file it is."""


def compiled(path: Path) -> Draft:
    """The release that the file at ``path`` describes. Raises Faults, and OSError if it cannot be read."""
    with path.open("rb") as file:
        raw = file.read(release_yaml.SIZE_MAX_BYTES + 1)
    return _Compiler(path.parent.resolve()).compile(release_yaml.read(raw))


class _Compiler(Building):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._step_timeout_s = _STEP_TIMEOUT_S

    def compile(self, root: Node) -> Draft:
        top = Fields(root, "A release", TOP, self.faults)
        top.need("name", "version", "platforms")
        total_s = top.get("timeout", release_fields.span)
        self._step_timeout_s = min(_STEP_TIMEOUT_S, (total_s or _TOTAL_TIMEOUT_S) / 4)
        self._artifacts(top)
        kind = top.get("kind", _kind) or _implied(top)
        archive, place = self._archive(top), self._file(top)
        values: dict[str, Any] = {
            "name": top.get("name", release_fields.text) or "-",
            "version": top.get("version", release_fields.text) or "-",
            "number": 1,
            "kind": kind,
            "platforms": top.get("platforms", _platforms) or ["-"],
            "archive": archive,
            "file": place,
            "package": self._package(top),
            "health": self._health(top),
            "confirm_s": top.get("confirm", release_fields.span),
            "timeout_s": total_s or _TOTAL_TIMEOUT_S,
            "reboot": top.get("reboot", _one_of(tuple(Reboot))) or Reboot.NEVER,
            "description": top.get("description", release_fields.paragraph) or "",
            **{name: self._step(top.nested(name), f"`{name}`") for name in ("install", "detect", "uninstall")},
        }
        number = top.get("number", release_fields.whole)
        if number == 0:
            self.faults.append(Fault(top.at("number").place, "`number` begins at 1."))
        previous = top.get("previous", _previous(values["name"])) or (AUTO if kind is Kind.SCRIPT else NONE)
        self._stop_if_faulty()
        self._hash(values)
        self._stop_if_faulty()
        manifest = self.built(Manifest, values, top)
        self._stop_if_faulty()
        if manifest is None:
            raise AssertionError
        if wrong := imprudent(manifest):
            raise Faults([self.fault(wrong, top)])
        if manifest.archive:
            self._look_into(manifest.archive)
        return Draft(manifest, number, previous, self.files)

    def _stop_if_faulty(self) -> None:
        if self.faults:
            raise Faults(self.faults)

    def _hash(self, values: dict[str, Any]) -> None:
        found = []
        for name, file in self.files.items():
            try:
                found.append({"name": name, "sha256": file.sha256, "size": file.size})
            except OSError as error:
                self.faults.append(Fault(file.place, f"{file.shown} cannot be read: {error.strerror}."))
        values["artifacts"] = found

    def _look_into(self, archive: Archive) -> None:
        file = self.files[archive.artifact]
        try:
            release_archives.check(file.path, archive.strip, archive.unpacked_max_bytes)
        except InvalidPayload as error:
            raise Faults([Fault(self.places["archive.artifact"].place, f"{file.shown}: {error}")]) from None

    # ------------------------------------------------------------ parts

    def _artifacts(self, top: Fields) -> None:
        node = top.nested("artifacts")
        if node is None:
            return
        if node.items is None:
            self.faults.append(Fault(node.place, f"`artifacts` has to be a list of files, and is {node.kind}."))
            return
        for item in node.items:
            if item.text is not None:
                self._add(item, item, None)
                continue
            said = Fields(item, "An artifact", ("file", "name"), self.faults)
            said.need("file")
            if "file" in said:
                name = said.nested("name")
                self._add(said.at("file"), name or said.at("file"), said.get("name", release_fields.text))

    def _add(self, node: Node, named: Node, name: str | None) -> str | None:
        """Bring a file along; what it is called."""
        try:
            file = located(self._folder, release_fields.text(node), node.place)
            name = name or file.path.name
            if name in self.files and self.files[name].path != file.path:
                raise Fault(named.place, f"There are two artifacts named {name[:80]!r}; give one another `name`.")
        except Fault as fault:
            self.faults.append(fault)
            return None
        self.files.setdefault(name, file)
        self.places.setdefault(f"artifacts.{name}", named)
        return name

    def _step(self, node: Node | None, what: str, most_s: float = _STEP_TIMEOUT_S) -> Step | None:
        if node is None:
            return None
        if node.pairs is None:
            sentence = f"{what} has to say `command:`, `shell:`, `script:` or `artifact:`, and is {node.kind}."
            self.faults.append(Fault(node.place, sentence))
            return None
        said = Fields(node, what, STEP, self.faults)
        given = [key for key in ("command", "shell", "artifact", "script") if key in said]
        if len(given) != 1:
            sentence = f"{what} has to have exactly one of `command`, `shell`, `script` and `artifact`."
            self.faults.append(Fault(node.place, sentence))
            return None
        artifact = said.get("artifact", release_fields.text)
        if "script" in said:
            at = said.at("script")
            artifact = self._add(at, at, None)
        elif artifact and artifact not in self.files:
            self._unknown(artifact, said.at("artifact"))
        values = {
            "command": said.get("command", release_fields.words),
            "shell": said.get("shell", release_fields.text),
            "artifact": artifact,
            "interpreter": said.get("interpreter", release_fields.words) or [],
            "args": said.get("args", release_fields.texts) or [],
            "env": said.get("env", release_fields.variables) or {},
            "timeout_s": said.get("timeout", release_fields.span) or min(self._step_timeout_s, most_s),
        }
        return self.built(Step, values, said) if any(values[key] for key in ("command", "shell", "artifact")) else None

    def _archive(self, top: Fields) -> Archive | None:
        node = top.nested("archive")
        if node is None:
            return None
        said = Fields(node, "`archive`", ("artifact", "into", "strip", "unpacked_max"), self.faults)
        said.need("artifact", "into")
        values = {
            "artifact": self._named(said),
            "into": said.get("into", release_fields.text) or "",
            "strip": said.get("strip", release_fields.whole) or 0,
        }
        limit = said.get("unpacked_max", release_fields.size)
        self.places |= {"archive.artifact": said.at("artifact"), "into": said.at("into")}
        return self.built(Archive, values | ({"unpacked_max_bytes": limit} if limit else {}), said)

    def _file(self, top: Fields) -> File | None:
        node = top.nested("file")
        if node is None:
            return None
        said = Fields(node, "`file`", ("artifact", "path", "mode", "owner"), self.faults)
        said.need("artifact", "path")
        values = {
            "artifact": self._named(said),
            "path": said.get("path", release_fields.text) or "",
            "mode": said.get("mode", release_fields.text) or "0644",
            "owner": said.get("owner", release_fields.text) or "",
        }
        self.places["path"] = said.at("path")
        return self.built(File, values, said)

    def _package(self, top: Fields) -> Package | None:
        node = top.nested("package")
        if node is None:
            return None
        if node.text is not None:
            return self.built(Package, {"name": node.text}, Fields(Node(node.place, pairs={}), "", (), self.faults))
        said = Fields(node, "`package`", ("name", "state", "version"), self.faults)
        said.need("name")
        version = said.get("version", release_fields.text) or ""
        values = {
            "name": said.get("name", release_fields.text) or "-",
            "version": version,
            "state": said.get("state", release_fields.text) or ("version" if version else "present"),
        }
        return self.built(Package, values, said)

    def _health(self, top: Fields) -> Health | None:
        node = top.nested("health")
        if node is None:
            return None
        said = Fields(node, "`health`", ("check", "interval", "successes", "within"), self.faults)
        said.need("check")
        numbers = {
            "interval_s": said.get("interval", release_fields.span),
            "successes": said.get("successes", release_fields.whole),
            "within_s": said.get("within", release_fields.span),
        }
        check = self._step(said.nested("check"), "`check`", numbers["within_s"] or _WITHIN_S)
        if check is None:
            return None
        values = {"check": check, **{name: value for name, value in numbers.items() if value is not None}}
        return self.built(Health, values, said)

    def _named(self, said: Fields) -> str:
        name = said.get("artifact", release_fields.text)
        if name and name not in self.files:
            self._unknown(name, said.at("artifact"))
        return name or "-"

    def _unknown(self, name: str, node: Node) -> None:
        listed = f"; they are {', '.join(sorted(self.files))}" if self.files else ""
        self.faults.append(Fault(node.place, f"`artifacts` does not list {name[:80]!r}{listed}."))


def _kind(node: Node) -> Kind:
    if (node.text or "") == Kind.AGENT:
        raise Fault(node.place, "is not written by hand; `deployx agent-update push` makes releases of the agent.")
    return _one_of(WRITTEN)(node)


def _one_of(kinds: Sequence[_Word]) -> Callable[[Node], _Word]:
    def read(node: Node) -> _Word:
        said = release_fields.text(node)
        for kind in kinds:
            if kind.value == said:
                return kind
        listed = ", ".join(kind.value for kind in kinds)
        raise Fault(node.place, f"has to be one of {listed}, and is {(node.text or '')[:40]!r}.")

    return read


def _implied(top: Fields) -> Kind:
    return next((Kind(name) for name in ("archive", "file", "package") if name in top), Kind.SCRIPT)


def _platforms(node: Node) -> list[str]:
    return [node.text] if node.text is not None else release_fields.texts(node)


def _previous(name: str) -> Callable[[Node], str]:
    def read(node: Node) -> str:
        said = release_fields.text(node)
        before, sign, version = said.rpartition("@")
        if sign and before != name:
            raise Fault(node.place, f"has to be a version of {name}, and {said[:80]!r} is of another.")
        return version

    return read
