"""What Google refuses, in its own words: the strict half of the fake Gemini.

Sources: error bodies in public issue threads up to 2026-10, the types of google-genai 3.4.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

SENTINELS = frozenset({"skip_thought_signature_validator", "context_engineering_is_the_way_to_go"})
TOP = frozenset(
    "contents systemInstruction tools toolConfig generationConfig safetySettings".split()
)
CONFIG = frozenset(
    "maxOutputTokens temperature topP topK stopSequences candidateCount seed presencePenalty "
    "frequencyPenalty responseMimeType responseSchema thinkingConfig".split()
)
THINKING = frozenset({"thinkingBudget", "thinkingLevel", "includeThoughts"})
SCHEMA = frozenset(
    "type format title description nullable default enum items properties propertyOrdering "
    "required minItems maxItems minLength maxLength minProperties maxProperties minimum maximum "
    "pattern example anyOf".split()
)
PART = frozenset("text inlineData functionCall functionResponse thought thoughtSignature".split())
TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object"})
FORMATS = {
    "string": {"enum", "date-time"},
    "number": {"float", "double"},
    "integer": {"int32", "int64"},
}
NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}")


class Refused(Exception):
    """A 400 INVALID_ARGUMENT with this message."""


def generation(model: str) -> float:
    """3.5 for ``gemini-3.5-flash``; 0 for Gemma."""
    found = re.search(r"gemini-(\d+(?:\.\d)?)", model)
    if found:
        return float(found[1])
    aliases = {"gemini-flash-latest": 3.8, "gemini-flash-lite-latest": 3.5}
    return aliases.get(model, 0.0)


def check(body: Mapping[str, Any], model: str, issued: frozenset[str] = frozenset()) -> None:
    """Raises ``Refused`` as Google would; ``issued`` are the signatures it knows as its own."""
    _known(body, TOP, "")
    contents = body.get("contents")
    if not isinstance(contents, list) or not contents:
        raise Refused("* GenerateContentRequest.contents: contents is not specified")
    for index, content in enumerate(contents):
        _content(content, f"contents[{index}]")
    _order(contents)
    declared = _tools(body)
    _calling(body, declared)
    _config(body, model, bool(declared))
    if "systemInstruction" in body:
        if "gemma-3" in model:
            raise Refused(f"Developer instruction is not enabled for models/{model}")
        _content({"role": "user", **body["systemInstruction"]}, "system_instruction")
    if generation(model) >= 3:
        _signed(contents)
    for part in _parts(contents):
        signature = part.get("thoughtSignature")
        if signature is not None and signature not in issued | SENTINELS:
            raise Refused("Corrupted thought signature.")


def _known(given: Mapping[str, Any], allowed: frozenset[str], where: str) -> None:
    for name in given:
        if name not in allowed:
            at = f" at '{where}'" if where else ""
            raise Refused(
                f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.'
            )


def _content(content: Mapping[str, Any], where: str) -> None:
    _known(content, frozenset({"role", "parts"}), where)
    if content.get("role") not in ("user", "model"):
        raise Refused("Please use a valid role: user, model.")
    if not content.get("parts"):
        raise Refused(f"* GenerateContentRequest.{where}.parts: contents.parts must not be empty.")
    for part in content["parts"]:
        _part(part, where)


def _part(part: Mapping[str, Any], where: str) -> None:
    _known(part, PART, f"{where}.parts[0]")
    data = part.keys() & {"text", "inlineData", "functionCall", "functionResponse"}
    if len(data) != 1 or part.get("text") == "":
        raise Refused(
            f"* GenerateContentRequest.{where}.parts[0].data: "
            "required oneof field 'data' must have one initialized field"
        )
    if "inlineData" in part and (
        part["inlineData"].keys() != {"mimeType", "data"} or not part["inlineData"]["data"]
    ):
        raise Refused("Unable to process input image.")
    for name, inner in (("functionCall", "args"), ("functionResponse", "response")):
        if name in part:
            _function(part[name], inner)


def _function(function: Mapping[str, Any], inner: str) -> None:
    _known(function, frozenset({"id", "name", inner}), "parts")
    if not NAME.fullmatch(function.get("name", "")):
        raise Refused("Invalid function name.")
    if not isinstance(function.get(inner), dict):
        raise Refused(f"Invalid value at '{inner}' (Struct)")


def _order(contents: list[dict[str, Any]]) -> None:
    if contents[0]["role"] != "user":
        raise Refused("Please ensure that the conversation starts with a user turn.")
    for before, content in pairwise(contents):
        if before["role"] == content["role"]:
            raise Refused("Please ensure that multiturn requests alternate between user and model.")
    for index, content in enumerate(contents):
        calls = [p["functionCall"] for p in content["parts"] if "functionCall" in p]
        following = contents[index + 1]["parts"] if index + 1 < len(contents) else []
        answers = [p["functionResponse"] for p in following if "functionResponse" in p]
        if content["role"] == "user":
            if calls:
                raise Refused("Please ensure that function calls are made by the model.")
            continue
        pairs = [(f.get("id"), f["name"]) for f in calls]
        if pairs != [(f.get("id"), f["name"]) for f in answers]:
            raise Refused(
                "Please ensure that the number of function response parts is equal to the number "
                "of function call parts of the function call turn."
            )


def _tools(body: Mapping[str, Any]) -> list[str]:
    names: list[str] = []
    for tool in body.get("tools", ()):
        _known(tool, frozenset({"functionDeclarations"}), "tools[0]")
        for index, declared in enumerate(tool["functionDeclarations"]):
            where = f"tools[0].function_declarations[{index}]"
            _known(declared, frozenset({"name", "description", "parameters"}), where)
            if not NAME.fullmatch(declared.get("name", "")):
                raise Refused(f"* GenerateContentRequest.{where}.name: Invalid function name.")
            if declared["name"] in names:
                raise Refused(f"Duplicate function declaration found: {declared['name']}")
            names.append(declared["name"])
            if "parameters" in declared:
                _parameters(declared["parameters"], f"{where}.parameters")
    return names


def _parameters(schema: Mapping[str, Any], where: str) -> None:
    if schema.get("type") != "object":
        raise Refused(f"* GenerateContentRequest.{where}: schema must be of type OBJECT")
    if not schema.get("properties"):
        raise Refused(
            f"* GenerateContentRequest.{where}.properties: should be non-empty for OBJECT type"
        )
    check_schema(schema, where)


def check_schema(schema: Mapping[str, Any], where: str) -> None:
    """One schema and all in it."""
    _known(schema, SCHEMA, where)
    at = f"* GenerateContentRequest.{where}"
    kind = schema.get("type")
    if kind not in TYPES and "anyOf" not in schema:
        raise Refused(f"{at}.type: must be specified")
    if "properties" in schema and (kind != "object" or not schema["properties"]):
        raise Refused(f"{at}.properties: only allowed, and not empty, for OBJECT type")
    if kind == "array" and "items" not in schema:
        raise Refused(f"{at}.items: missing field.")
    if "enum" in schema and (kind != "string" or not all(schema["enum"])):
        raise Refused(f"{at}.enum: only allowed for STRING type")
    if "format" in schema and schema["format"] not in FORMATS.get(str(kind), ()):
        raise Refused(f"{at}.format: only 'enum' and 'date-time' are supported for STRING type")
    for index, name in enumerate(schema.get("required", ())):
        if name not in schema.get("properties", {}):
            raise Refused(f"{at}.required[{index}]: property is not defined")
    for where_inner, inner in _inner(schema, where):
        check_schema(inner, where_inner)


def _inner(schema: Mapping[str, Any], where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, inner in schema.get("properties", {}).items():
        yield f"{where}.properties[{name}]", inner
    for index, inner in enumerate(schema.get("anyOf", ())):
        yield f"{where}.any_of[{index}]", inner
    if "items" in schema:
        yield f"{where}.items", schema["items"]


def _calling(body: Mapping[str, Any], declared: list[str]) -> None:
    if "toolConfig" not in body:
        return
    if not declared:
        raise Refused("Function calling config is set without function_declarations.")
    config = body["toolConfig"]["functionCallingConfig"]
    _known(config, frozenset({"mode", "allowedFunctionNames"}), "tool_config")
    allowed = config.get("allowedFunctionNames", [])
    if not set(allowed) <= set(declared) or (allowed and config["mode"] != "ANY"):
        raise Refused("Allowed function names are only for declared ones, in mode ANY.")


def _config(body: Mapping[str, Any], model: str, has_tools: bool) -> None:
    config = body.get("generationConfig", {})
    _known(config, CONFIG, "generation_config")
    thinking = config.get("thinkingConfig", {})
    _known(thinking, THINKING, "generation_config.thinking_config")
    if "thinkingBudget" in thinking and "thinkingLevel" in thinking:
        raise Refused("You can only set only one of thinking budget and thinking level.")
    current = generation(model)
    if thinking and (current >= 3) != ("thinkingLevel" in thinking):
        raise Refused(f"Thinking is not configured so for models/{model}.")
    if thinking.get("thinkingLevel") == "minimal" and current >= 3.7:
        raise Refused("Thinking level MINIMAL is not supported for this model.")
    if current >= 3 and config.keys() & {"presencePenalty", "frequencyPenalty"}:
        raise Refused(f"Penalty is not enabled for models/{model}")
    if len(config.get("stopSequences", ())) > 5:
        raise Refused("The stop sequences must not be more than 5.")
    if "seed" in config and not -(2**31) <= config["seed"] < 2**31:
        raise Refused("Invalid value at 'generation_config.seed' (TYPE_INT32)")
    if "responseMimeType" in config and has_tools and current < 3:
        raise Refused(
            "Function calling with a response mime type: 'application/json' is unsupported"
        )
    if "responseSchema" in config:
        check_schema(config["responseSchema"], "generation_config.response_schema")


def _signed(contents: list[dict[str, Any]]) -> None:
    """Every step since the user last spoke: its first call has its signature."""
    spoke = [
        index
        for index, content in enumerate(contents)
        if content["role"] == "user"
        and any("text" in part for part in content["parts"])
        and not any("functionResponse" in part for part in content["parts"])
    ]
    for content in contents[spoke[-1] if spoke else 0 :]:
        calls = [part for part in content["parts"] if "functionCall" in part]
        if calls and "thoughtSignature" not in calls[0]:
            raise Refused(
                "Function call is missing a thought_signature in functionCall parts. This is "
                "required for tools to work correctly, and missing thought_signature may lead to "
                "degraded model performance."
            )


def _parts(contents: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for content in contents:
        yield from content["parts"]
