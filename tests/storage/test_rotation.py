"""Another encryption key under stores that are in use."""

from __future__ import annotations

import pytest

from freellmapi.core.errors import SettingsError
from freellmapi.storage.db import Database
from freellmapi.storage.keys import DuplicateKey, KeyStore
from freellmapi.storage.rotation import RotationPending, finish, rotate
from freellmapi.storage.tables import client_tokens, provider_keys, vault_canary
from freellmapi.storage.tokens import TokenStore
from freellmapi.storage.vault import Vault, VaultError, verify
from tests.fakes.clock import FrozenClock

OLD, NEW, THIRD = bytes(range(32)), bytes(range(1, 33)), bytes(range(2, 34))
SECRET = "gsk_" + "a1b2" * 13
OTHER = "gsk_" + "c3d4" * 13


class Process:
    """One process with the database open under a key."""

    def __init__(self, database: Database, key: bytes) -> None:
        self.database = database
        self.vault = Vault(key)
        verify(database, self.vault)
        self.keys = KeyStore(database, self.vault, FrozenClock())
        self.tokens = TokenStore(database, self.vault, FrozenClock())


@pytest.fixture
def server(database: Database) -> Process:
    """One that runs all the time."""
    found = Process(database, OLD)
    found.keys.add("groq", SECRET)
    found.tokens.ensure()
    return found


def rotated(database: Database, key: bytes = NEW) -> None:
    """As the command does, in a process of its own."""
    rotate(database, Process(database, OLD).vault, key)


def test_everything_is_sealed_anew(server: Process, database: Database) -> None:
    token = server.tokens.reveal()
    done = rotate(database, Process(database, OLD).vault, NEW)
    assert (done.keys, done.tokens, done.unreadable) == (1, 1, ())
    finish(database)
    started = Process(database, NEW)
    assert [started.keys.secret(key) for key in started.keys.all()] == [SECRET]
    assert started.tokens.reveal() == token
    with pytest.raises(DuplicateKey):
        started.keys.add("groq", SECRET)


def test_after_it_is_finished_nothing_opens_with_the_old_key(
    server: Process, database: Database
) -> None:
    rotated(database)
    assert finish(database) and not finish(database)
    with pytest.raises(SettingsError, match="not the key"):
        Process(database, OLD)
    old = Vault(OLD)
    with database.connect() as connection:
        tables = (provider_keys, client_tokens, vault_canary)
        sealed = [row.sealed for table in tables for row in connection.execute(table.select())]
    assert len(sealed) == 3
    for value in sealed:
        for identity in ("provider_key:1:groq", "client_token:1", "vault_canary:1"):
            with pytest.raises(VaultError):
                old.open(value, identity)


def test_a_running_server_reads_and_writes_on(server: Process, database: Database) -> None:
    held = server.keys.all()
    rotated(database)
    # What is in memory, before anything is read again.
    assert server.keys.secret(held[0]) == SECRET
    added = server.keys.add("groq", OTHER)
    assert server.keys.secret(added) == OTHER
    assert server.keys.secret(held[0]) == SECRET, "and after it took the new key over"
    finish(database)
    started = Process(database, NEW)
    assert [started.keys.secret(key) for key in started.keys.all()] == [SECRET, OTHER]


@pytest.mark.parametrize("act", ["reveal", "all", "find", "rotate token"])
def test_whatever_is_done_first_takes_the_new_key_over(
    server: Process, database: Database, act: str
) -> None:
    rotated(database)
    if act == "reveal":
        assert server.tokens.reveal().startswith("freellmapi-")
    elif act == "all":
        assert server.keys.secret(server.keys.all()[0]) == SECRET
    elif act == "find":
        assert server.keys.find("groq", SECRET) is not None
    else:
        assert server.tokens.rotate() == Process(database, NEW).tokens.reveal()


def test_a_duplicate_is_known_across_a_rotation(server: Process, database: Database) -> None:
    rotated(database)
    with pytest.raises(DuplicateKey):
        server.keys.add("groq", SECRET)


def test_a_key_removed_before_comes_back_after(server: Process, database: Database) -> None:
    (removed,) = server.keys.all()
    server.keys.remove(removed.id)
    rotated(database)
    server.keys.restore(removed)
    finish(database)
    started = Process(database, NEW)
    assert started.keys.secret(started.keys.all()[0]) == SECRET


def test_until_it_is_finished_the_old_key_starts_a_server_too(
    server: Process, database: Database
) -> None:
    rotated(database)
    late = Process(database, OLD)
    assert late.vault.was_rotated
    assert late.keys.secret(late.keys.all()[0]) == SECRET


def test_who_slept_through_it_writes_nothing_with_the_old_key(
    server: Process, database: Database
) -> None:
    held = server.keys.all()
    rotated(database)
    finish(database)
    for act in (
        lambda: server.keys.add("groq", OTHER),
        server.keys.all,
        server.tokens.reveal,
        server.tokens.rotate,
    ):
        with pytest.raises(VaultError, match="was rotated"):
            act()
    assert server.keys.secret(held[0]) == SECRET, "what it holds goes on serving"
    assert len(Process(database, NEW).keys.all()) == 1


def test_one_rotation_at_a_time(server: Process, database: Database) -> None:
    rotated(database)
    with pytest.raises(RotationPending):
        rotate(database, Process(database, NEW).vault, THIRD)
    finish(database)
    rotate(database, Process(database, NEW).vault, THIRD)
    assert Process(database, THIRD).keys.find("groq", SECRET) is not None


def test_a_failure_at_its_end_changes_nothing(server: Process, database: Database) -> None:
    with database.begin() as connection:
        # What is counted last is not there to be counted.
        connection.exec_driver_sql("UPDATE counters SET name = 'away' WHERE name = 'config'")
    with pytest.raises(AssertionError, match="no counter"):
        rotated(database)
    assert Process(database, OLD).keys.find("groq", SECRET) is not None
    assert not Process(database, OLD).vault.was_rotated


def test_a_damaged_key_does_not_stop_it(server: Process, database: Database) -> None:
    added = server.keys.add("groq", OTHER)
    with database.begin() as connection:
        row = provider_keys.c.id == added.id
        connection.execute(provider_keys.update().where(row).values(sealed=b"\x01" + b"x" * 40))
    done = rotate(database, Process(database, OLD).vault, NEW)
    assert (done.keys, done.unreadable) == (1, (added.id,))
