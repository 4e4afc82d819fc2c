from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Run

GOOD = "correct horse\n"


def test_an_account_is_made_once(run: Run) -> None:
    made = run("admin", "create", "ada", "--password-stdin", stdin=GOOD)
    assert (made.exit_code, made.stdout) == (0, "ada can log in now.\n")
    again = run("admin", "create", "ada", "--password-stdin", stdin=GOOD)
    assert again.exit_code == 1
    assert "reset-password" in again.stderr


def test_the_password_is_asked_for_twice(run: Run) -> None:
    made = run("admin", "create", stdin="correct horse\ncorrect horse\n")
    assert made.exit_code == 0
    assert made.stdout == "admin can log in now.\n"
    assert "correct horse" not in made.output


def test_a_short_password_is_refused(run: Run) -> None:
    refused = run("admin", "create", "--password-stdin", stdin="short\n")
    assert refused.exit_code == 2
    assert "at least 8" in refused.stderr


def test_the_only_account_needs_no_name(run: Run) -> None:
    run("admin", "create", "ada", "--password-stdin", stdin=GOOD)
    changed = run("admin", "reset-password", "--password-stdin", "--json", stdin=GOOD)
    assert json.loads(changed.stdout) == {"name": "ada"}


@pytest.mark.parametrize(
    ("names", "words", "said"),
    [
        pytest.param((), (), "admin create", id="there is no account"),
        pytest.param(("ada", "bea"), (), "ada, bea", id="there are two"),
        pytest.param(("ada",), ("eve",), "'eve'", id="nobody is called that"),
    ],
)
def test_a_reset_names_whose(
    run: Run, names: tuple[str, ...], words: tuple[str, ...], said: str
) -> None:
    for name in names:
        run("admin", "create", name, "--password-stdin", stdin=GOOD)
    refused = run("admin", "reset-password", *words, "--password-stdin", stdin=GOOD)
    assert refused.exit_code == 2
    assert said in refused.stderr
