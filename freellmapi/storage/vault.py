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
from sqlalchemy import Connection, delete, insert, select, update

from freellmapi.core.errors import SettingsError
from freellmapi.core.values import dataclass
from freellmapi.storage.db import Database
from freellmapi.storage.tables import vault_canary

MAKE_KEY = 'python3 -c "import secrets; print(secrets.token_hex(32))"'

_VERSION = b"\x01"
_NONCE_BYTES = 12
_CANARY = "freellmapi"
_CANARY_IDENTITY = "vault_canary:1"
_HANDOVER = 2
_HANDOVER_IDENTITY = "vault_canary:2"

ROTATED = "ENCRYPTION_KEY was rotated: set the new key and start the server again"


class VaultError(Exception):
    """A sealed value cannot be opened: another key, another row, or damage."""


class Vault:
    """Seals and opens secrets; ``identity`` names the row a secret belongs to.

    A sealed value is a version byte, a nonce of 12 bytes that is never used twice, then
    ciphertext and tag. Version and identity are authenticated with it, so that a value
    copied into another row does not open there.
    """

    def __init__(self, key: bytes) -> None:
        self._keys = _Subkeys.of(key)
        self._before: _Subkeys | None = None
        self.seen_canary: bytes | None = None
        """The database's canary when ``follow`` last found that it fits."""

    def adopt(self, key: bytes) -> None:
        """Go on with another key; what is in memory, sealed by the last one, still opens."""
        self._before, self._keys = self._keys, _Subkeys.of(key)

    @property
    def was_rotated(self) -> bool:
        """Whether this key is not the one it was made with."""
        return self._before is not None

    def seal(self, plaintext: str, identity: str) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._keys.cipher.encrypt(nonce, plaintext.encode(), _bound(identity))
        return _VERSION + nonce + sealed

    def open(self, sealed: bytes, identity: str) -> str:
        """The plaintext; ``VaultError`` when this is not what was sealed for ``identity``."""
        start = len(_VERSION) + _NONCE_BYTES
        if sealed[:1] != _VERSION or len(sealed) < start:
            raise VaultError(f"the sealed value of {identity} has an unknown form")
        for keys in (self._keys, self._before):
            if keys is None:
                continue
            try:
                found = keys.cipher.decrypt(sealed[1:start], sealed[start:], _bound(identity))
                return found.decode()
            except InvalidTag:
                continue
        raise VaultError(f"the sealed value of {identity} does not open")

    def fits(self, canary: bytes) -> bool:
        """Whether it is this very key, not the one before it, that the canary is sealed by."""
        try:
            start = len(_VERSION) + _NONCE_BYTES
            bound = _bound(_CANARY_IDENTITY)
            self._keys.cipher.decrypt(canary[1:start], canary[start:], bound)
        except InvalidTag:
            return False
        return True

    def fingerprint(self, plaintext: str) -> bytes:
        """Equal for equal secrets, and of no use to who does not have the key."""
        return hmac.digest(self._keys.fingerprint, plaintext.encode(), hashlib.sha256)


@dataclass(frozen=True, slots=True)
class _Subkeys:
    cipher: AESGCM
    fingerprint: bytes

    @classmethod
    def of(cls, key: bytes) -> _Subkeys:
        cipher = AESGCM(_subkey(key, b"freellmapi seal v1"))
        return cls(cipher, _subkey(key, b"freellmapi fingerprint v1"))


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
        with database.connect() as connection:
            follow(connection, vault)
    except VaultError as exc:
        raise SettingsError(
            "ENCRYPTION_KEY is not the key that this database was encrypted with; set the key "
            "used before, or set DATABASE_URL to a new database to start afresh."
        ) from exc


def follow(connection: Connection, vault: Vault) -> None:
    """Takes over the database's key if it was rotated meanwhile; ``VaultError`` if that fails.

    Within each transaction that seals; after the read, before what was read is opened. Nearly
    always that is one look at one row.
    """
    canary = _canary(connection)
    if canary is None or canary == vault.seen_canary:
        return
    if not vault.fits(canary):
        handed = handed_over(connection)
        if handed is None:
            raise VaultError(ROTATED)
        vault.adopt(bytes.fromhex(vault.open(handed, _HANDOVER_IDENTITY)))
        if not vault.fits(canary):
            raise VaultError(ROTATED)
    vault.seen_canary = canary


def handed_over(connection: Connection) -> bytes | None:
    """The new key, sealed by the one before it; None when no rotation is under way."""
    return connection.scalar(select(vault_canary.c.sealed).where(vault_canary.c.id == _HANDOVER))


def hand_over(connection: Connection, vault: Vault, new_key: bytes) -> None:
    """Makes ``new_key`` the database's, and leaves word of it to who has the old one."""
    word = vault.seal(new_key.hex(), _HANDOVER_IDENTITY)
    connection.execute(insert(vault_canary).values(id=_HANDOVER, sealed=word))
    sealed = Vault(new_key).seal(_CANARY, _CANARY_IDENTITY)
    connection.execute(update(vault_canary).where(vault_canary.c.id == 1).values(sealed=sealed))


def end_handover(connection: Connection) -> bool:
    """From now on the old key opens nothing; whether it did until now."""
    gone = connection.execute(delete(vault_canary).where(vault_canary.c.id == _HANDOVER))
    return bool(gone.rowcount)


def mask(secret: str) -> str:
    """What may be seen of a secret: ``gsk_••••3fa9``, never more than a third of it."""
    budget = len(secret) // 3
    tail = min(4, budget)
    stem = re.match(r"[A-Za-z]{2,12}[-_](?:(?:[a-z]{1,5}|v\d)[-_]){0,2}", secret)
    head = stem.group() if stem else secret[:4]
    return f"{head[: budget - tail]}••••{secret[len(secret) - tail :]}"


def _canary(connection: Connection) -> bytes | None:
    return connection.scalar(select(vault_canary.c.sealed).where(vault_canary.c.id == 1))


def _subkey(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(key)


def _bound(identity: str) -> bytes:
    return _VERSION + identity.encode()
