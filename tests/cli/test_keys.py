from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Run

SECRET = "al_12345678abcdefgh"


def test_a_piped_key_is_stored_and_listed_masked(run: Run) -> None:
    added = run("keys", "add", "alpha", "--label", "main", stdin=f" {SECRET}\n")
    assert added.exit_code == 0, added.output
    listed = run("keys", "list")
    assert "alpha" in listed.output
    assert "main" in listed.output
    assert SECRET not in added.output + listed.output


def test_a_key_is_read_from_a_variable(run: Run, environ: dict[str, str]) -> None:
    environ["MY_KEY"] = SECRET
    assert run("keys", "add", "alpha", "--from-env", "MY_KEY").exit_code == 0
    assert len(json.loads(run("keys", "list", "--json").output)) == 1


def test_keys_of_the_environment_are_listed_with_their_variable(
    run: Run, environ: dict[str, str]
) -> None:
    environ["ALPHA_API_KEY"] = SECRET
    (key,) = json.loads(run("keys", "list", "--json").output)
    assert (key["source"], key["from"]) == ("environment", "ALPHA_API_KEY")
    assert SECRET not in run("keys", "list").output


def test_enable_disable_remove(run: Run) -> None:
    id = json.loads(run("keys", "add", "alpha", "--json", stdin=SECRET).output)["id"]
    assert run("keys", "disable", str(id)).exit_code == 0
    assert json.loads(run("--json", "keys", "list").output)[0]["enabled"] is False
    assert run("keys", "enable", str(id)).exit_code == 0
    assert json.loads(run("keys", "--json", "list").output)[0]["enabled"] is True
    assert run("keys", "remove", str(id)).exit_code == 0
    assert json.loads(run("keys", "list", "--json").output) == []


@pytest.mark.parametrize("command", ["remove", "enable", "disable"])
def test_a_key_that_is_not_there_fails(run: Run, command: str) -> None:
    result = run("keys", command, "7")
    assert (result.exit_code, "no key 7" in result.stderr) == (1, True)


def test_a_key_stored_twice_fails_and_names_the_first(run: Run) -> None:
    run("keys", "add", "alpha", stdin=SECRET)
    again = run("keys", "add", "alpha", stdin=SECRET)
    assert again.exit_code == 1
    assert "stored already" in again.stderr
    assert SECRET not in again.stderr


@pytest.mark.parametrize(
    ("words", "stdin", "complaint"),
    [
        pytest.param(("alpa",), SECRET, "Did you mean alpha?", id="provider misspelt"),
        pytest.param(("zzz",), SECRET, "There are: alpha, beta, gamma", id="provider unknown"),
        pytest.param(("alpha",), "", "No key came on standard input", id="nothing piped"),
        pytest.param(("alpha", "--from-env", "NO"), "", "NO is not set", id="variable unset"),
        pytest.param(("alpha",), "be-12345678", "looks like one of Beta", id="another's key"),
        pytest.param(("alpha",), "xx", "(expected: al_...)", id="nobody's key"),
        pytest.param(("alpha",), "al_1234 5678", "holds spaces", id="a space inside"),
        pytest.param(("gamma",), "token", "the form account:token", id="a part missing"),
    ],
)
def test_wrong_usage_is_refused(
    run: Run, words: tuple[str, ...], stdin: str, complaint: str
) -> None:
    result = run("keys", "add", *words, stdin=stdin)
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert json.loads(run("keys", "list", "--json").output) == []


def test_force_stores_what_does_not_look_like_a_key(run: Run) -> None:
    assert run("keys", "add", "alpha", "--force", stdin="xx-of-a-new-form").exit_code == 0


def test_a_gateway_of_ones_own_may_have_keys_of_its_own(run: Run, environ: dict[str, str]) -> None:
    environ["FREELLMAPI_ALPHA_BASE_URL"] = "https://gateway.example/v1"
    assert run("keys", "add", "alpha", stdin="ours").exit_code == 0
