"""Client tokens: shown to their owner, known by digest, ended at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from freellmapi.storage.config import ConfigStore
from freellmapi.storage.db import Database
from freellmapi.storage.tokens import TokenExists, TokenStore, UnknownToken, digest
from freellmapi.storage.vault import Vault
from tests.fakes.clock import FrozenClock


def test_the_first_start_makes_the_unified_token_and_later_ones_keep_it(
    tokens: TokenStore, clock: FrozenClock
) -> None:
    tokens.ensure()
    first = tokens.reveal()
    tokens.ensure()
    assert tokens.reveal() == first
    assert re.fullmatch(r"freellmapi-[0-9a-f]{48}", first)
    (token,) = tokens.live()
    assert (token.name, token.digest, token.created_at) == ("unified", digest(first), clock.now())


def test_the_token_is_nowhere_in_the_files(
    sqlite: Database, vault: Vault, clock: FrozenClock, tmp_path: Path
) -> None:
    token = TokenStore(sqlite, vault, clock).create("laptop")
    contents = [file.read_bytes() for file in (tmp_path / "data").iterdir()]
    assert any(b"laptop" in content for content in contents)
    assert not any(token[11:-4].encode() in content for content in contents)


def test_rotating_ends_the_old_token(tokens: TokenStore) -> None:
    tokens.ensure()
    old = tokens.reveal()
    new = tokens.rotate()
    assert tokens.reveal() == new != old
    assert [token.digest for token in tokens.live()] == [digest(new)]


def test_a_revoked_token_is_neither_live_nor_shown(tokens: TokenStore) -> None:
    tokens.create("laptop")
    assert tokens.revoke("laptop")
    assert not tokens.revoke("laptop")
    assert tokens.live() == ()
    with pytest.raises(UnknownToken, match="laptop"):
        tokens.reveal("laptop")


def test_a_name_is_taken_while_its_token_lives(tokens: TokenStore) -> None:
    tokens.create("laptop")
    with pytest.raises(TokenExists, match="laptop"):
        tokens.create("laptop")
    tokens.revoke("laptop")
    tokens.create("laptop")
    assert len(tokens.live()) == 1


def test_touch_notes_the_use_of_these_tokens_only(tokens: TokenStore) -> None:
    tokens.create("a")
    tokens.create("b")
    tokens.touch([tokens.live()[1].id], 5.0)
    assert [token.last_used_at for token in tokens.live()] == [None, 5.0]


def test_writes_change_the_version_and_touches_do_not(
    tokens: TokenStore, config: ConfigStore
) -> None:
    versions = [config.version()]
    for write in (
        lambda: tokens.create("a"),
        lambda: tokens.rotate("a"),
        lambda: tokens.revoke("a"),
    ):
        write()
        versions.append(config.version())
    assert sorted(set(versions)) == versions
    tokens.touch([1], 5.0)
    tokens.revoke("a")
    assert config.version() == versions[-1]
