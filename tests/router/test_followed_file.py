"""The configuration file while somebody edits it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from freellmapi.core.errors import SettingsError
from freellmapi.router.followed_file import FollowedFile


def written(path: Path, text: str) -> None:
    """With a time of its own, however quickly one comes after the other."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    os.utime(path, ns=(before + 1_000_000, before + 1_000_000))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "freellmapi.toml"
    written(path, 'chain = ["one/m"]')
    return path


def test_it_is_taken_once_it_rests_and_only_once(path: Path) -> None:
    followed = FollowedFile(path)
    assert followed.read().chain == ("one/m",)
    assert followed.changed() is None
    written(path, 'chain = ["two/m"]')
    assert followed.changed() is None, "it may be half written"
    written(path, 'chain = ["two/m", "one/m"]')
    assert followed.changed() is None
    for _ in range(2):
        found = followed.changed()
        assert found is not None, "until it is said to be in force"
        assert found.chain == ("two/m", "one/m")
    followed.taken()
    assert followed.changed() is None


@pytest.mark.parametrize("bad", ["chain = [", None], ids=["no TOML", "gone"])
def test_what_cannot_be_read_changes_nothing_and_is_said_once(
    path: Path, bad: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    followed = FollowedFile(path)
    path.unlink() if bad is None else written(path, bad)
    assert [followed.changed() for _ in range(4)] == [None] * 4
    assert len(caplog.records) == 1
    assert "stays in force" in caplog.text
    written(path, 'chain = ["three/m"]')
    assert followed.changed() is None
    found = followed.changed()
    assert found is not None
    assert found.chain == ("three/m",)


def test_a_start_with_no_toml_is_refused(path: Path) -> None:
    written(path, "[[[")
    with pytest.raises(SettingsError):
        FollowedFile(path).read()
