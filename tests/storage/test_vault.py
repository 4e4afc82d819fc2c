"""Sealing: what opens, what does not, and what is refused at the start."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from freellmapi.core.errors import SettingsError
from freellmapi.storage import vault as vaults
from freellmapi.storage.db import Database
from freellmapi.storage.tables import metadata, vault_canary
from freellmapi.storage.vault import Vault, VaultError

OTHER = Vault(bytes(32))


def test_what_was_sealed_opens_for_the_same_identity(vault: Vault) -> None:
    assert vault.open(vault.seal("sécret", "row:1"), "row:1") == "sécret"


def test_each_sealing_differs(vault: Vault) -> None:
    assert len({vault.seal("secret", "row:1") for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda s: b"", id="empty"),
        pytest.param(lambda s: s[:10], id="cut in the nonce"),
        pytest.param(lambda s: s[:-1], id="cut in the tag"),
        pytest.param(lambda s: b"\x02" + s[1:], id="another version"),
        pytest.param(lambda s: s[:-20] + bytes([s[-20] ^ 1]) + s[-19:], id="one bit"),
        pytest.param(lambda s: OTHER.seal("secret", "row:1"), id="another key"),
    ],
)
def test_what_was_not_sealed_so_does_not_open(vault: Vault, spoil: object) -> None:
    assert callable(spoil)
    with pytest.raises(VaultError, match="row:1"):
        vault.open(spoil(vault.seal("secret", "row:1")), "row:1")


def test_a_value_sealed_for_another_row_does_not_open(vault: Vault) -> None:
    with pytest.raises(VaultError):
        vault.open(vault.seal("secret", "row:1"), "row:2")


def test_fingerprints_are_equal_for_equal_secrets_under_one_key_only(vault: Vault) -> None:
    assert vault.fingerprint("a") == vault.fingerprint("a")
    assert vault.fingerprint("a") != vault.fingerprint("b")
    assert vault.fingerprint("a") != OTHER.fingerprint("a")


def test_a_key_is_64_hexadecimal_characters() -> None:
    assert vaults.parse_key(" " + "aB" * 32 + "\n") == bytes([0xAB]) * 32


@pytest.mark.parametrize("text", [None, "", "ab" * 31, "ab" * 33, "xy" * 32])
def test_anything_else_is_refused_with_the_command_that_makes_one(text: str | None) -> None:
    with pytest.raises(SettingsError) as caught:
        vaults.parse_key(text)
    assert vaults.MAKE_KEY in str(caught.value)
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize(
    ("secret", "shown"),
    [
        ("gsk_" + "x" * 48 + "3fa9", "gsk_••••3fa9"),
        ("sk-or-v1-" + "x" * 60 + "3fa9", "sk-or-v1-••••3fa9"),
        ("AIza" + "x" * 31 + "3fa9", "AIza••••3fa9"),
        ("freellmapi-" + "0" * 44 + "3fa9", "freellmapi-••••3fa9"),
        ("gsk_abcdefgh", "••••efgh"),
        ("secret", "••••et"),
        ("a", "••••"),
        ("", "••••"),
    ],
)
def test_a_mask_keeps_prefix_and_end_but_never_over_a_third(secret: str, shown: str) -> None:
    assert vaults.mask(secret) == shown
    assert len(shown.replace("•", "")) <= len(secret) / 3


def test_the_right_key_is_accepted_on_every_start(database: Database, vault: Vault) -> None:
    vaults.verify(database, vault)
    vaults.verify(database, vault)
    with database.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(vault_canary)) == 1


def test_another_key_is_refused_and_nothing_written(database: Database, vault: Vault) -> None:
    vaults.verify(database, vault)
    before = _contents(database)
    with pytest.raises(SettingsError, match="ENCRYPTION_KEY is not the key"):
        vaults.verify(database, OTHER)
    assert _contents(database) == before


def _contents(database: Database) -> dict[str, list[tuple[object, ...]]]:
    with database.connect() as connection:
        return {
            name: [tuple(row) for row in connection.execute(select(table))]
            for name, table in metadata.tables.items()
        }
