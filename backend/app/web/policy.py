"""What browsers are told to refuse, for pages and for everything else.

Invariant: no page needs ``unsafe-inline``; a page's own scripts and styles carry a nonce made for that one response.
"""

import secrets

_PAGE = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'nonce-{nonce}'",
        "style-src 'self' 'nonce-{nonce}'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "worker-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)

HEADERS = {
    "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
"""On every response that does not set its own."""

HSTS = "max-age=31536000"
"""Only on what came over https."""


def new_nonce() -> str:
    """A nonce for one page."""
    return secrets.token_urlsafe(16)


def for_page(nonce: str) -> str:
    """The Content-Security-Policy of a page whose scripts and styles carry ``nonce``."""
    return _PAGE.format(nonce=nonce)
