"""A node that can build the dashboard: the machine's own if it is new enough, else one from PyPI.

Vite 8 needs node ^20.19 or >= 22.12; 20.18 starts and then crashes, so the version is asked, not the presence.
"""

import os
import re
import shutil

from bootstrap import apart
from bootstrap.process import works

_NODE = "node.exe" if os.name == "nt" else "node"
_TITLE = "Fetching node (none here, or older than 20.19)"


def new_enough(version: str) -> bool:
    """Whether `v20.19.0` and the like can build the dashboard."""
    match = re.match(r"v(\d+)\.(\d+)\.", version.strip())
    if match is None:
        return False
    major, minor = int(match[1]), int(match[2])
    return (major == 20 and minor >= 19) or (major == 22 and minor >= 12) or major >= 23


def environment() -> dict[str, str]:
    """The environment in which `node` and `npm` are good; fetches them when the machine's are not."""
    env = {**os.environ}
    for name in ("NODE_ENV", "npm_config_production", "npm_config_omit", "NPM_CONFIG_OMIT", "NPM_CONFIG_PRODUCTION"):
        env.pop(name, None)  # any of these would leave the build tools out
    env.update(npm_config_fund="false", npm_config_audit="false", npm_config_update_notifier="false")
    env.setdefault("npm_config_fetch_retries", "1")
    env.setdefault("npm_config_fetch_retry_mintimeout", "2000")
    if not (new_enough(works(["node", "--version"]) or "") and works(["npm", "--version"])):
        env["PATH"] = f"{apart.ensure('node', _NODE, _TITLE)}{os.pathsep}{env.get('PATH', os.defpath)}"
    return env


def npm(env: dict[str, str]) -> str:
    """The `npm` of that environment."""
    return shutil.which("npm", path=env["PATH"]) or "npm"
