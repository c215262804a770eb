"""What users install: wheels, in an environment of their own, from the hashed locks, on a machine without node.

Invariant: nothing here may find the checkout. Everything runs in a temporary folder, and `PATH` leads nowhere.
"""

import os
import re
import signal
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

import wheels
from bootstrap.index import uv_environment
from bootstrap.places import BIN, OWN_PACKAGES, PYTHON, ROOT

pytestmark = pytest.mark.timeout(600)


def _uv(*arguments: str | Path, timeout_s: float = 300) -> None:
    command = [BIN / "uv", *arguments]
    done = subprocess.run(command, check=False, env=uv_environment(), capture_output=True, text=True, timeout=timeout_s)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make wheels` makes, and the sdist of each package; beside the server's, the wheel that it makes."""
    out = tmp_path_factory.mktemp("dist")
    wheels.make(out)
    for name in OWN_PACKAGES:
        kind = () if name == "backend" else ("--sdist",)
        _uv("build", *kind, "--no-build-isolation", "--python", PYTHON, "--out-dir", out, ROOT / name)
    return out


def _wheels(built: Path) -> dict[str, Path]:
    """The wheel of each package, by its name."""
    return {path.name.partition("-")[0]: path for path in built.glob("*/*.whl")}


def _environment(folder: Path, kind: Path) -> Path:
    """The folder of the commands of a fresh environment with exactly what one folder of `dist/` holds."""
    _uv("venv", "--quiet", "--python", PYTHON, folder)
    python = folder / "bin" / "python"
    [lock] = kind.glob("*.txt")
    _uv("pip", "sync", "--quiet", "--python", python, "--require-hashes", lock)
    _uv("pip", "install", "--quiet", "--python", python, "--no-deps", *kind.glob("*.whl"))
    return folder / "bin"


def _install(built: Path, folder: Path | str, python: str | Path = PYTHON) -> subprocess.CompletedProcess[str]:
    """Run the agent's `install.sh` into a folder, from another one, as an operator does."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"PYTHON": str(python)}
    return subprocess.run(
        ["sh", "agent/install.sh", str(folder)],
        check=False,
        env=env,
        cwd=built,
        capture_output=True,
        text=True,
        timeout=300,
    )


@contextmanager
def _running(command: list[str | Path], ready: str, env: Mapping[str, str], folder: Path) -> Iterator[re.Match[str]]:
    """A program, once it has said a line that holds `ready`; it must end with 0 when it is asked to."""
    with subprocess.Popen(
        command, env=env, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        said = []
        try:
            for line in process.stdout:
                said.append(line)
                if found := re.search(ready, line):
                    yield found
                    break
            else:
                raise AssertionError("".join(said))
            process.send_signal(signal.SIGTERM)
            rest = process.stdout.read()
            assert process.wait(30) == 0, "".join([*said, rest])
        finally:
            process.kill()


def test_sdists_hold_sources_and_the_built_dashboard_only(built: Path) -> None:
    sdists = list(built.glob("*.tar.gz"))
    assert len(sdists) == len(OWN_PACKAGES)
    for path in sdists:
        with tarfile.open(path) as archive:
            names = [name.partition("/")[2] for name in archive.getnames()]
        assert not [name for name in names if "node_modules" in name or "__pycache__" in name]
        assert path.stat().st_size < 10_000_000
        if path.name.startswith("deployx_server"):
            assert {"app/web/static/index.html", "migrations/env.py", "hatch_build.py"} <= set(names)


def test_the_licence_goes_with_every_package(built: Path) -> None:
    text = (ROOT / "LICENSE").read_bytes()
    sdists = list(built.glob("*.tar.gz"))
    assert len(sdists) == len(_wheels(built)) == len(OWN_PACKAGES)
    for path in sdists:
        with tarfile.open(path) as archive:
            carried = archive.extractfile(f"{path.name.removesuffix('.tar.gz')}/LICENSE")
            assert carried is not None
            assert carried.read() == text, path.name
    for path in _wheels(built).values():
        with zipfile.ZipFile(path) as wheel:
            [name] = [name for name in wheel.namelist() if name.endswith(".dist-info/licenses/LICENSE")]
            assert wheel.read(name) == text, path.name


def test_the_servers_wheel_can_be_made_from_its_sdist(built: Path) -> None:
    [from_sdist] = built.glob("*.whl")
    with zipfile.ZipFile(from_sdist) as one, zipfile.ZipFile(_wheels(built)["deployx_server"]) as from_checkout:
        assert sorted(one.namelist()) == sorted(from_checkout.namelist())


def test_wheels_alone_serve_the_dashboard_and_connect_an_agent(built: Path, tmp_path: Path) -> None:
    server = _environment(tmp_path / "server", built / "server")
    installed = _install(built, tmp_path / "agent")
    assert installed.returncode == 0, installed.stderr
    assert f"{tmp_path}/agent/bin/deployx-agent install-service" in installed.stdout
    agent = tmp_path / "agent" / "bin"
    env = {"PATH": str(tmp_path / "nowhere"), "HOME": str(tmp_path), "DEPLOYX_PORT": "0"}
    env |= {"DEPLOYX_DATA_DIR": str(tmp_path / "data"), "DEPLOYX_STATE_DIR": str(tmp_path / "state")}
    _said([server / "deployx-server", "create-admin", "admin@example.test", "--generate"], env, tmp_path)
    with _running([server / "deployx-server", "serve"], r"server\.started url=(\S+)", env, tmp_path) as started:
        url = started[1]
        _check_page(url)
        env["DEPLOYX_PORT"] = url.rpartition(":")[2]
        token = _said([server / "deployx-server", "create-enrollment-token"], env, tmp_path)
        _said([agent / "deployx-agent", "enroll", token], env, tmp_path)
        with _running([agent / "deployx-agent", "run"], "Agent ready - Listening for commands", env, tmp_path):
            assert "The agent is running." in _said([agent / "deployx-agent", "status"], env, tmp_path)
    assert _said([server / "deployx", "--version"], env, tmp_path).startswith("deployx ")


def test_the_agents_installer_says_in_a_sentence_what_it_lacks(built: Path, tmp_path: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    (tmp_path / "file").write_text("")
    for folder, python, why in (
        (tmp_path / "a", "python0.0", "There is no python0.0. Install Python 3.11"),
        (tmp_path / "a", old, "The agent needs Python 3.11 or newer"),
        (tmp_path / "file" / "a", PYTHON, "cannot be written"),
    ):
        done = _install(built, folder, python)
        assert done.returncode == 1
        assert done.stderr.startswith("install.sh: ")
        assert why in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "a").exists()


def _check_page(url: str) -> None:
    page = httpx2.get(url, headers={"accept": "text/html"})
    assert page.status_code == 200
    scripts = re.findall(r'src="(/assets/[^"]+\.js)"', page.text)
    assert scripts, page.text[:500]
    for path in scripts:
        script = httpx2.get(url + path)
        assert script.status_code == 200
        assert script.headers["content-type"].startswith("text/javascript")


def _said(command: list[str | Path], env: Mapping[str, str], folder: Path) -> str:
    done = subprocess.run(command, check=False, env=env, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
