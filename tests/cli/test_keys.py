from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Run
from tests.fakes.answers import Reply
from tests.fakes.provider import FakeProvider
from tests.fakes.replies import resets, status

SECRET = "gsk_" + "a1" * 26


def test_a_piped_key_is_stored_and_listed_masked(run: Run) -> None:
    added = run("keys", "add", "groq", "--label", "main", stdin=f" {SECRET}\n")
    assert added.exit_code == 0, added.output
    listed = run("keys", "list")
    assert "groq" in listed.output
    assert "main" in listed.output
    assert SECRET not in added.output + listed.output


def test_a_key_is_read_from_a_variable(run: Run, environ: dict[str, str]) -> None:
    environ["MY_KEY"] = SECRET
    assert run("keys", "add", "groq", "--from-env", "MY_KEY").exit_code == 0
    assert len(json.loads(run("keys", "list", "--json").output)) == 1


def test_keys_of_the_environment_are_listed_with_their_variable(
    run: Run, environ: dict[str, str]
) -> None:
    environ["GROQ_API_KEY"] = SECRET
    (key,) = json.loads(run("keys", "list", "--json").output)
    assert (key["source"], key["from"]) == ("environment", "GROQ_API_KEY")
    assert SECRET not in run("keys", "list").output


def test_enable_disable_remove(run: Run) -> None:
    id = json.loads(run("keys", "add", "groq", "--json", stdin=SECRET).output)["id"]
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
    run("keys", "add", "groq", stdin=SECRET)
    again = run("keys", "add", "groq", stdin=SECRET)
    assert again.exit_code == 1
    assert "stored already" in again.stderr
    assert SECRET not in again.stderr


@pytest.mark.parametrize(
    ("words", "stdin", "complaint"),
    [
        pytest.param(("grok",), SECRET, "Did you mean groq?", id="provider misspelt"),
        pytest.param(("zzz",), SECRET, "There are: ", id="provider unknown"),
        pytest.param(("groq",), "", "No key came on standard input", id="nothing piped"),
        pytest.param(("groq", "--from-env", "NO"), "", "NO is not set", id="variable unset"),
        pytest.param(
            ("groq",), "csk-" + "a1" * 24, "looks like one of Cerebras", id="another's key"
        ),
        pytest.param(("groq",), "xx", "(expected: gsk_", id="nobody's key"),
        pytest.param(("groq",), "gsk_12 34", "holds spaces", id="a space inside"),
        pytest.param(("cloudflare",), "token", "the form account_id:", id="a part missing"),
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
    assert run("keys", "add", "groq", "--force", stdin="xx-of-a-new-form").exit_code == 0


def test_a_gateway_of_ones_own_may_have_keys_of_its_own(run: Run, environ: dict[str, str]) -> None:
    environ["FREELLMAPI_GROQ_BASE_URL"] = "https://gateway.example/v1"
    assert run("keys", "add", "groq", stdin="ours").exit_code == 0


@pytest.mark.parametrize(
    ("reply", "code", "expected"),
    [(status(200, {}), 0, "healthy"), (status(401, {}), 1, "invalid"), (resets(), 1, "error")],
    ids=["good", "rejected", "no answer"],
)
def test_check_asks_the_provider_and_notes_the_answer(
    run: Run, environ: dict[str, str], reply: Reply, code: int, expected: str
) -> None:
    with FakeProvider() as groq:
        groq.routes["/v1/models"] = reply
        environ["FREELLMAPI_GROQ_BASE_URL"] = groq.base_url
        run("keys", "add", "groq", stdin=SECRET)
        checked = run("keys", "check", "--json")
    assert checked.exit_code == code, checked.output
    assert [key["status"] for key in json.loads(checked.stdout)] == [expected]
    assert [key["status"] for key in json.loads(run("keys", "list", "--json").stdout)] == [expected]
