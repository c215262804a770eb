"""What no file of the dashboard may do: make a page, or code, of text."""

import re
from collections.abc import Callable, Iterator

_FORBIDDEN = {
    r"dangerouslySetInnerHTML": "makes a page of text",
    r"\.(?:inner|outer)HTML\s*\+?=(?!=)": "makes a page of text",
    r"insertAdjacentHTML|document\.write(?:ln)?\(|createContextualFragment|\bsrcDoc\b": "makes a page of text",
    r"(?<![\w.])eval\(|new Function\(": "makes code of text",
    r"(?<![\w-])set(?:Timeout|Interval)\(\s*[\"'`]": "makes code of text",
    r"""\bhref=\{?["'`]javascript:""": "makes code of text",
}


def markup(_file: str, source: str) -> Iterator[tuple[int, str]]:
    """No ``innerHTML`` and its like."""
    for number, line in enumerate(source.splitlines(), 1):
        for pattern, what in _FORBIDDEN.items():
            if re.search(pattern, line):
                yield number, f"this {what}: let React show it"


RULES: dict[str, Callable[[str, str], Iterator[tuple[int, str]]]] = {"markup": markup}
