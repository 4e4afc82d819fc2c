from __future__ import annotations

import json
import re

import pytest

from freellmapi import __version__
from freellmapi.cli import main
from tests.cli.conftest import Run


def test_token_show_prints_the_key_and_nothing_else(run: Run) -> None:
    shown = run("token", "show")
    assert re.fullmatch(r"freellmapi-[0-9a-f]{48}\n", shown.stdout)
    assert shown.stderr == ""
    assert run("token", "show").stdout == shown.stdout


def test_token_rotate_replaces_it(run: Run) -> None:
    before = run("token", "show").stdout
    rotated = run("token", "rotate").stdout
    assert rotated != before
    assert run("token", "show").stdout == rotated
    assert json.loads(run("token", "show", "--json").stdout) == {"token": rotated.strip()}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"ENCRYPTION_KEY": ""}, "ENCRYPTION_KEY is not set"),
        ({"ENCRYPTION_KEY": "abc"}, "ENCRYPTION_KEY is not 64"),
        ({"PORT": "x"}, "PORT is 'x'"),
    ],
)
def test_wrong_settings_are_one_sentence_and_exit_code_two(
    run: Run, environ: dict[str, str], change: dict[str, str], complaint: str
) -> None:
    environ.update(change)
    result = run("token", "show")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"freellmapi: {complaint}")
    assert result.stderr.count("\n") == 1


def test_another_encryption_key_than_before_is_refused(run: Run, environ: dict[str, str]) -> None:
    run("token", "show")
    environ["ENCRYPTION_KEY"] = "cd" * 32
    result = run("token", "show")
    assert result.exit_code == 2
    assert "not the key that this database was encrypted with" in result.stderr


def test_with_json_a_failure_is_json_too(run: Run) -> None:
    result = run("keys", "remove", "7", "--json")
    assert result.exit_code == 1
    assert "no key 7" in json.loads(result.stdout)["error"]


def test_every_command_has_json_and_help(run: Run) -> None:
    for name, command in main.commands.items():
        for sub in getattr(command, "commands", {"": None}):
            shown = run(*filter(None, (name, sub)), "--help")
            assert shown.exit_code == 0
            assert "--json" in shown.output, (name, sub)


def test_version(run: Run) -> None:
    assert run("--version").output == f"freellmapi, version {__version__}\n"
