"""Passwords at rest: scrypt, with its cost and salt beside the digest."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

SHORTEST = 8
LONGEST = 1_024
"""Characters. The upper bound keeps one request from hashing megabytes."""

_N, _R, _P = 2**15, 8, 1
_SALT_BYTES = 16
_DIGEST_BYTES = 32
_MEMORY = 64 * 2**20
"""Bytes that OpenSSL may take; scrypt takes 128 * N * r, which is 32 MiB here."""


def hashed(password: str) -> str:
    """``scrypt$N$r$p$salt$digest``. Takes some 60 ms and 32 MiB: not for the hub."""
    salt = secrets.token_bytes(_SALT_BYTES)
    digest = _scrypt(password, salt, _N, _R, _P)
    return "$".join(("scrypt", str(_N), str(_R), str(_P), _text(salt), _text(digest)))


def matches(password: str, stored: str) -> bool:
    """Whether this is the password that was hashed; as slow as ``hashed``."""
    name, n, r, p, salt, digest = stored.split("$")
    if name != "scrypt" or len(password) > LONGEST:
        return False
    made = _scrypt(password, base64.b64decode(salt), int(n), int(r), int(p))
    return hmac.compare_digest(made, base64.b64decode(digest))


def complaint(password: str) -> str | None:
    """What is wrong with a new password; None when it will do."""
    if len(password) < SHORTEST:
        return f"Use at least {SHORTEST} characters."
    if len(password) > LONGEST:
        return f"Use at most {LONGEST:,} characters."
    return None


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"),
        salt=salt,
        n=n,
        r=r,
        p=p,
        maxmem=_MEMORY,
        dklen=_DIGEST_BYTES,
    )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
