"""Model lists in the shapes that providers give them."""

from __future__ import annotations

from typing import Any

import pytest

from freellmapi.providers.model_list import Listed, Unreadable, next_page, parse_list

SHAPES = [
    pytest.param(
        {"object": "list", "data": [{"id": "m", "object": "model", "owned_by": "x"}]},
        Listed("m"),
        id="OpenAI",
    ),
    pytest.param(
        {"data": [{"id": "m", "active": True, "context_window": 8, "max_completion_tokens": 4}]},
        Listed("m", context=8, max_output=4),
        id="Groq",
    ),
    pytest.param(
        {
            "models": [
                {
                    "name": "models/gemini-x",
                    "inputTokenLimit": 1_048_576,
                    "outputTokenLimit": 65_536,
                    "supportedGenerationMethods": ["generateContent", "countTokens"],
                }
            ]
        },
        Listed("gemini-x", context=1_048_576, max_output=65_536),
        id="Gemini",
    ),
    pytest.param(
        {
            "models": [
                {
                    "name": "command",
                    "endpoints": ["chat", "generate"],
                    "context_length": 256_000.0,
                    "features": ["tools", "json_schema"],
                }
            ]
        },
        Listed("command", context=256_000, tools=True, vision=False),
        id="Cohere",
    ),
    pytest.param(
        {
            "result": [
                {
                    "id": "1f55679f-009e-4456-aa4f-049a62b4b6a0",
                    "name": "@cf/x/m",
                    "task": {"name": "Text Generation"},
                    "properties": [
                        {"property_id": "context_window", "value": "32768"},
                        {"property_id": "function_calling", "value": "true"},
                    ],
                }
            ],
            "success": True,
        },
        Listed("@cf/x/m", context=32_768, tools=True),
        id="Cloudflare",
    ),
    pytest.param(
        {
            "data": [
                {
                    "id": "z/glm:free",
                    "context_length": 9,
                    "architecture": {"input_modalities": ["text", "image"]},
                    "pricing": {"prompt": "0", "completion": "0"},
                    "top_provider": {"max_completion_tokens": 5},
                    "supported_parameters": ["max_tokens"],
                }
            ]
        },
        Listed("z/glm:free", (), 9, 5, False, True, True),
        id="OpenRouter, free",
    ),
    pytest.param(
        {"data": [{"id": "m", "pricing": {"prompt": "0.0000001", "completion": "0"}}]},
        Listed("m", free=False),
        id="OpenRouter, paid",
    ),
    pytest.param(
        {"data": [{"id": "auto", "pricing": {"prompt": "-1", "completion": "-1"}}]},
        Listed("auto", free=False),
        id="OpenRouter, price of another model",
    ),
    pytest.param(
        {
            "data": [
                {
                    "id": "mistral-small-2506",
                    "capabilities": {
                        "completion_chat": True,
                        "function_calling": True,
                        "vision": False,
                    },
                    "max_context_length": 131_072,
                    "aliases": ["mistral-small-latest"],
                }
            ]
        },
        Listed("mistral-small-2506", ("mistral-small-latest",), 131_072, None, True, False),
        id="Mistral",
    ),
    pytest.param(
        {
            "data": [
                {
                    "id": "org/m",
                    "providers": [
                        {"status": "live", "context_length": 100, "supports_tools": False},
                        {"status": "live", "context_length": 200, "supports_tools": True},
                        {"status": "error", "context_length": 999},
                    ],
                }
            ]
        },
        Listed("org/m", context=200, tools=True),
        id="Hugging Face",
    ),
    pytest.param(
        [
            {
                "id": "openai/gpt",
                "limits": {"max_input_tokens": 7, "max_output_tokens": 3},
                "capabilities": ["streaming", "tool-calling"],
                "supported_input_modalities": ["text"],
            }
        ],
        Listed("openai/gpt", context=7, max_output=3, tools=True, vision=False),
        id="GitHub, a bare list",
    ),
    pytest.param(
        {"models": [{"name": "gemma3:270m", "model": "gemma3:270m", "size": 1}]},
        Listed("gemma3:270m"),
        id="Ollama's own",
    ),
    pytest.param(
        {
            "models": [{"name": "x.gguf", "model": "x.gguf"}],
            "data": [{"id": "x.gguf", "meta": {"n_ctx_train": 32_768}}],
        },
        Listed("x.gguf", context=32_768),
        id="llama.cpp",
    ),
    pytest.param(
        {"data": [{"id": "m", "max_model_len": 4096}]}, Listed("m", context=4096), id="vLLM"
    ),
    pytest.param(
        {"data": [{"id": "kimi", "supports_image_in": True, "context_length": 5}]},
        Listed("kimi", context=5, vision=True),
        id="Moonshot",
    ),
]


@pytest.mark.parametrize(("payload", "listed"), SHAPES)
def test_every_shape_is_read(payload: object, listed: Listed) -> None:
    assert parse_list(payload) == (listed,)


@pytest.mark.parametrize(
    "entry",
    [
        {"id": "text-embedding-3"},
        {"id": "whisper-large-v3"},
        {"id": "m", "type": "image"},
        {"name": "models/e", "supportedGenerationMethods": ["embedContent"]},
        {"name": "e", "endpoints": ["embed"]},
        {"id": "m", "capabilities": {"completion_chat": False}},
        {"name": "@cf/m", "task": {"name": "Text-to-Image"}},
        {"id": "m", "architecture": {"output_modalities": ["image"]}},
    ],
    ids=str,
)
def test_what_does_not_chat_is_known(entry: dict[str, Any]) -> None:
    (listed,) = parse_list({"data": [entry]})
    assert not listed.chat


def test_inactive_and_damaged_entries_are_passed_over_and_repeated_ones_counted_once() -> None:
    entries = [{"id": "off", "active": False}, {"id": 7}, None, {"id": "m"}, {"id": "m"}, "bare"]
    assert [m.id for m in parse_list({"data": entries})] == ["m", "bare"]


@pytest.mark.parametrize("value", [-1, 0, True, "many", None, 1e12, []])
def test_a_window_that_is_no_number_is_not_stated(value: object) -> None:
    (listed,) = parse_list({"data": [{"id": "m", "context_length": value}]})
    assert listed.context is None


@pytest.mark.parametrize("payload", [{"error": "x"}, "text", None, 7, {"data": {"id": "m"}}])
def test_what_is_no_list_proves_nothing(payload: object) -> None:
    with pytest.raises(Unreadable):
        parse_list(payload)


@pytest.mark.parametrize(
    ("payload", "following"),
    [
        ({"models": [], "nextPageToken": "abc"}, ("pageToken", "abc")),
        ({"models": [], "next_page_token": "abc"}, ("page_token", "abc")),
        (
            {"result": [], "result_info": {"page": 1, "per_page": 100, "total_count": 150}},
            ("page", "2"),
        ),
        ({"result": [], "result_info": {"page": 2, "per_page": 100, "total_count": 150}}, None),
        ({"models": [], "nextPageToken": ""}, None),
        ([], None),
    ],
)
def test_the_next_page(payload: object, following: tuple[str, str] | None) -> None:
    assert next_page(payload) == following
