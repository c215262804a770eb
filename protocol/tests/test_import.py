"""Importing the protocol does nothing but import: no file of its own, no socket, no process."""

import subprocess
import sys

PROBE = """
import sys
import msgspec, enum, dataclasses, ipaddress, unicodedata, urllib.parse, secrets, string, hashlib, typing, math

SEEN = []
def watch(event, arguments):
    if event == "open":
        SEEN.append((event, str(arguments[0]), str(arguments[1])))
    elif event.partition(".")[0] in ("socket", "subprocess", "os", "shutil", "tempfile", "sqlite3", "ctypes", "signal"):
        SEEN.append((event, repr(arguments), ""))
sys.addaudithook(watch)
import pkgutil, importlib, deployx_protocol
for module in pkgutil.iter_modules(deployx_protocol.__path__):
    importlib.import_module(f"deployx_protocol.{module.name}")
for event, what, mode in SEEN:
    ours = event == "open" and what.endswith((".py", ".pyc")) or event in ("os.listdir", "os.scandir")
    if not ours and not ("r" in mode and what.endswith(("pyc", ".py"))):
        print(event, what, mode)
loaded = {name.partition(".")[0] for name in sys.modules}
print(*sorted(loaded & {"socket", "asyncio", "sqlite3", "logging", "subprocess", "ssl"}))
"""


def test_importing_everything_does_no_io() -> None:
    ended = subprocess.run([sys.executable, "-B", "-c", PROBE], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.split() == []
