"""A QR code as the path of an SVG, so that a page draws it without markup that came as text."""

from dataclasses import dataclass
from itertools import groupby


@dataclass(frozen=True, slots=True)
class QrCode:
    """``path`` fills the dark modules of a square of ``size`` modules, the quiet zone among them."""

    size: int
    path: str


_QUIET = 4  # modules, as the standard asks for


def qr_code(text: str) -> QrCode:
    """The code that says ``text``."""
    import segno  # rarely needed, and as long to load as a tenth of the server

    rows = [bytes(row) for row in segno.make_qr(text, error="m", boost_error=False).matrix]
    path = "".join(_runs(y + _QUIET, row) for y, row in enumerate(rows))
    return QrCode(len(rows) + 2 * _QUIET, path)


def _runs(y: int, row: bytes) -> str:
    """One row's dark modules, each run of them a rectangle of height 1."""
    x, drawn = _QUIET, ""
    for dark, modules in groupby(row):
        length = len(list(modules))
        if dark:
            drawn += f"M{x} {y}h{length}v1h-{length}z"
        x += length
    return drawn
