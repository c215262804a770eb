"""How pip was told to reach its index, said to uv as well.

uv reads none of pip's configuration. What it may take is decided by the hashes in our locks alone, so every index that
pip was given may be asked for every package.
"""

import ast
import os

from bootstrap.places import PYTHON
from bootstrap.process import works

_PRECEDENCE = ("global", "user", "site", "install", ":env:")


def uv_environment() -> dict[str, str]:
    """The environment for uv: ours, with pip's settings added where uv's own are not set."""
    env = dict(os.environ)
    listing = works([PYTHON, "-m", "pip", "--disable-pip-version-check", "config", "list"]) or ""
    settings = parse(listing)
    for name, value in translate(settings).items():
        env.setdefault(name, value)
    # The operator's other environments are none of our business.
    for name in ("UV_SYSTEM_PYTHON", "UV_PROJECT_ENVIRONMENT", "UV_TARGET", "UV_PYTHON", "VIRTUAL_ENV", "PYTHONPATH"):
        env.pop(name, None)
    return env


def parse(listing: str) -> dict[str, str]:
    """`pip config list` → setting → value; the section that pip prefers wins."""
    found: dict[str, tuple[int, str]] = {}
    for line in listing.splitlines():
        key, equals, raw = line.partition("=")
        section, dot, name = key.partition(".")
        if not (equals and dot and section in _PRECEDENCE):
            continue
        try:
            value = str(ast.literal_eval(raw))
        except (SyntaxError, ValueError):
            continue
        rank = _PRECEDENCE.index(section)
        if name not in found or rank >= found[name][0]:
            found[name] = (rank, value)
    return {name: value for name, (_, value) in found.items()}


def translate(settings: dict[str, str]) -> dict[str, str]:
    """pip's settings in uv's words."""
    env = {"UV_INDEX_STRATEGY": "unsafe-best-match", "UV_NO_PROGRESS": "1"}
    if "index-url" in settings:
        env["UV_DEFAULT_INDEX"] = settings["index-url"]
    if "extra-index-url" in settings:
        env["UV_INDEX"] = " ".join(settings["extra-index-url"].split())
    if "find-links" in settings:
        env["UV_FIND_LINKS"] = ",".join(settings["find-links"].split())
    if "trusted-host" in settings:
        env["UV_INSECURE_HOST"] = " ".join(settings["trusted-host"].split())
    if "cert" in settings:
        env["SSL_CERT_FILE"] = settings["cert"]
    else:
        env["UV_SYSTEM_CERTS"] = "1"
    if "proxy" in settings:
        env["HTTP_PROXY"] = env["HTTPS_PROXY"] = settings["proxy"]
    if "timeout" in settings:
        env["UV_HTTP_TIMEOUT"] = settings["timeout"]
    if settings.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        env["UV_NO_INDEX"] = "1"
    return env
