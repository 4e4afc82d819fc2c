"""What a model must be able to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from freellmapi.core.chat import Need
from freellmapi.core.limits import Limits
from freellmapi.router.filters import MIN_OUTPUT, unfit
from tests.router.conftest import chat, model


@pytest.mark.parametrize(
    ("need", "ability", "words"),
    [
        (Need.TOOLS, "tools", "tools"),
        (Need.TOOL_CHOICE, "tool_choice", "made to call"),
        (Need.VISION, "vision", "images"),
        (Need.JSON_SCHEMA, "json_schema", "JSON schema"),
    ],
)
def test_a_need_is_met_or_named(need: Need, ability: str, words: str) -> None:
    request = chat(needs=frozenset({need}))
    able, unable = (replace(model(), **cast(Any, {ability: value})) for value in (True, False))
    assert unfit(request, able, None) is None
    assert words in str(unfit(request, unable, None))


@pytest.mark.parametrize(
    ("fields", "max_output", "window", "fits"),
    [
        ({"prompt_tokens": 100, "max_tokens": 20}, None, None, True),
        ({"prompt_tokens": 100, "max_tokens": 20}, None, 120, True),
        ({"prompt_tokens": 100, "max_tokens": 20}, None, 119, False),
        ({"prompt_tokens": 100, "max_tokens": None}, None, 100 + MIN_OUTPUT, True),
        ({"prompt_tokens": 100, "max_tokens": None}, None, 99 + MIN_OUTPUT, False),
        ({"prompt_tokens": 100, "max_tokens": 9_000}, 50, 150, True),
    ],
    ids=["unknown", "exactly", "one over", "room to speak", "no room to speak", "output is capped"],
)
def test_prompt_and_answer_must_fit_the_window(
    fields: dict[str, Any], max_output: int | None, window: int | None, fits: bool
) -> None:
    assert (unfit(chat(**fields), model(max_output=max_output), window) is None) == fits


@pytest.mark.parametrize(("cap", "fits"), [("tpm", False), ("tpd", False), ("rpm", True)])
def test_a_prompt_larger_than_a_token_cap_can_never_be_sent(cap: str, fits: bool) -> None:
    limited = model(limits=Limits(**{cap: 99}))
    assert (unfit(chat(prompt_tokens=100), limited, None) is None) == fits
    assert unfit(chat(prompt_tokens=99), limited, None) is None
