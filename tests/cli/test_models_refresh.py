from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.cli.conftest import Run
from tests.fakes.provider import FakeProvider, status

KEY = "gsk_" + "a1" * 26
OSS = "openai/gpt-oss-120b"


@pytest.fixture
def groq(environ: dict[str, str]) -> Iterator[FakeProvider]:
    """Groq, asked for its list: it has one model of the catalog's, and a new one."""
    with FakeProvider() as groq:
        entries = [{"id": OSS, "context_window": 65_536}, {"id": "brand/new-9b"}]
        groq.routes["/v1/models"] = status(200, {"data": entries})
        environ["FREELLMAPI_GROQ_BASE_URL"] = groq.base_url
        environ["GROQ_API_KEY"] = KEY
        yield groq


def test_a_refresh_shows_what_changed_and_changes_nothing(run: Run, groq: FakeProvider) -> None:
    before = run("models", "list", "groq", "--json").stdout
    result = run("models", "list", "--refresh", "groq")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.output.splitlines()]
    assert ["groq", "new", "brand/new-9b"] in lines
    assert ["groq", "gone", "openai/gpt-oss-20b"] in lines
    assert f"{OSS}" in result.output
    assert "65,536" in result.output
    assert "--take-over" in result.output
    assert run("models", "list", "groq", "--json").stdout == before
    assert groq.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_what_is_taken_over_holds(run: Run, groq: FakeProvider) -> None:
    result = run("models", "list", "--refresh", "groq", "--take-over", "--json")
    (answer,) = json.loads(result.stdout)
    assert answer["taken_over"]
    listed = json.loads(run("models", "list", "groq", "--json").stdout)
    models = {m["model"]: m for m in listed}
    assert models[f"groq/{OSS}"]["context"] == 65_536
    assert models["groq/brand/new-9b"]["enabled"] is False
    assert "no longer lists it" in models["groq/openai/gpt-oss-20b"]["gone"]
    assert "gone" in run("models", "list", "groq").output
    assert run("models", "enable", "groq/brand/new-9b").exit_code == 0
    again = json.loads(run("models", "list", "--refresh", "groq", "--json").stdout)
    assert [again[0][n] for n in ("new", "gone", "back", "changed")] == [[], [], [], []]


def test_a_model_that_is_gone_is_a_404_that_says_so(run: Run, groq: FakeProvider) -> None:
    run("models", "list", "--refresh", "groq", "--take-over")
    explained = run("explain", "groq/openai/gpt-oss-20b", "--json").output
    assert "no longer lists it" in explained


@pytest.mark.parametrize(
    "answer", [status(500, {}), status(200, {"data": []}), status(200, "<html>")], ids=str
)
def test_no_answer_makes_no_model_gone(run: Run, groq: FakeProvider, answer: object) -> None:
    groq.routes["/v1/models"] = answer  # type: ignore[assignment]  # any reply
    result = run("models", "list", "--refresh", "groq", "--take-over", "--json")
    (shown,) = json.loads(result.stdout)
    assert (result.exit_code, shown["gone"], shown["taken_over"]) == (1, [], False)
    assert shown["problem"]


def test_only_those_with_a_key_are_asked_when_none_is_named(
    run: Run, groq: FakeProvider, environ: dict[str, str]
) -> None:
    for id in ("AIHORDE", "KILO", "LLM7", "OVH", "LAB"):
        environ[f"FREELLMAPI_{id}_BASE_URL"] = groq.base_url
    result = run("models", "list", "--refresh", "--json")
    asked = {answer["provider"] for answer in json.loads(result.stdout)}
    assert {"groq", "lab"} <= asked
    assert "mistral" not in asked


def test_take_over_goes_with_refresh(run: Run) -> None:
    assert run("models", "list", "--take-over").exit_code == 2
