"""From what a manifest says to the protocol's structs, and from what these refuse back to the place in the file."""

import re
from typing import Any, TypeVar

import msgspec

from deployx_cli.release_artifacts import LocalFile
from deployx_cli.release_fields import Fields
from deployx_cli.release_yaml import Fault, Node, Place
from deployx_protocol.release_rules import InvalidField

S = TypeVar("S", bound=msgspec.Struct)
_KEYS = {
    "timeout_s": "timeout",
    "confirm_s": "confirm",
    "interval_s": "interval",
    "within_s": "within",
    "unpacked_max_bytes": "unpacked_max",
}
"""What a field of a manifest is called here, where that is not its name."""
_AT = re.compile(r"(?P<wrong>.*) - at `\$\.(?P<name>\w+)(?:\[(?P<index>\d+)\])?.*`", re.DOTALL)


class Building:
    """What was found until now, in one manifest."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.files: dict[str, LocalFile] = {}
        """Artifact → the file it is."""
        self.places: dict[str, Node] = {}
        """Where the fields of the manifest stand that lie deeper, or are called otherwise."""

    def built(self, struct: type[S], values: dict[str, Any], said: Fields) -> S | None:
        """The part of a manifest that ``values`` are; None if they cannot be one."""
        try:
            return msgspec.convert(values, struct, strict=True)
        except msgspec.ValidationError as error:
            self.faults.append(self.fault(error, said))
            return None

    def fault(self, error: Exception, said: Fields) -> Fault:
        """What the protocol found wrong, with its place."""
        broken = error if isinstance(error, InvalidField) else error.__cause__
        found = _AT.fullmatch(str(error))
        if found and found["name"] == "artifacts" and found["index"] is not None:
            artifact = list(self.files)[int(found["index"])]
            return Fault(self.places[f"artifacts.{artifact}"].place, f"{str(broken or found['wrong']).rstrip('.')}.")
        if isinstance(broken, InvalidField):
            return Fault(self._place(broken.field, said), f"{str(broken).rstrip('.')}.")
        if found and not broken:
            key = _KEYS.get(found["name"], found["name"])
            return Fault(self._place(found["name"], said), f"`{key}` {_plainly(found['wrong'])}.")
        return Fault(said.node.place, f"{str(broken or error).rstrip('.')}.")

    def _place(self, name: str, said: Fields) -> Place:
        key = _KEYS.get(name, name)
        if key in said:
            return said.at(key).place
        return self.places[name].place if name in self.places else said.node.place


def _plainly(wrong: str) -> str:
    """What msgspec says, as people say it."""
    if bound := re.fullmatch(r"Expected `(?:int|float)` (<|>)=? ([0-9.]+)", wrong):
        return f"has to be at {'most' if bound[1] == '<' else 'least'} {float(bound[2]):,g}"
    if length := re.fullmatch(r"Expected `(?:str|array)` of length <= (\d+)", wrong):
        return f"is longer than {length[1]}"
    if value := re.fullmatch(r"Invalid enum value '(.*)'", wrong, re.DOTALL):
        return f"cannot be {value[1][:40]!r}"
    if wrong.startswith("Expected `str` matching regex"):
        return "has characters that cannot be in it"
    return f"is wrong: {wrong[:1].lower()}{wrong[1:].rstrip('.')}"
