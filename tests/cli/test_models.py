from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Run


def order(run: Run) -> list[tuple[str, bool]]:
    entries = json.loads(run("chain", "show", "--json").output)
    assert [entry["position"] for entry in entries] == list(range(1, len(entries) + 1))
    return [(entry["model"], entry["enabled"]) for entry in entries]


def test_the_chain_has_the_catalog_and_providers_of_ones_own(run: Run) -> None:
    models = [model for model, _ in order(run)]
    assert {"lab/alpha", "lab/beta"} < set(models)
    assert any(model.startswith("groq/") for model in models)


def test_move_and_reset(run: Run) -> None:
    before = order(run)
    assert run("chain", "move", "lab/beta", "1").exit_code == 0
    assert run("chain", "move", "lab/alpha", "2").exit_code == 0
    rest = [entry for entry in before if not entry[0].startswith("lab/")]
    assert order(run) == [("lab/beta", True), ("lab/alpha", True), *rest]
    assert run("chain", "move", "lab/beta", "99999").exit_code == 0
    assert order(run)[-1] == ("lab/beta", True)
    assert run("chain", "reset").exit_code == 0
    assert order(run) == before


def test_enable_and_disable(run: Run) -> None:
    off = next(model for model, enabled in order(run) if not enabled)
    assert run("models", "enable", off).exit_code == 0
    assert run("models", "disable", "alpha").exit_code == 0
    assert dict(order(run))[off] is True
    assert dict(order(run))["lab/alpha"] is False


def test_list_shows_what_is_enabled_and_all_on_demand(run: Run) -> None:
    run("models", "disable", "lab/alpha")
    assert "lab/alpha" not in run("models", "list").output
    assert "lab/alpha" in run("models", "list", "--all").output
    models = json.loads(run("models", "list", "--provider", "lab", "--json").output)
    assert {m["model"]: (m["enabled"], m["context"], m["tools"], m["limits"]) for m in models} == {
        "lab/alpha": (False, 4096, False, {"rpm": 30}),
        "lab/beta": (True, None, True, {}),
    }


def test_a_name_of_several_providers_must_be_made_plain(run: Run) -> None:
    result = run("models", "disable", "gpt-oss-120b")
    assert result.exit_code == 2
    assert "several providers" in result.stderr


@pytest.mark.parametrize(
    "words", [("models", "enable", "lab/alpah"), ("chain", "move", "lab/alpah", "1")]
)
def test_unknown_names_are_wrong_usage(run: Run, words: tuple[str, ...]) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert "Did you mean lab/alpha" in result.stderr


def test_positions_begin_with_one(run: Run) -> None:
    assert run("chain", "move", "lab/alpha", "0").exit_code == 2
