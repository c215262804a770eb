"""What is checked without running the product: lint, types, import rules, versions, documents, the dashboard's size."""

from collections.abc import Mapping

from bootstrap import node
from bootstrap.places import BIN, FRONTEND, PYTHON, ROOT
from checking import installed, semgrep
from checking.steps import Step

_TYPED = ("protocol", "agent", "backend/app", "backend/tests", "cli", "tools", "tests", "benchmarks")
_BANDIT = ("--quiet", "--recursive", "--configfile", "pyproject.toml", "--severity-level", "medium")


def python_steps(env: Mapping[str, str]) -> list[Step]:
    """Everything about the Python code, the fast ones first."""
    steps = [
        Step("Python lint", [BIN / "ruff", "check", "--quiet", "."], env=env),
        Step("Python format", [BIN / "ruff", "format", "--quiet", "--diff", "."], env=env),
        Step("Import rules", [BIN / "lint-imports"], env=env),
        Step("Dangerous code", [PYTHON, "-m", "checking.rules"], cwd=ROOT / "tools", env=env),
        Step("Dangerous code, by bandit", [BIN / "bandit", *_BANDIT, *installed.PYTHON], env=env),
        semgrep.step(),
        Step("Version floors", [PYTHON, "-m", "checking.floors"], cwd=ROOT / "tools", env=env),
        Step("Generated documents", [PYTHON, ROOT / "tools" / "docs.py", "--check"], env=env),
    ]
    # One run each: the packages' test folders hold modules of the same name. They share what was learned of libraries.
    folders = [folder for folder in _TYPED if any((ROOT / folder).glob("**/*.py"))]
    steps += [Step(f"Types of {folder}", [BIN / "mypy", "--no-error-summary", folder], env=env) for folder in folders]
    return steps


def dashboard_steps(env: Mapping[str, str]) -> list[Step]:
    """Everything about the dashboard's code. `env` must have a node that is good enough."""
    titles = {"lint": "Dashboard lint", "typecheck": "Dashboard types", "size": "Dashboard size"}
    npm = node.npm(dict(env))
    return [Step(title, [npm, "run", "--silent", name], cwd=FRONTEND, env=env) for name, title in titles.items()]


def without_settings(env: Mapping[str, str]) -> dict[str, str]:
    """`env` without any setting of DeployX; only what says where the tests find their tools stays.

    Python may keep what it compiles: the tests start hundreds of processes, and each would compile all of it again.
    """
    return {
        name: value
        for name, value in env.items()
        if (not name.startswith("DEPLOYX_") or name.startswith("DEPLOYX_TEST_")) and name != "PYTHONDONTWRITEBYTECODE"
    }
