from __future__ import annotations

import json

from tests.cli.conftest import Run


def order(run: Run) -> list[tuple[str, bool]]:
    entries = json.loads(run("chain", "show", "--json").output)
    assert [entry["position"] for entry in entries] == list(range(1, len(entries) + 1))
    return [(entry["model"], entry["enabled"]) for entry in entries]


DEFAULT = [("alpha/big", True), ("beta/big", True), ("beta/small", False)]


def test_the_chain_begins_as_the_catalog_has_it(run: Run) -> None:
    assert order(run) == DEFAULT


def test_move_and_reset(run: Run) -> None:
    assert run("chain", "move", "beta/small", "1").exit_code == 0
    assert order(run) == [("beta/small", False), ("alpha/big", True), ("beta/big", True)]
    assert run("chain", "move", "beta/small", "99").exit_code == 0
    assert order(run) == DEFAULT
    run("chain", "move", "beta/big", "1")
    assert run("chain", "reset").exit_code == 0
    assert order(run) == DEFAULT


def test_enable_and_disable(run: Run) -> None:
    assert run("models", "enable", "small").exit_code == 0
    assert run("models", "disable", "alpha/big").exit_code == 0
    assert order(run) == [("alpha/big", False), ("beta/big", True), ("beta/small", True)]


def test_list_shows_what_is_enabled_and_all_on_demand(run: Run) -> None:
    assert "small" not in run("models", "list").output
    assert "beta/small" in run("models", "list", "--all").output
    models = json.loads(run("models", "list", "--provider", "alpha", "--json").output)
    assert [(m["model"], m["context"], m["limits"]) for m in models] == [
        ("alpha/big", 131_072, {"rpm": 30})
    ]


def test_a_name_of_several_providers_must_be_made_plain(run: Run) -> None:
    result = run("models", "disable", "big")
    assert result.exit_code == 2
    assert "alpha/big, beta/big" in result.stderr


def test_unknown_names_are_wrong_usage(run: Run) -> None:
    for words in (
        ("models", "enable", "alpha/bigg"),
        ("chain", "move", "alpha/bigg", "1"),
    ):
        result = run(*words)
        assert result.exit_code == 2
        assert "Did you mean alpha/big" in result.stderr


def test_positions_begin_with_one(run: Run) -> None:
    assert run("chain", "move", "alpha/big", "0").exit_code == 2
