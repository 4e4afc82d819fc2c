"""Secrets at rest: sealed with AES-256-GCM, each to the one row it belongs to."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Connection, insert, select

from freellmapi.core.errors import SettingsError
from freellmapi.storage.db import Database
from freellmapi.storage.tables import vault_canary

MAKE_KEY = 'python3 -c "import secrets; print(secrets.token_hex(32))"'

_VERSION = b"\x01"
_NONCE_BYTES = 12
_CANARY = "freellmapi"
_CANARY_IDENTITY = "vault_canary:1"


class VaultError(Exception):
    """A sealed value cannot be opened: another key, another row, or damage."""


class Vault:
    """Seals and opens secrets; ``identity`` names the row a secret belongs to.

    A sealed value is a version byte, a nonce of 12 bytes that is never used twice, then
    ciphertext and tag. Version and identity are authenticated with it, so that a value
    copied into another row does not open there.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(_subkey(key, b"freellmapi seal v1"))
        self._fingerprint_key = _subkey(key, b"freellmapi fingerprint v1")

    def seal(self, plaintext: str, identity: str) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, plaintext.encode(), _bound(identity))
        return _VERSION + nonce + sealed

    def open(self, sealed: bytes, identity: str) -> str:
        """The plaintext; ``VaultError`` when this is not what was sealed for ``identity``."""
        start = len(_VERSION) + _NONCE_BYTES
        if sealed[:1] != _VERSION or len(sealed) < start:
            raise VaultError(f"the sealed value of {identity} has an unknown form")
        try:
            plaintext = self._cipher.decrypt(sealed[1:start], sealed[start:], _bound(identity))
        except InvalidTag as exc:
            raise VaultError(f"the sealed value of {identity} does not open") from exc
        return plaintext.decode()

    def fingerprint(self, plaintext: str) -> bytes:
        """Equal for equal secrets, and of no use to who does not have the key."""
        return hmac.digest(self._fingerprint_key, plaintext.encode(), hashlib.sha256)


def parse_key(text: str | None) -> bytes:
    """The 32 bytes that ENCRYPTION_KEY stands for; ``SettingsError`` if it is not one."""
    stripped = (text or "").strip()
    if re.fullmatch(r"[0-9a-fA-F]{64}", stripped):
        return bytes.fromhex(stripped)
    wrong = "is not 64 hexadecimal characters" if stripped else "is not set"
    raise SettingsError(f"ENCRYPTION_KEY {wrong}; make one with: {MAKE_KEY}")


def session_key(key: bytes) -> bytes:
    """What the dashboard's cookies are signed with: of ENCRYPTION_KEY, but no way back to it."""
    return _subkey(key, b"freellmapi session v1")


def verify(database: Database, vault: Vault) -> None:
    """Makes sure that the vault's key is the one this database was begun with.

    The first run leaves a sealed canary; ``SettingsError`` if it does not open later.
    """
    with database.connect() as connection:
        sealed = _canary(connection)
    if sealed is None:
        with database.begin() as connection:
            # Another process may have been first, with a key of its own.
            sealed = _canary(connection)
            if sealed is None:
                sealed = vault.seal(_CANARY, _CANARY_IDENTITY)
                connection.execute(insert(vault_canary).values(id=1, sealed=sealed))
    try:
        vault.open(sealed, _CANARY_IDENTITY)
    except VaultError as exc:
        raise SettingsError(
            "ENCRYPTION_KEY is not the key that this database was encrypted with; set the key "
            "used before, or set DATABASE_URL to a new database to start afresh."
        ) from exc


def mask(secret: str) -> str:
    """What may be seen of a secret: ``gsk_••••3fa9``, never more than a third of it."""
    budget = len(secret) // 3
    tail = min(4, budget)
    stem = re.match(r"[A-Za-z]{2,12}[-_](?:(?:[a-z]{1,5}|v\d)[-_]){0,2}", secret)
    head = stem.group() if stem else secret[:4]
    return f"{head[: budget - tail]}••••{secret[len(secret) - tail :]}"


def _canary(connection: Connection) -> bytes | None:
    return connection.scalar(select(vault_canary.c.sealed))


def _subkey(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(key)


def _bound(identity: str) -> bytes:
    return _VERSION + identity.encode()
