"""The owner's choices: kept as they were set, each write a new version."""

from __future__ import annotations

import logging

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from freellmapi.storage.config import ChainRow, ConfigStore
from freellmapi.storage.db import Database
from freellmapi.storage.keys import DuplicateKey, KeyStore


def test_settings_keep_their_json_values(config: ConfigStore) -> None:
    config.put_settings({"patience": 1.5, "names": ["a", "ü"], "off": None})
    config.put_settings({"patience": 2, "sticky": True})
    assert config.settings() == {"patience": 2, "names": ["a", "ü"], "off": None, "sticky": True}


def test_a_deleted_setting_is_gone(config: ConfigStore) -> None:
    config.put_settings({"a": 1})
    assert config.delete_setting("a")
    assert not config.delete_setting("a")
    assert config.settings() == {}


def test_the_chain_is_replaced_as_a_whole_and_keeps_its_order(config: ConfigStore) -> None:
    config.put_chain([ChainRow("z/m", True), ChainRow("a/m", False)])
    rows = (ChainRow("b/m", True), ChainRow("z/m", False), ChainRow("a/m", True))
    config.put_chain(rows)
    assert config.chain() == rows
    config.put_chain([])
    assert config.chain() == ()


def test_a_chain_that_cannot_be_written_leaves_the_old_one(config: ConfigStore) -> None:
    config.put_chain([ChainRow("a/m", True)])
    version = config.version()
    with pytest.raises(IntegrityError):
        config.put_chain([ChainRow("b/m", True), ChainRow(None, True)])  # type: ignore[arg-type]
    assert config.chain() == (ChainRow("a/m", True),)
    assert config.version() == version


def test_a_chain_is_written_only_at_the_version_it_was_made_for(config: ConfigStore) -> None:
    seen = config.version()
    assert config.put_chain([ChainRow("a/m", True)], {"strategy": "fast"}, only_at=seen)
    assert config.settings()["strategy"] == "fast"
    assert not config.put_chain([ChainRow("b/m", True)], {"strategy": "smart"}, only_at=seen)
    assert config.chain() == (ChainRow("a/m", True),)
    assert config.settings()["strategy"] == "fast"


def test_custom_providers_are_put_replaced_and_deleted(config: ConfigStore) -> None:
    config.put_custom_provider("mine", {"base_url": "http://localhost:1/v1"})
    config.put_custom_provider("mine", {"base_url": "http://localhost:2/v1"})
    assert config.custom_providers() == {"mine": {"base_url": "http://localhost:2/v1"}}
    assert config.delete_custom_provider("mine")
    assert not config.delete_custom_provider("mine")
    assert config.custom_providers() == {}


def test_each_write_is_a_new_version_and_each_read_is_not(config: ConfigStore) -> None:
    versions = [config.version()]
    for write in (
        lambda: config.put_settings({"a": 1}),
        lambda: config.delete_setting("a"),
        lambda: config.put_chain([]),
        lambda: config.put_custom_provider("x", {}),
        lambda: config.delete_custom_provider("x"),
    ):
        write()
        versions.append(config.version())
    assert versions == list(range(versions[0], versions[0] + 6))
    config.delete_setting("a")
    config.delete_custom_provider("x")
    assert config.settings() == config.custom_providers() == {}
    assert config.version() == versions[-1]


def test_one_damaged_row_does_not_hide_the_others(
    config: ConfigStore, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    config.put_settings({"good": 1, "bad": 2})
    with database.begin() as connection:
        connection.execute(text("UPDATE settings SET value = '{' WHERE name = 'bad'"))
    with caplog.at_level(logging.WARNING):
        assert config.settings() == {"good": 1}
    assert "name=bad" in caplog.text


def test_what_was_discovered_is_kept_by_provider_and_a_new_version(config: ConfigStore) -> None:
    before = config.version()
    config.put_discovered("groq", {"gone": {"old": "2026-11-22"}})
    config.put_discovered("groq", {"gone": {}})
    assert config.discovered() == {"groq": {"gone": {}}}
    assert config.version() > before
    assert config.delete_discovered("groq")
    assert not config.delete_discovered("groq")


def test_further_documents_are_kept_and_read_back(config: ConfigStore) -> None:
    assert (config.limits(), config.env_keys(), config.last_import()) == ((), (), None)
    before = config.version()
    config.put_limits([{"provider": "groq", "rpm": 5}])
    config.put_env_keys([("groq", "GROQ_TWO", "two")])
    config.put_last_import({"at": 1.0})
    assert config.limits() == ({"provider": "groq", "rpm": 5},)
    assert config.env_keys() == (("groq", "GROQ_TWO", "two"),)
    assert config.last_import() == {"at": 1.0}
    assert config.version() > before


def test_writes_as_one_are_seen_within_and_kept_or_lost_together(
    config: ConfigStore, keys: KeyStore, database: Database
) -> None:
    with pytest.raises(RuntimeError), database.as_one():
        config.put_settings({"a": 1})
        keys.add("groq", "gsk_one")
        assert config.settings() == {"a": 1}
        raise RuntimeError
    assert config.settings() == {} and keys.all() == ()
    with database.as_one():
        config.put_settings({"a": 1})
        stored = keys.add("groq", "gsk_one")
        with pytest.raises(DuplicateKey):
            keys.add("groq", "gsk_one")
    assert config.settings() == {"a": 1} and keys.all() == (stored,)
