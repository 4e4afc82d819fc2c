"""Accounts and their passwords at rest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from freellmapi.storage import passwords
from freellmapi.storage.accounts import Account, AccountExists, AccountStore, UnknownAccount
from freellmapi.storage.db import Database
from freellmapi.storage.tables import accounts as table
from freellmapi.storage.vault import Vault, verify
from tests.fakes.clock import FrozenClock

PASSWORD = "correct horse"


@pytest.fixture
def accounts(database: Database, vault: Vault, clock: FrozenClock) -> AccountStore:
    verify(database, vault)
    return AccountStore(database, vault, clock)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(f"sqlite:///{tmp_path / 'other.db'}")
    database.migrate()
    yield database
    database.close()


def test_only_the_right_password_is_right(accounts: AccountStore) -> None:
    made = accounts.create("ada", PASSWORD)
    assert accounts.checked("ada", PASSWORD) == made
    assert accounts.checked("ada", PASSWORD + "s") is None
    assert accounts.checked("Ada", PASSWORD) is None
    assert accounts.checked("ada", "x" * 10_000) is None


def test_the_password_itself_is_nowhere(accounts: AccountStore, database: Database) -> None:
    accounts.create("ada", PASSWORD)
    accounts.create("bea", PASSWORD)
    with database.connect() as connection:
        stored = connection.scalars(select(table.c.password)).all()
    assert all(s.startswith("scrypt$32768$8$1$") and PASSWORD not in s for s in stored)
    assert stored[0] != stored[1]


def test_a_name_is_given_once(accounts: AccountStore) -> None:
    accounts.create("ada", PASSWORD)
    with pytest.raises(AccountExists, match="ada"):
        accounts.create("ada", PASSWORD)


def test_there_is_one_first_account(accounts: AccountStore) -> None:
    assert not accounts.any()
    accounts.create("ada", PASSWORD, only_first=True)
    with pytest.raises(AccountExists, match="log in"):
        accounts.create("eve", PASSWORD, only_first=True)
    assert accounts.names() == ("ada",)


def test_a_new_password_begins_a_new_epoch(accounts: AccountStore) -> None:
    made = accounts.create("ada", PASSWORD)
    assert accounts.set_password("ada", "battery staple") == Account(made.id, "ada", 2)
    assert accounts.get(made.id) == Account(made.id, "ada", 2)
    assert accounts.checked("ada", PASSWORD) is None
    with pytest.raises(UnknownAccount, match="nobody"):
        accounts.set_password("nobody", PASSWORD)


def test_nobody_has_an_id_that_was_not_given(accounts: AccountStore) -> None:
    assert accounts.get(7) is None


def test_the_setup_code_belongs_to_database_and_key(
    accounts: AccountStore, database: Database, elsewhere: Database, clock: FrozenClock
) -> None:
    vault, code = Vault(bytes(range(32))), accounts.setup_code()
    assert len(code) == 14
    assert AccountStore(database, vault, clock).setup_code() == code
    assert AccountStore(database, Vault(bytes(32)), clock).setup_code() != code
    verify(elsewhere, vault)
    assert AccountStore(elsewhere, vault, clock).setup_code() != code


@pytest.mark.parametrize(
    ("password", "said"),
    [("1234567", "at least 8"), ("x" * 1_025, "at most"), ("12345678", None), ("пароль!!", None)],
)
def test_new_passwords_have_a_length(password: str, said: str | None) -> None:
    complaint = passwords.complaint(password)
    assert said in complaint if said and complaint else complaint is said


def test_a_digest_says_how_it_was_made() -> None:
    stored = passwords.hashed(PASSWORD)
    assert passwords.matches(PASSWORD, stored)
    weaker = stored.replace("$32768$", "$16384$")
    assert not passwords.matches(PASSWORD, weaker)
    assert not passwords.matches(PASSWORD, stored.replace("scrypt", "plain"))
