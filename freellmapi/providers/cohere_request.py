"""A chat request as the body of Cohere's ``POST /v2/chat``: settings, tools, forms of answer.

Source: the types of Cohere's SDK 7.3.1 and docs.cohere.com (repository of 2026-08-20).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

from freellmapi.core.catalog import Model
from freellmapi.providers.cohere_messages import Names, conversation
from freellmapi.providers.cohere_schema import enforceable
from freellmapi.providers.schemas import schema_as_object, with_text

Body = Mapping[str, Any]

OWN = ("safety_mode", "documents", "citation_options", "strict_tools", "priority")
"""Fields of Cohere's that a client may give, passed on as they are; others it refuses."""
SAME = ("temperature", "frequency_penalty", "presence_penalty", "logprobs")
MAX_K = 500
MAX_SEED = 2**64
BUDGETS = {"none": 0, "minimal": 0, "low": 1024, "medium": 8192, "high": None, "xhigh": None}
"""Tokens to think for each effort: 0 is not at all, None as many as it likes."""
SMALL_ANSWER = 1024
"""Thinking counts against ``max_tokens``: below this it would leave no room for an answer."""


def request(body: dict[str, Any], model: Model) -> dict[str, Any]:
    """Cohere's form of ``body``, which has the catalog's quirks applied and is ours to change.

    Raises ``UpstreamError`` for content that Cohere has no place for.
    """
    tools, choice = _tools(body)
    names = Names(tools)
    chosen = {name: tool for name, tool in tools.items() if choice is None or name in choice}
    chooses = model.tools and model.tool_choice
    if body.get("tool_choice") == "none" and not chooses:
        chosen = {}
    form = _form(body, model, bool(chosen))
    out: dict[str, Any] = {"model": model.id, "stream": bool(body.get("stream"))}
    out["messages"] = conversation(body.get("messages") or (), names)
    if chosen:
        out["tools"] = [_declared(tool, names.there(name)) for name, tool in chosen.items()]
        wanted = _tool_choice(body.get("tool_choice"), choice)
        if wanted and chooses:
            out["tool_choice"] = wanted
    if form:
        out["response_format"] = form
    return out | _settings(body, model)


def _tools(body: Body) -> tuple[dict[str, dict[str, Any]], frozenset[str] | None]:
    """The functions by name, and which of them may be called (None: any)."""
    tools: dict[str, dict[str, Any]] = {}
    for tool in body.get("tools") or ():
        function = tool.get("function") if isinstance(tool, dict) else None
        if isinstance(function, dict) and function.get("name"):
            tools.setdefault(str(function["name"]), function)
    choice = body.get("tool_choice")
    named = frozenset(_named(choice)) & tools.keys() if isinstance(choice, dict) else None
    return tools, named or None


def _named(choice: Mapping[str, Any]) -> list[str]:
    """The functions that a ``tool_choice`` names: one, or a list of allowed ones."""
    allowed = choice.get("allowed_tools")
    listed = allowed.get("tools") if isinstance(allowed, dict) else [choice]
    functions = [t.get("function") or t for t in listed or () if isinstance(t, dict)]
    return [str(f["name"]) for f in functions if isinstance(f, dict) and f.get("name")]


def _tool_choice(choice: object, named: frozenset[str] | None) -> str | None:
    """Cohere's word for it; a function by name is a must with that one tool only."""
    if isinstance(choice, dict) and named:
        allowed = choice.get("allowed_tools")
        mode = allowed.get("mode") if isinstance(allowed, dict) else "required"
        return "REQUIRED" if mode == "required" else None
    return {"required": "REQUIRED", "any": "REQUIRED", "none": "NONE"}.get(str(choice))


def _declared(function: Mapping[str, Any], name: str) -> dict[str, Any]:
    declared: dict[str, Any] = {"name": name}
    if isinstance(function.get("description"), str):
        declared["description"] = function["description"]
    given = function.get("parameters")
    schema = dict(given) if isinstance(given, dict) else {}
    schema["type"] = "object"
    schema.setdefault("properties", {})
    declared["parameters"] = schema
    return {"type": "function", "function": declared}


def _form(body: dict[str, Any], model: Model, has_tools: bool) -> dict[str, Any] | None:
    """``response_format``; what it cannot say is put into words in the messages.

    Cohere refuses one beside tools or documents.
    """
    wanted = body.get("response_format")
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if not isinstance(wanted, dict) or kind not in ("json_object", "json_schema"):
        return None
    plain = {"type": "json_object"}
    busy = has_tools or bool(body.get("documents"))
    if kind == "json_object":
        if busy:
            text = "Unless you call a tool, answer with one JSON object and nothing else."
            body["messages"] = with_text(body["messages"], text)
        return None if busy else plain
    named = wanted.get("json_schema")
    schema = enforceable(named.get("schema") if isinstance(named, dict) else None)
    if schema is not None and model.json_schema and not busy:
        return {**plain, "json_schema": schema}
    schema_as_object(body)
    return None if busy else plain


def _settings(body: Body, model: Model) -> dict[str, Any]:
    """Sampling, caps, stops and thinking."""
    out = {name: body[name] for name in (*OWN, *SAME) if body.get(name) is not None}
    stated = body.get("max_completion_tokens") or body.get("max_tokens")
    cap = int(stated) if _is_number(stated) and stated >= 1 else None
    if cap is not None:
        out["max_tokens"] = cap
    _penalties(out)
    if _is_number(body.get("top_p")):
        out["p"] = body["top_p"]
    if _is_number(body.get("top_k")):
        out["k"] = min(max(int(body["top_k"]), 0), MAX_K)
    stop = body.get("stop")
    stops = [s for s in (stop if isinstance(stop, list) else [stop]) if isinstance(s, str) and s]
    if stops:
        out["stop_sequences"] = stops
    seed = body.get("seed")
    if isinstance(seed, int) and not isinstance(seed, bool):
        out["seed"] = seed % MAX_SEED
    thinking = _thinking(body, model, cap)
    if thinking:
        out["thinking"] = thinking
    return out


def _penalties(out: dict[str, Any]) -> None:
    """At most one of the two: some models refuse both together, even where one is 0."""
    for name in ("presence_penalty", "frequency_penalty"):
        if name in out and not out[name]:
            del out[name]
    if "frequency_penalty" in out:
        out.pop("presence_penalty", None)


def _thinking(body: Body, model: Model, cap: int | None) -> dict[str, Any] | None:
    """How much to think; without a stated effort only a small answer does without."""
    if not model.reasoning:
        return None
    given = body.get("thinking")
    if isinstance(given, dict) and given.get("type") in ("enabled", "disabled"):
        return {name: given[name] for name in ("type", "token_budget") if name in given}
    effort = body.get("reasoning_effort")
    if effort not in BUDGETS:
        return {"type": "disabled"} if cap is not None and cap < SMALL_ANSWER else None
    budget = BUDGETS[effort]
    if budget == 0:
        return {"type": "disabled"}
    if cap is not None:
        budget = min(budget or cap, max(cap // 2, 1))
    return {"type": "enabled"} | ({"token_budget": budget} if budget else {})


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
