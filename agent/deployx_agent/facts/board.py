"""Fingerprint facts of the board and its processor."""

from pathlib import Path

from deployx_agent.facts import files

_PLACEHOLDERS = frozenset(
    {"", "none", "not specified", "not settable", "not applicable", "not present", "default string", "unknown", "0"}
    | {"to be filled by o.e.m.", "system serial number", "base board serial number"}
)


def read(root: Path) -> dict[str, str]:
    """`product_uuid`, `product_serial`, `board` and `cpu`, as far as they can be read."""
    dmi = root / "sys/class/dmi/id"
    board = [files.text(dmi / name) for name in ("board_vendor", "board_name", "board_serial")]
    found = {
        "product_uuid": files.text(dmi / "product_uuid"),
        "product_serial": files.text(dmi / "product_serial"),
        "board": "\n".join(board) if all(board) else "",
        "device_tree_serial": files.text(root / "sys/firmware/devicetree/base/serial-number"),
        "cpu": _cpu(files.text(root / "proc/cpuinfo")),
    }
    return {name: value for name, value in found.items() if value.lower() not in _PLACEHOLDERS}


def _cpu(cpuinfo: str) -> str:
    """The first processor's identity. Not their number and not their speed: both change on the same machine."""
    wanted = ("vendor_id", "cpu family", "model", "model name", "stepping", "CPU implementer", "CPU part")
    first = dict(line.partition(":")[::2] for line in cpuinfo.split("\n\n", 1)[0].splitlines())
    values = {name.strip(): value.strip() for name, value in first.items()}
    return "\n".join(f"{name}={values[name]}" for name in wanted if name in values)
