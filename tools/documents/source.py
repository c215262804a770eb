"""What the generated documents are made of: names, types and docstrings, read from the source and not from the running
program, because comments and attribute docstrings do not live there."""

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROTOCOL = ROOT / "protocol" / "deployx_protocol"


@dataclass(frozen=True)
class Field:
    """An attribute of a class: its type and default as they are written, and the docstring below it."""

    name: str
    type: str
    default: str | None
    doc: str


@dataclass(frozen=True)
class Class:
    """A class: its docstring on one line, its own fields, the names of its bases and the body of ``__post_init__``."""

    name: str
    doc: str
    bases: tuple[str, ...]
    fields: tuple[Field, ...]
    checks: tuple[ast.Call, ...]


@dataclass(frozen=True)
class Member:
    """One value of an enum, or one constant, and the comment or docstring that says what it is."""

    name: str
    value: str
    doc: str


def one_line(text: str | None) -> str:
    """A docstring without its line breaks, with double backquotes made single."""
    return " ".join((text or "").split()).replace("``", "`")


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def module_doc(path: Path) -> str:
    """The paragraphs of a module's docstring."""
    text = ast.get_docstring(parsed(path)) or ""
    return "\n\n".join(one_line(paragraph) for paragraph in text.split("\n\n"))


def classes(path: Path) -> dict[str, Class]:
    """The classes of a file, in their order."""
    return {node.name: _class(node) for node in parsed(path).body if isinstance(node, ast.ClassDef)}


def function(path: Path, name: str) -> ast.FunctionDef:
    """The function of that name."""
    return next(node for node in parsed(path).body if isinstance(node, ast.FunctionDef) and node.name == name)


def members(path: Path, enum: str) -> list[Member]:
    """The values of a string enum, with the comment behind each."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found = []
    for node in _named(path, enum).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            comment = lines[node.lineno - 1].partition("  # ")[2]
            found.append(Member(node.targets[0].id, str(ast.literal_eval(node.value)), comment))
    return found


def constants(path: Path) -> list[Member]:
    """The constants of a file, in their order, with the docstring or comment of each."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found = []
    body = parsed(path).body
    for node, after in zip(body, [*body[1:], None], strict=True):
        target = (
            node.target
            if isinstance(node, ast.AnnAssign)
            else node.targets[0]
            if isinstance(node, ast.Assign)
            else None
        )
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if isinstance(target, ast.Name) and target.id.isupper() and value is not None:
            comment = lines[node.lineno - 1].partition("  # ")[2]
            found.append(Member(target.id, ast.unparse(value), _string(after) or comment))
    return found


def sections(path: Path) -> dict[str, str]:
    """Name of a constant → the comment that heads its section, such as ``agent → server``."""
    found, heading = {}, ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            heading = line.removeprefix("# ")
        elif match := re.match(r"([A-Z_]+): Final = ", line):
            found[match[1]] = heading
    return found


def _named(path: Path, name: str) -> ast.ClassDef:
    return next(node for node in parsed(path).body if isinstance(node, ast.ClassDef) and node.name == name)


def _class(node: ast.ClassDef) -> Class:
    fields = []
    for item, after in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            default = None if item.value is None else ast.unparse(item.value)
            fields.append(Field(item.target.id, ast.unparse(item.annotation), default, _string(after)))
    post_init = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__post_init__"]
    calls = tuple(call for item in post_init for call in ast.walk(item) if isinstance(call, ast.Call))
    bases = tuple(ast.unparse(base) for base in node.bases)
    return Class(node.name, one_line(ast.get_docstring(node)), bases, tuple(fields), calls)


def _string(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return one_line(node.value.value)
    return ""
