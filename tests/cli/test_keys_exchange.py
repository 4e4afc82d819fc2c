from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run

GROQ = "gsk_" + "a1" * 26
GROQ_2 = "gsk_" + "b2" * 26
CEREBRAS = "csk-" + "c3" * 24
CLOUDFLARE = "0a" * 16 + ":" + "T" * 40
PASTED = f"""
export GROQ_API_KEY="{GROQ}"
GROQ_API_KEY_2={GROQ_2}
CEREBRAS_API_KEY={GROQ}
CLOUDFLARE_ACCOUNT_ID={"0a" * 16}
CLOUDFLARE_API_TOKEN={"T" * 40}
DATABASE_URL=sqlite:///x
"""


def stored(run: Run) -> list[tuple[str, str]]:
    """Provider and key of all that is stored."""
    exported = json.loads(run("keys", "export", "--json", "--reveal").stdout)
    return [(key["provider"], key["key"]) for key in exported["keys"]]


def test_a_preview_shows_masked_what_would_happen_and_stores_nothing(run: Run) -> None:
    result = run("keys", "import", "--dry-run", stdin=PASTED)
    assert result.exit_code == 0, result.output
    assert "looks like one of Groq" in result.output
    assert "unknown variable" in result.output
    for secret in (GROQ, GROQ_2, "T" * 40):
        assert secret not in result.output
    assert stored(run) == []


def test_yes_stores_all_that_is_good(run: Run) -> None:
    result = run("keys", "import", "-", "--yes", stdin=PASTED)
    assert (result.exit_code, "Stored 3 keys." in result.output) == (0, True), result.output
    assert stored(run) == [("groq", GROQ), ("groq", GROQ_2), ("cloudflare", CLOUDFLARE)]


def test_what_is_stored_already_stays_and_is_no_failure(run: Run) -> None:
    run("keys", "import", "--yes", stdin=f"GROQ_API_KEY={GROQ}")
    again = run("keys", "import", "--yes", stdin=f"GROQ_API_KEY={GROQ}")
    assert (again.exit_code, "stored already" in again.output) == (0, True)
    assert len(stored(run)) == 1


@pytest.mark.parametrize(("answer", "code", "count"), [("y\n", 0, 1), ("n\n", 1, 0)])
def test_a_file_is_shown_and_asked_about(
    run: Run, tmp_path: Path, answer: str, code: int, count: int
) -> None:
    file = tmp_path / "pasted.env"
    file.write_bytes(b"\xef\xbb\xbf" + f"GROQ_API_KEY={GROQ}\r\n# \xff\r\n".encode("latin-1"))
    result = run("keys", "import", str(file), stdin=answer)
    assert (result.exit_code, len(stored(run))) == (code, count), result.output
    assert "groq" in result.output


def test_json_lists_what_was_found_without_the_keys(run: Run) -> None:
    result = run("keys", "import", "--yes", "--json", stdin=PASTED)
    shown: dict[str, Any] = json.loads(result.stdout)
    assert [f["verdict"] for f in shown["found"]] == [
        "new",
        "new",
        "wrong format",
        "new",
        "unknown variable",
    ]
    assert len(shown["stored"]) == 3
    assert GROQ not in result.output


@pytest.mark.parametrize(
    ("words", "stdin", "code", "complaint"),
    [
        pytest.param((), GROQ, 2, "add --yes", id="nobody to ask"),
        pytest.param(("--json", "/etc/hostname"), "", 2, "add --yes", id="JSON asks nobody"),
        pytest.param(("/no/such/file", "--yes"), "", 2, "cannot be read", id="no such file"),
        pytest.param(("--yes",), "PORT=1", 1, "", id="no key in it"),
        pytest.param(("--yes",), "", 1, "", id="nothing in it"),
        pytest.param(("--yes",), "x" * 1_000_001, 2, "million", id="far too long"),
    ],
)
def test_exit_codes(
    run: Run, words: tuple[str, ...], stdin: str, code: int, complaint: str
) -> None:
    result = run("keys", "import", *words, stdin=stdin)
    assert (result.exit_code, complaint in result.output) == (code, True), result.output


def test_a_gateway_of_ones_own_may_have_keys_of_its_own(run: Run, environ: dict[str, str]) -> None:
    environ["FREELLMAPI_GROQ_BASE_URL"] = "https://gateway.example/v1"
    assert run("keys", "import", "--yes", stdin="GROQ_API_KEY=ours").exit_code == 0
    assert stored(run) == [("groq", "ours")]


@pytest.mark.parametrize("form", ["--env", "--json"])
def test_an_export_shows_keys_only_when_it_is_told_to(run: Run, form: str) -> None:
    run("keys", "import", "--yes", stdin=PASTED)
    masked = run("keys", "export", form)
    assert masked.exit_code == 0, masked.output
    assert GROQ not in masked.output
    assert "T" * 40 not in masked.output
    assert "gsk_" in masked.output
    assert GROQ in run("keys", "export", form, "--reveal").stdout


@pytest.mark.parametrize("form", ["--env", "--json"])
def test_an_import_reads_what_an_export_wrote(
    run: Run, environ: dict[str, str], tmp_path: Path, form: str
) -> None:
    run("keys", "import", "--yes", stdin=PASTED)
    run("keys", "add", "lab", "--force", stdin="secret")
    before = stored(run)
    exported = run("keys", "export", form, "--reveal").stdout
    environ["FREELLMAPI_DATA_DIR"] = str(tmp_path / "other")
    assert run("keys", "import", "--yes", stdin=exported).exit_code == 0
    assert stored(run) == before
    assert len(before) == 4


def test_json_keeps_labels(run: Run, environ: dict[str, str], tmp_path: Path) -> None:
    run("keys", "add", "groq", "--label", "main", stdin=GROQ)
    exported = run("keys", "export", "--json", "--reveal").stdout
    environ["FREELLMAPI_DATA_DIR"] = str(tmp_path / "other")
    run("keys", "import", "--yes", stdin=exported)
    assert json.loads(run("keys", "list", "--json").stdout)[0]["label"] == "main"


def test_one_form_at_a_time(run: Run) -> None:
    assert run("keys", "export", "--env", "--json").exit_code == 2


def test_a_key_that_the_configuration_file_turns_off_is_stored_so(
    run: Run, environ: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'[[keys]]\nprovider = "groq"\nkey = "{GROQ}"\nenabled = false\n')
    environ["FREELLMAPI_CONFIG"] = str(path)
    assert run("chain", "show").exit_code == 0, "the file is read by what needs all of it"
    (key,) = json.loads(run("keys", "export", "--json").output)["keys"]
    assert (key["provider"], key["enabled"]) == ("groq", False)
