"""`make bench`: each benchmark in `benchmarks/`, one after another, so that none disturbs another's figures.

A benchmark is a program `benchmarks/<name>.py` that prints its figure beside its peer's; a name that starts with an
underscore is none. `tools/bench.py NAME…` runs only these.
"""

import subprocess
import sys
import time

from bootstrap.console import complain, say
from bootstrap.places import PYTHON, ROOT

_INTERRUPTED = 130


def main(names: list[str]) -> int:
    """The exit code: 0 only if every benchmark ended well."""
    found = {path.stem: path for path in sorted((ROOT / "benchmarks").glob("[!_]*.py"))}
    unknown = [name for name in names if name not in found]
    if unknown or not found:
        complain(f"There is no benchmark {', '.join(unknown)}." if unknown else "There are no benchmarks.")
        return 1
    failed = []
    for name in names or found:
        say(f"── {name}")
        started = time.monotonic()
        try:
            code = subprocess.run([PYTHON, found[name]], cwd=ROOT, check=False).returncode
        except KeyboardInterrupt:  # it was interrupted as well
            complain("Stopped.")
            return _INTERRUPTED
        say(f"── {name}: {'done' if code == 0 else f'failed with {code}'} in {time.monotonic() - started:.1f} s\n")
        failed += [name] if code else []
    if failed:
        complain(f"Failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
