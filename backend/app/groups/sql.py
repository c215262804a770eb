"""Two things that SQLite and PostgreSQL say differently: a value in a JSON object, and text with wildcards.

Invariant: keys and patterns are bound parameters; the text of the SQL is the same whatever they are.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class json_text(FunctionElement[str]):
    """The text at a key of a JSON column; NULL without the key. Any text can be a key."""

    type = sa.Text()
    inherit_cache = True

    def __init__(self, column: Any, key: str) -> None:
        super().__init__(column, sa.literal(key, sa.Text()))


@compiles(json_text, "postgresql")
def _json_text_postgresql(element: json_text, compiler: SQLCompiler, **options: Any) -> str:
    column, key = (compiler.process(clause, **options) for clause in element.clauses)
    return f"({column} ->> {key})"


@compiles(json_text, "sqlite")
def _json_text_sqlite(element: json_text, compiler: SQLCompiler, **options: Any) -> str:
    # not `->>`: before SQLite 3.45 its paths find no key that is written with escapes, as keys beyond ASCII are
    column, key = (compiler.process(clause, **options) for clause in element.clauses)
    return f"(SELECT json_each.value FROM json_each({column}) WHERE json_each.key = {key})"  # noqa: S608  # nosec B608  # both are SQL


class like(FunctionElement[bool]):
    """Whether a text is ``parts`` with anything between each two, upper and lower case apart."""

    type = sa.Boolean()
    inherit_cache = True

    def __init__(self, text: Any, parts: tuple[str, ...]) -> None:
        for_like = "%".join(_escaped(part, {"\\": "\\\\", "%": "\\%", "_": "\\_"}) for part in parts)
        for_glob = "*".join(_escaped(part, {"[": "[[]", "*": "[*]", "?": "[?]"}) for part in parts)
        super().__init__(text, sa.literal(for_like, sa.Text()), sa.literal(for_glob, sa.Text()))


@compiles(like, "postgresql")
def _like_postgresql(element: like, compiler: SQLCompiler, **options: Any) -> str:
    text, pattern, _ = element.clauses
    return f"({compiler.process(text, **options)} LIKE {compiler.process(pattern, **options)} ESCAPE '\\')"


@compiles(like, "sqlite")
def _like_sqlite(element: like, compiler: SQLCompiler, **options: Any) -> str:
    # SQLite's LIKE takes upper and lower case of ASCII as the same; GLOB does not
    text, _, pattern = element.clauses
    return f"({compiler.process(text, **options)} GLOB {compiler.process(pattern, **options)})"


def _escaped(text: str, escapes: dict[str, str]) -> str:
    return "".join(escapes.get(character, character) for character in text)
