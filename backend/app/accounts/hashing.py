"""How secrets that nobody can guess are kept."""

import hashlib


def secret_hash(secret: str) -> str:
    """How a secret of many random bits is kept: SHA-256, hexadecimal. It needs no salt and no slow hash."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
