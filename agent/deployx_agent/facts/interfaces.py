"""Fingerprint fact of the network cards: the addresses burnt into those that are hardware.

Never identity: docks, VPNs and replaced cards change it. It is one fact among several.
"""

from pathlib import Path

from deployx_agent.facts import files


def read(root: Path) -> dict[str, str]:
    """`interfaces`, when there is at least one card; bridges, tunnels and containers' cards have no device."""
    folder = root / "sys/class/net"
    addresses = {
        files.text(folder / name / "address") for name in files.names(folder) if (folder / name / "device").exists()
    }
    known = sorted(addresses - {"", "00:00:00:00:00:00"})
    return {"interfaces": "\n".join(known)} if known else {}
