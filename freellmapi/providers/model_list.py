"""Providers' own model lists, read into one form whatever their shape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from freellmapi.core.values import dataclass

__all__ = ["Listed", "Unreadable", "next_page", "parse_list"]

_NOT_CHAT = (
    "embed",
    "whisper",
    "tts",
    "rerank",
    "moderation",
    "transcribe",
    "speech",
    "stable-diffusion",
    "sdxl",
    "flux",
    "dall-e",
    "imagen",
    "veo-",
    "-image",
    "image-",
    "ocr",
    "bge-",
    "reward",
    "parakeet",
    "prompt-guard",
    "llama-guard",
)
"""Words in the ids of models that do not chat, for lists that do not say what a model is for."""
_CHAT_TYPES = frozenset({"chat", "language", "code", "llm", "vlm", "model", "text-generation", ""})
_TOOLS = frozenset({"tools", "function_calling", "tool-calling", "tool_use"})


class Unreadable(ValueError):
    """The answer is no model list."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One model as a provider's list has it. None: the list does not say."""

    id: str
    aliases: tuple[str, ...] = ()
    """Other ids that mean this model."""
    context: int | None = None
    max_output: int | None = None
    tools: bool | None = None
    vision: bool | None = None
    free: bool | None = None
    """Whether its prices are all 0."""
    chat: bool = True


def parse_list(payload: object) -> tuple[Listed, ...]:
    """The models of one page, each once; ``Unreadable`` when it is no list of models.

    Shapes: OpenAI's ``data``, Gemini's, Cohere's and Ollama's ``models``, Cloudflare's
    ``result``, and a bare list (Together, GitHub).
    """
    found: dict[str, Listed] = {}
    for entry in _entries(payload):
        model = _model({"id": entry} if isinstance(entry, str) else entry)
        if model is not None:
            found.setdefault(model.id, model)
    return tuple(found.values())


def next_page(payload: object) -> tuple[str, str] | None:
    """The query parameter that asks for the page after this one, or None at the end."""
    if not isinstance(payload, Mapping):
        return None
    for name, parameter in (("nextPageToken", "pageToken"), ("next_page_token", "page_token")):
        token = payload.get(name)
        if isinstance(token, str) and token:
            return parameter, token
    info = payload.get("result_info")
    if isinstance(info, Mapping):
        page, size, total = (_count(info.get(n)) for n in ("page", "per_page", "total_count"))
        if page and size and total and page * size < total:
            return "page", str(page + 1)
    return None


def _entries(payload: object) -> Iterable[Any]:
    if isinstance(payload, Mapping):
        for name in ("data", "models", "result"):
            if isinstance(payload.get(name), list):
                return list(payload[name])
    if isinstance(payload, list):
        return payload
    raise Unreadable("its answer is no list of models")


def _model(entry: object) -> Listed | None:
    if not isinstance(entry, Mapping):
        return None
    # Cloudflare's ``id`` is an inner number; what requests name stands in ``name``.
    cloudflare = isinstance(entry.get("task"), Mapping) or "properties" in entry
    names = ("name",) if cloudflare else ("id", "name", "model")
    name = next((entry[n] for n in names if isinstance(entry.get(n), str) and entry[n]), None)
    if name is None or entry.get("active") is False:
        return None
    facts = {**entry, **_properties(entry.get("properties")), **_serving(entry.get("providers"))}
    return Listed(
        id=name.removeprefix("models/"),
        aliases=tuple(a for a in _list(entry.get("aliases")) if isinstance(a, str)),
        context=_first(facts, _CONTEXT),
        max_output=_first(facts, _OUTPUT),
        tools=_tools(facts),
        vision=_vision(facts),
        free=_free(entry.get("pricing")),
        chat=_chats(name, facts),
    )


_CONTEXT = (
    ("context_length",),
    ("context_window",),
    ("max_context_length",),
    ("max_model_len",),
    ("inputTokenLimit",),
    ("limits", "max_input_tokens"),
    ("top_provider", "context_length"),
    ("meta", "n_ctx"),
    ("meta", "n_ctx_train"),
)
_OUTPUT = (
    ("max_completion_tokens",),
    ("max_output_tokens",),
    ("outputTokenLimit",),
    ("top_provider", "max_completion_tokens"),
    ("limits", "max_output_tokens"),
)


def _first(facts: Mapping[str, Any], paths: Sequence[tuple[str, ...]]) -> int | None:
    for path in paths:
        value: object = facts
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        number = _count(value)
        if number is not None:
            return number
    return None


def _count(value: object) -> int | None:
    if isinstance(value, str) and value.isdecimal() and len(value) < 10:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 10**9:
        return None
    return int(value)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _words(value: object) -> set[str]:
    """The names in a list, or those of a mapping that are true."""
    if isinstance(value, Mapping):
        return {str(name) for name, on in value.items() if on is True}
    return {item for item in _list(value) if isinstance(item, str)}


def _tools(facts: Mapping[str, Any]) -> bool | None:
    """Of OpenRouter, Mistral, Cohere, GitHub, Cloudflare and Hugging Face, each by its own name."""
    for name in ("supported_parameters", "capabilities", "features"):
        stated = facts.get(name)
        if isinstance(stated, list) or not _TOOLS.isdisjoint(_mapping(stated)):
            return not _TOOLS.isdisjoint(_words(stated))
    for name in ("function_calling", "supports_tools"):
        value = facts.get(name)
        if isinstance(value, bool):
            return value
        if value in ("true", "false"):
            return str(value) == "true"
    return None


def _vision(facts: Mapping[str, Any]) -> bool | None:
    inputs = _mapping(facts.get("architecture")).get("input_modalities")
    inputs = inputs or facts.get("input_modalities") or facts.get("supported_input_modalities")
    if isinstance(inputs, list):
        return "image" in inputs
    if "vision" in _mapping(facts.get("capabilities")):
        return bool(_mapping(facts["capabilities"]).get("vision"))
    if isinstance(facts.get("features"), list):
        return "vision" in facts["features"]
    seen = facts.get("supports_image_in")
    return seen if isinstance(seen, bool) else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _chats(name: str, facts: Mapping[str, Any]) -> bool:
    """Whether a model completes chats, as the list says it, else by its id."""
    methods = facts.get("supportedGenerationMethods")
    if isinstance(methods, list) and "generateContent" not in methods:
        return False
    if isinstance(facts.get("endpoints"), list) and "chat" not in facts["endpoints"]:
        return False
    if _mapping(facts.get("capabilities")).get("completion_chat") is False:
        return False
    task = _mapping(facts.get("task")).get("name", "Text Generation")
    if task != "Text Generation" or str(facts.get("type") or "").lower() not in _CHAT_TYPES:
        return False
    outputs = _mapping(facts.get("architecture")).get("output_modalities")
    if isinstance(outputs, list) and "text" not in outputs:
        return False
    return not any(word in name.lower() for word in _NOT_CHAT)


def _free(pricing: object) -> bool | None:
    """Whether nothing is charged for prompt and completion; None when no price is stated."""
    if not isinstance(pricing, Mapping):
        return None
    prices = [pricing[n] for n in ("prompt", "completion", "input", "output") if n in pricing]
    try:
        return all(float(price) == 0 for price in prices) if prices else None
    except (TypeError, ValueError):
        return None


def _properties(value: object) -> dict[str, Any]:
    """Cloudflare's list of properties as a mapping."""
    return {
        p["property_id"]: p.get("value")
        for p in _list(value)
        if isinstance(p, Mapping) and isinstance(p.get("property_id"), str)
    }


def _serving(value: object) -> dict[str, Any]:
    """What the live ones among a router's inference partners can do (Hugging Face)."""
    live = [p for p in _list(value) if isinstance(p, Mapping) and p.get("status") == "live"]
    facts: dict[str, Any] = {}
    windows = [n for p in live if (n := _count(p.get("context_length")))]
    if windows:
        facts["context_length"] = max(windows)
    if any("supports_tools" in p for p in live):
        facts["supports_tools"] = any(p.get("supports_tools") is True for p in live)
    return facts
