"""The child that reads the databases: `python -m deployx_agent.software.collect ROOT`. It prints a report and ends.

Its standard output is the SHA-256 of the report as JSON, 64 digits, and the report, gzipped. A process of its own, so
that thousands of names leave nothing in the agent's memory. Invariant: the same software gives the same bytes.
"""

import gzip
import hashlib
import json
import sys
from pathlib import Path

from deployx_agent.software.databases import READERS, Found
from deployx_protocol.software import ARCH_MAX, NAME_MAX, PACKAGES_MAX, VERSION_MAX


def main(root: str) -> int:
    """The exit code. What could not be read is said on stderr; then nothing is reported rather than a part."""
    try:
        raw = collected(Path(root))
    except OSError as error:
        sys.stderr.write(f"{error.strerror or error}\n")
        return 1
    sys.stdout.buffer.write(hashlib.sha256(raw).hexdigest().encode() + gzip.compress(raw, mtime=0))
    return 0


def collected(root: Path) -> bytes:
    """The report as JSON. Raises OSError."""
    sources: list[str] = []
    packages: set[tuple[str, str, str, str]] = set()
    for source, read in READERS.items():
        found = read(root)
        if found is not None:
            sources.append(source)
            packages.update((*one, source) for one in map(cleaned, found) if one)
    listed = sorted(packages)[:PACKAGES_MAX]
    return json.dumps({"sources": sorted(sources), "packages": listed}, ensure_ascii=False).encode("utf-8", "replace")


def cleaned(found: Found) -> Found | None:
    """What the server takes of it; None for what has no name or version then."""
    name, version, arch = (
        "".join(one for one in text if one.isprintable())[:longest].strip()
        for text, longest in zip(found, (NAME_MAX, VERSION_MAX, ARCH_MAX), strict=True)
    )
    return (name, version, arch) if name and version else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
