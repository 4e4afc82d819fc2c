"""Answers judged against the JSON that was asked for."""

from __future__ import annotations

from typing import Any

import pytest

from freellmapi.core.chat import ChatRequest, Completion
from freellmapi.router.conformance import misfit, unfenced

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": ["integer", "null"]}},
    "required": ["city", "people"],
    "additionalProperties": False,
}
OBJECT = {"type": "json_object"}


def by_schema(schema: object) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def chat(wanted: object = None) -> ChatRequest:
    body: dict[str, Any] = {"messages": []}
    return ChatRequest("m", body if wanted is None else body | {"response_format": wanted})


def answer(content: str | None, finish: str = "stop", **message: Any) -> Completion:
    said = {"role": "assistant", "content": content, **message}
    return Completion({"choices": [{"message": said, "finish_reason": finish}]}, None)


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("plain words", None),
        ("plain words", {"type": "text"}),
        ('{"any": 1}', OBJECT),
        ('{"city": "Oslo", "people": 717710}', by_schema(CITY)),
        ('{"city": "Oslo", "people": null}', by_schema(CITY)),
        ('["a list"]', by_schema({"type": "array"})),
        ("{}", by_schema({"type": "a kind that is none"})),
        ("{}", by_schema({"$ref": "https://example.com/schema.json"})),
        ("{}", by_schema({"$ref": "#/nowhere"})),
        ("{}", by_schema({"$ref": "#"})),
        ('"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"', by_schema({"pattern": "^(a+)+$"})),
        (
            '{"x-1": 1}',
            by_schema({"patternProperties": {"^x-": {}}, "additionalProperties": False}),
        ),
        ('{"pattern": "p"}', by_schema({"properties": {"pattern": {"type": "string"}}})),
    ],
    ids=[
        "nothing asked",
        "text asked",
        "object",
        "fits",
        "null allowed",
        "list",
        "unusable schema",
        "remote ref is not fetched",
        "dangling ref",
        "endless ref",
        "costly pattern is not tried",
        "patterns of names",
        "a property named pattern",
    ],
)
def test_what_fits_is_let_through(content: str, wanted: object) -> None:
    assert misfit(answer(content), chat(wanted)) is None


@pytest.mark.parametrize(
    ("content", "wanted", "reason"),
    [
        ("Sure! Here it is.", OBJECT, "the answer is none"),
        (None, OBJECT, "the answer is none"),
        ('{"cut": ', OBJECT, "the answer is none"),
        ("[1]", OBJECT, "a JSON object"),
        ('{"people": 1}', by_schema(CITY), "$: 'city' is a required property"),
        ('{"city": 1, "people": 1}', by_schema(CITY), "$.city: 1 is not of type 'string'"),
        ('{"city": "O", "people": 1, "x": 2}', by_schema(CITY), "'x' was unexpected"),
        ('{"pattern": 1}', by_schema({"properties": {"pattern": {"type": "string"}}}), "$.pattern"),
    ],
    ids=["words", "nothing", "cut", "list", "missing", "wrong type", "too much", "named pattern"],
)
def test_what_does_not_fit_is_named(content: str | None, wanted: object, reason: str) -> None:
    assert reason in (misfit(answer(content), chat(wanted)) or "")


@pytest.mark.parametrize(
    "given",
    [
        answer('{"city": "Os', finish="length"),
        answer("", finish="content_filter"),
        answer(None, refusal="I will not."),
        answer(None, finish="tool_calls", tool_calls=[{"id": "c"}]),
    ],
    ids=["cut short", "filtered", "refused", "tool call"],
)
def test_answers_of_another_kind_are_not_judged(given: Completion) -> None:
    assert misfit(given, chat(by_schema(CITY))) is None


def test_a_fence_around_the_json_is_taken_off() -> None:
    fenced = answer('```json\n{"city": "Oslo", "people": 1}\n```\n')

    plain = unfenced(fenced, chat(by_schema(CITY)))

    assert plain.body["choices"][0]["message"]["content"] == '{"city": "Oslo", "people": 1}'
    assert misfit(plain, chat(by_schema(CITY))) is None


def test_a_fence_stays_where_no_json_was_asked_for() -> None:
    fenced = answer("```json\n{}\n```")

    assert unfenced(fenced, chat()) is fenced
