"""A chat request as the body of ``generateContent``: settings, tools, forms of answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from freellmapi.core.catalog import Model, Provider, Quirks
from freellmapi.providers.gemini_messages import Signing, conversation, function_name
from freellmapi.providers.gemini_schema import clean, parameters
from freellmapi.providers.quirks import merged
from freellmapi.providers.signatures import SignatureMemory

Body = Mapping[str, Any]
Version = tuple[int, int]

MAX_STOPS = 5
SMALL_ANSWER = 1024
"""Thinking counts against ``max_tokens``: below this it would leave no room for an answer."""
MIN_BUDGET_PRO = 128

BUDGETS = {"none": 0, "minimal": 0, "low": 1024, "medium": 8192, "high": 24_576, "xhigh": 24_576}
LEVELS = {
    "none": "minimal",
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
}
SAMPLING = {"temperature": "temperature", "top_p": "topP", "top_k": "topK"}
PENALTIES = {"presence_penalty": "presencePenalty", "frequency_penalty": "frequencyPenalty"}

_VERSION = re.compile(r"gemini-(\d+)(?:[.-](\d)\b)?")


def version(model: Model) -> Version | None:
    """Which Gemini a model is, by its id or its family; None for Gemma and others.

    An alias such as ``gemini-flash-latest`` always means a current one.
    """
    for name in (model.id, model.family):
        found = _VERSION.search(name)
        if found:
            return int(found[1]), int(found[2] or 0)
    return (3, 0) if model.id.startswith("gemini-") and "latest" in model.id else None


def request(
    body: Body, provider: Provider, model: Model, memory: SignatureMemory
) -> dict[str, Any]:
    """The whole body in Gemini's form. ``UpstreamError`` for content it has no place for."""
    quirks = merged(provider.quirks, model.quirks)
    body = _settled(body, quirks)
    required = (version(model) or (0, 0)) >= (3, 0)
    merge_system = "merge_system" in quirks.flags or model.id.startswith("gemma-3")
    declared = _declarations(body.get("tools"))
    form, instruction = _form(body.get("response_format"), model, quirks, bool(declared))
    messages = list(body.get("messages") or ())
    if instruction:
        messages.insert(0, {"role": "system", "content": instruction})
    signing = Signing(memory, model.family or model.id, required)
    talk = conversation(messages, signing, merge_system)
    out: dict[str, Any] = {"contents": talk.contents}
    if talk.system:
        out["systemInstruction"] = {"parts": [{"text": "\n\n".join(talk.system)}]}
    if declared:
        out["tools"] = [{"functionDeclarations": declared}]
        calling = _calling(body.get("tool_choice"))
        if calling:
            out["toolConfig"] = {"functionCallingConfig": calling}
    config = _config(body, model) | form
    if config:
        out["generationConfig"] = config
    return out


def _settled(body: Body, quirks: Quirks) -> dict[str, Any]:
    """The request with what the catalog says of this provider and model applied."""
    given = {k: v for k, v in body.items() if v is not None and k not in quirks.drop}
    given = {**quirks.set, **given}
    for name, (low, high) in quirks.clamp.items():
        if _is_number(given.get(name)):
            given[name] = min(max(given[name], low), high)
    return given


def _declarations(tools: object) -> list[dict[str, Any]]:
    """The functions among the tools, each name once."""
    declared: dict[str, dict[str, Any]] = {}
    for tool in tools if isinstance(tools, list) else ():
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not function.get("name"):
            continue
        name = function_name(str(function["name"]))
        entry: dict[str, Any] = {"name": name}
        if isinstance(function.get("description"), str):
            entry["description"] = function["description"]
        schema = parameters(function.get("parameters"))
        if schema is not None:
            entry["parameters"] = schema
        declared.setdefault(name, entry)
    return list(declared.values())


def _calling(choice: object) -> dict[str, Any] | None:
    """``tool_choice`` as a functionCallingConfig; None leaves it to the model."""
    if isinstance(choice, str):
        mode = {"auto": "AUTO", "none": "NONE", "required": "ANY", "any": "ANY"}.get(choice)
        return {"mode": mode} if mode else None
    if not isinstance(choice, dict):
        return None
    names = _chosen(choice)
    if names:
        return {"mode": "ANY", "allowedFunctionNames": names}
    return None


def _chosen(choice: Mapping[str, Any]) -> list[str]:
    """The functions that must be called: one by name, or any of a required list."""
    allowed = choice.get("allowed_tools")
    if isinstance(allowed, dict):
        listed = allowed.get("tools") if allowed.get("mode") == "required" else None
        tools = listed if isinstance(listed, list) else []
    else:
        tools = [choice]
    functions = [t.get("function") or t for t in tools if isinstance(t, dict)]
    return [
        function_name(f["name"])
        for f in functions
        if isinstance(f, dict) and isinstance(f.get("name"), str) and f["name"]
    ]


def _form(
    wanted: object, model: Model, quirks: Quirks, has_tools: bool
) -> tuple[dict[str, Any], str]:
    """``response_format`` as settings, and an instruction for what those cannot say.

    Gemini 2 refuses a response type beside functions.
    """
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if not isinstance(wanted, dict) or kind not in ("json_object", "json_schema"):
        return {}, ""
    raw = wanted.get("json_schema") if kind == "json_schema" else None
    schema = raw.get("schema") if isinstance(raw, dict) else None
    if has_tools and (version(model) or (0, 0)) < (3, 0):
        return {}, _asked_for_json(schema, has_tools)
    form: dict[str, Any] = {"responseMimeType": "application/json"}
    if not isinstance(schema, dict) or not schema:
        return form, ""
    cleaned = clean(schema)
    free = cleaned.get("type") == "object" and not cleaned.get("properties")
    if free or not model.json_schema or "json_schema_as_object" in quirks.flags:
        return form, _asked_for_json(schema, has_tools)
    return {**form, "responseSchema": cleaned}, ""


def _asked_for_json(schema: object, has_tools: bool) -> str:
    when = "Unless you call a function, answer" if has_tools else "Answer"
    text = f"{when} with one JSON value and nothing else, without a code fence."
    if isinstance(schema, dict) and schema:
        text += f" It must fit this JSON Schema: {orjson.dumps(schema).decode()}"
    return text


def _config(body: Body, model: Model) -> dict[str, Any]:
    """``generationConfig`` without the form of the answer."""
    config: dict[str, Any] = {}
    limit = _limit(body, model)
    if limit is not None:
        config["maxOutputTokens"] = limit
    names = dict(SAMPLING)
    current = version(model)
    if current is not None and current < (3, 0):
        names |= PENALTIES
    config |= {ours: body[name] for name, ours in names.items() if _is_number(body.get(name))}
    stops = _stops(body.get("stop"))
    if stops:
        config["stopSequences"] = stops
    seed = body.get("seed")
    if isinstance(seed, int) and not isinstance(seed, bool):
        config["seed"] = seed if -(2**31) <= seed < 2**31 else seed % 2**31
    thinking = _thinking(body.get("reasoning_effort"), model, limit)
    if thinking:
        config["thinkingConfig"] = thinking
    return config


def _limit(body: Body, model: Model) -> int | None:
    stated = body.get("max_completion_tokens") or body.get("max_tokens")
    if not isinstance(stated, (int, float)) or stated < 1:
        return None
    return min(int(stated), model.max_output or int(stated))


def _stops(stop: object) -> list[str]:
    listed: Sequence[object] = stop if isinstance(stop, list) else [stop]
    return [s for s in listed if isinstance(s, str) and s][:MAX_STOPS]


def _thinking(effort: object, model: Model, limit: int | None) -> dict[str, Any] | None:
    """How much to think: a level for Gemini 3 and newer, a budget for 2.5, else nothing.

    Without a stated effort a small answer gets the least of it.
    """
    current = version(model)
    if current is None or current < (2, 5) or not model.reasoning:
        return None
    stated = effort if isinstance(effort, str) and effort in LEVELS else None
    if stated is None and (limit is None or limit >= SMALL_ANSWER):
        return None
    wanted = stated or "none"
    asked: dict[str, Any]
    if current < (3, 0):
        least = MIN_BUDGET_PRO if "pro" in model.id else 0
        asked = {"thinkingBudget": max(BUDGETS[wanted], least)}
    else:
        level = LEVELS[wanted]
        low = level == "minimal" and not _has_minimal(model, current)
        asked = {"thinkingLevel": "low" if low else level}
    if wanted not in ("none", "minimal"):
        asked["includeThoughts"] = True
    return asked


def _has_minimal(model: Model, current: Version) -> bool:
    """Whether the level ``minimal`` exists: not on Pro, nor from 3.7 on but for Flash-Lite."""
    return "pro" not in model.id and (current < (3, 7) or "lite" in model.id)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
