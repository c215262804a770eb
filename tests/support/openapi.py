"""Requests that the server's own OpenAPI document suggests, each right but for one value, which is hostile.

Invariant: the walk is the same each time, so a request that was answered wrongly is found again by its name.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

IN_A_PATH = (
    *("0", "-1", "1.0", "%2B1", "1_0", "%EF%BC%91", "9" * 30, "nan", "%00", "a%00b", "%FF", "%ED%A0%80", "%0A"),
    *("..%2F..%2Fetc%2Fpasswd", "%2e%2e", "x" * 65, "x" * 3000, "*", "%27%20OR%201=1--", "%E2%80%AE", "%25s", "%20"),
)
IN_A_QUERY = (
    *("", "%20", "0", "-1", "1.5", "1_0", "%EF%BC%91", "9" * 30, "2147483648", "9223372036854775808", "1e400", "nan"),
    *(
        "inf",
        "true",
        "null",
        "%00",
        "a%00b",
        "%FF",
        "%ED%A0%80",
        "%0D%0AX:%20y",
        "%E2%80%AE",
        "%27%20OR%20%271%27=%271",
    ),
    *("%25", "_", "*", "role%20in%20(", "(" * 300, "a%2Cb", "..%2F..", "x" * 101, "x" * 5000, "W10", "eyJhIjoxfQ"),
    *("0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00", "2026-01-31T00:00:00Z", "2026-01-31", "-1e18"),
)
IN_A_HEADER: tuple[bytes, ...] = (
    b"",
    b"0",
    b"-1",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"x" * 300,
    b"bytes=0-",
    b"bytes=9-1",
    b"bytes=-0",
)
IN_A_HEADER += (
    b"bytes=0-0,2-2",
    b"bytes=" + b"0-0," * 500,
    b"bytes=99999999999999999999-",
    b'"1"',
    b'W/"1"',
    b"*",
    b"%00",
)
IN_JSON: tuple[Any, ...] = (
    *(None, True, 0, -1, 0.5, 2**31, 2**63, 10**400, 1e308, float("nan"), float("inf"), -1e-320),
    *(
        "",
        " ",
        "\0",
        "a\0b",
        "\ud800",
        "\udfff",
        "\u202e",
        "\u2028",
        "a\r\nb",
        "x" * 101,
        "x" * 5000,
        "' OR 1=1 --",
        "../..",
    ),
    *(
        "nobody@example.test",
        "role in (",
        "*",
        "https://evil.example",
        "javascript:alert(1)",
        "0001-01-01T00:00:00+14:00",
    ),
    *([], {}, [None], [0], [2**31 - 1], [2**31], ["\0"], ["\ud800"], [""], ["x" * 20_000], [[[[]]]], [1] * 300),
    *(
        {"\0": "\0"},
        {"a": "\0"},
        {"\ud800": "x"},
        {"": ""},
        {"a=b": "c"},
        {"x" * 300: "y"},
        {"a": {"b": []}},
        {"a": None},
    ),
)
BODIES = (
    *(
        b"",
        b" ",
        b"{",
        b"[]",
        b"null",
        b"0",
        b'""',
        b"\xff",
        b"\xef\xbb\xbf{}",
        b'{"a":1,"a":2}',
        b'{"\\ud800":1}',
        b"{}{}",
    ),
    *(
        b"[" * 20_000,
        b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
        b"NaN",
        b"-" + b"9" * 5_000,
        b"a=b&c=d",
        b"--x\r\n\r\n--x--",
    ),
)
_CONTENT_TYPES = (
    "application/json",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "a;b=%s",
    "",
)


_SHARP = {
    "%00",
    "9" * 30,
    "0001-01-01T00:00:00%2B14:00",
    "9999-12-31T23:59:59-14:00",
    "\0",
    "\ud800",
    str(10**400),
    str(2**63),
}
"""The values that databases and codecs stumble over: each field meets them, however much is left out."""


@dataclass(frozen=True)
class Wild:
    """One request. ``path`` is encoded already; ``name`` says which value is the hostile one, ``value`` is that."""

    name: str
    method: str
    path: str
    headers: dict[str, bytes] = field(default_factory=dict)
    content: bytes | None = None
    value: str = ""


class Operation:
    """One operation of an OpenAPI ``document``, with values that are right: ``ids`` by the name of a path parameter."""

    def __init__(self, document: Mapping[str, Any], path: str, method: str, ids: Mapping[str, Any], body: Any) -> None:
        described = document["paths"][path][method]
        self.name = f"{method.upper()} {path}"
        self._schemas = document["components"]["schemas"]
        self._method, self._path, self._ids, self._body = method.upper(), path, ids, body
        self._parameters = [(one["name"], one["in"]) for one in described.get("parameters", [])]
        self._schema = described.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        self.answers: dict[str, Any] = described["responses"]
        assert (self._schema is None) == (body is None), f"{self.name}: say what a right body is, if it takes one"

    def plain(self, ids: Mapping[str, Any] | None = None) -> Wild:
        """The request as it should be, or with other ``ids``."""
        return self._wild(
            "as it should be", ids={name: quote(str(value), safe="") for name, value in (ids or {}).items()}
        )

    def wild(self, every: int = 1, start: int = 0, *, sharp: bool = False) -> Iterator[Wild]:
        """Requests with one hostile value each: one of ``every`` such, from ``start`` on, and the ``sharp`` ones."""
        for number, wild in enumerate(self._all(), start):
            if number % every == 0 or (sharp and wild.value in _SHARP):
                yield wild

    def takes(self, status: int) -> bool:
        """Whether the document says that ``status`` may be answered."""
        return str(status) in self.answers or f"{status // 100}XX" in self.answers

    def _all(self) -> Iterator[Wild]:
        for name, place in self._parameters:
            if place == "path":
                for text in IN_A_PATH:
                    yield self._wild(f"{name}={text[:30]}", text, ids={name: text})
            elif place == "query":
                for text in IN_A_QUERY:
                    yield self._wild(f"?{name}={text[:30]}", text, query=f"?{name}={text}")
                yield self._wild(f"?{name} twice", query=f"?{name}=1&{name}=%00")
            else:
                for value in IN_A_HEADER:
                    yield self._wild(f"{name}: {value[:30]!r}", headers={name: value})
        if self._schema is None:
            return
        for place in self._places(self._schema, self._body):
            for value in IN_JSON:
                yield self._wild(
                    f"{'.'.join(place)}={str(value)[:30]!a}", str(value), body=_replaced(self._body, place, value)
                )
        for content in BODIES:
            yield self._wild(f"body {content[:30]!r}", content=content)
        for kind in _CONTENT_TYPES:
            yield self._wild(f"as {kind}", headers={"content-type": kind.encode()})

    def _wild(
        self,
        name: str,
        value: str = "",
        ids: Mapping[str, str] | None = None,
        query: str = "",
        headers: Mapping[str, bytes] | None = None,
        body: Any = None,
        content: bytes | None = None,
    ) -> Wild:
        values = {key: quote(str(value), safe="") for key, value in self._ids.items()} | dict(ids or {})
        sent: dict[str, bytes] = {}
        if self._schema is not None:
            sent = {"content-type": b"application/json"}
            content = json.dumps(body or self._body).encode() if content is None else content
        path = self._path.format(**values) + query
        return Wild(f"{self.name} {name}", self._method, path, sent | dict(headers or {}), content, value)

    def _places(self, schema: Mapping[str, Any], body: Any) -> Iterator[tuple[str, ...]]:
        """Every field, those of structs inside structs as well, and one that does not exist."""
        if "$ref" in schema:
            schema = self._schemas[schema["$ref"].rpartition("/")[2]]
        for name, inner in schema.get("properties", {}).items():
            yield (name,)
            if "$ref" in inner and isinstance(body.get(name), dict):
                yield from ((name, *rest) for rest in self._places(inner, body[name]))
        yield ("no_such_field",)


def _replaced(body: Any, place: tuple[str, ...], value: Any) -> Any:
    name, *rest = place
    return body | {name: _replaced(body[name], tuple(rest), value) if rest else value}
