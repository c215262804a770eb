"""atheris exists for Linux, and not yet for the newest Pythons: elsewhere there is nothing to collect here."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("atheris") else ["test_parser.py"]
