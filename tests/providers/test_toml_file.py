"""Files that come with the program are parsed once, and again when they change."""

from __future__ import annotations

import os
import sys
from datetime import date
from math import inf
from pathlib import Path

import pytest

from freellmapi.providers.toml_file import read_kept


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of a day ago, where Python may keep what it compiles."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = tmp_path / "lab.toml"
    path.write_text('id = "lab"\nchecked = 2026-11-22\n[[models]]\nat_most = inf\n')
    os.utime(path, (1_000_000_000, 1_000_000_000))
    return path


def kept(path: Path) -> list[Path]:
    return list((path.parent / "__pycache__").glob("lab.*.pyc"))


def test_what_stands_in_the_file(path: Path) -> None:
    found = {"id": "lab", "checked": date(2026, 11, 22), "models": [{"at_most": inf}]}
    assert read_kept(path) == found
    assert len(kept(path)) == 1
    assert read_kept(path) == found


def test_it_is_not_parsed_twice(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_kept(path)
    # What cannot be imported is not used.
    for parser in ("tomllib", "tomli"):
        monkeypatch.setitem(sys.modules, parser, None)
    assert read_kept(path)["id"] == "lab"


def test_a_file_that_has_changed_is_read_anew(path: Path) -> None:
    read_kept(path)
    path.write_text('id = "other"')
    assert read_kept(path) == {"id": "other"}


def test_nothing_is_written_where_that_is_turned_off(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert read_kept(path)["id"] == "lab"
    assert not kept(path)
