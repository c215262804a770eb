"""What documents name exists: files, headings, make targets, commands and settings."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

import docs
from app.commands import commands as server_commands
from deployx_agent.cli import _COMMANDS as AGENT_COMMANDS
from deployx_cli.main import app as operator_commands
from documents.source import ROOT


def _documents() -> Iterator[Path]:
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in ("node_modules", "dist")]
        yield from (Path(folder, name) for name in files if name.endswith(".md"))


DOCUMENTS = sorted(_documents())
WRITTEN_BY_US = [path for path in DOCUMENTS if path.name != "agent-connection-flow.md"]
GENERATED = ROOT / "docs" / "configuration.md"

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_QUOTED = re.compile(r"`([^`\n]+)`")
_FOLDERS = "agent|backend|benchmarks|cli|deploy|docs|frontend|protocol|requirements|tests|tools"
_PATH = re.compile(rf"(?:{_FOLDERS})/[\w./-]+")
_COMMAND = re.compile(r"(?<![\w./-])(?:\.venv/bin/|/opt/[\w-]+/bin/)?(deployx(?:-agent|-server)?) ([a-z][a-z-]+)")
_VARIABLE = re.compile(r"DEPLOYX_[A-Z_]*[A-Z]")


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_links_lead_somewhere(document: Path) -> None:
    for link in _LINK.findall(document.read_text(encoding="utf-8")):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, anchor = link.partition("#")
        target = (document.parent / file).resolve() if file else document
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in _anchors(target), f"{link}: no such heading"


@pytest.mark.parametrize("document", WRITTEN_BY_US, ids=_name)
def test_paths_in_the_text_exist(document: Path) -> None:
    for quoted in _QUOTED.findall(document.read_text(encoding="utf-8")):
        path = quoted.partition("::")[0].partition(" › ")[0]
        if _PATH.fullmatch(path):
            assert (ROOT / path).exists(), f"there is no {path}"


@pytest.mark.parametrize("document", WRITTEN_BY_US, ids=_name)
def test_commands_in_the_text_exist(document: Path) -> None:
    operator_group = get_command(operator_commands)
    assert isinstance(operator_group, TyperGroup)
    known: dict[str, set[str | None]] = {
        "deployx-agent": set(AGENT_COMMANDS),
        "deployx-server": {command.name for command in server_commands.registered_commands},
        "deployx": set(operator_group.commands),
    }
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for text in _code(document.read_text(encoding="utf-8")):
        if match := re.match(r"\s*(?:[A-Z]+=\S+ )*make ([a-z]+)\b", text):
            assert match[1] in targets, f"there is no make target {match[1]}"
        for program, command in _COMMAND.findall(text):
            assert command in known[program], f"{program} has no command {command}"


@pytest.mark.parametrize("document", WRITTEN_BY_US, ids=_name)
def test_settings_in_the_text_exist(document: Path) -> None:
    known = set(_VARIABLE.findall(GENERATED.read_text(encoding="utf-8")))
    for variable in _VARIABLE.findall(document.read_text(encoding="utf-8")):
        assert known & {variable, variable.removesuffix("_FILE")}, f"there is no setting {variable}"


def test_a_page_that_is_out_of_date_is_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "threats-and-faults.md"
    page.write_text(GENERATED.with_name(page.name).read_text(encoding="utf-8"))
    monkeypatch.setattr(docs, "_DOCS", tmp_path)
    monkeypatch.setattr(docs, "_THREATS", page)
    assert docs.main([]) == 0
    capsys.readouterr()
    assert docs.main(["--check"]) == 0
    (tmp_path / "protocol.md").write_text("something else")
    assert docs.main(["--check"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "docs/protocol.md no longer says what the code does: run `.venv/bin/python tools/docs.py`."
    ]
    assert (tmp_path / "protocol.md").read_text() == "something else"


def test_records_of_decisions_are_short_and_numbered() -> None:
    records = sorted((ROOT / "docs" / "adr").glob("*.md"))
    for number, path in enumerate(records, 1):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert path.name.startswith(f"{number:04}-")
        assert lines[0].startswith(f"# {number}. ")
        assert len(lines) <= 40, f"{path.name} has {len(lines)} lines"


def _code(text: str) -> list[str]:
    """What is meant to be typed: indented lines and what stands in backquotes."""
    return [line for line in text.splitlines() if line.startswith("    ")] + _QUOTED.findall(text)
