"""What a provider refuses of a request in OpenAI's form, by its dialect."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from tests.fakes.dialect import Takes

OWN = frozenset({"model", "messages", "stream", "stream_options"})
KNOWN = frozenset(
    "temperature top_p max_tokens max_completion_tokens stop n seed presence_penalty "
    "frequency_penalty logit_bias logprobs top_logprobs user tools tool_choice "
    "parallel_tool_calls response_format reasoning_effort store metadata service_tier".split()
)
ROLES = frozenset({"system", "user", "assistant", "tool"})
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
NOT_PLAIN = frozenset({"$schema", "additionalProperties", "strict"})


class Refused(Exception):
    """The request is refused; ``field`` is what it stumbled over."""

    def __init__(self, field: str, reason: str, error: str = "refused") -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.error = error
        """Which of the dialect's errors says so."""


Body = Mapping[str, Any]


def check(body: Body, takes: Takes) -> None:
    """Raises ``Refused`` as the provider would."""
    for rule in RULES:
        rule(body, takes)


def _fields(body: Body, takes: Takes) -> None:
    for name in body.keys() - OWN:
        if takes.only is not None and name not in takes.only:
            raise Refused(name, "there is no such parameter")
        if takes.unknown_refused and name not in KNOWN:
            raise Refused(name, "there is no such parameter")
    for name in sorted(takes.refused & body.keys()):
        raise Refused(name, "is not supported")
    for name in sorted(takes.required - body.keys()):
        raise Refused(name, "is missing")
    for name in sorted(body.keys()):
        if body[name] is None:
            raise Refused(name, "must not be null")
    if "stream_options" in body and body.get("stream") is not True:
        raise Refused("stream_options", "is only allowed with stream")
    if "top_logprobs" in body and not body.get("logprobs"):
        raise Refused("top_logprobs", "needs logprobs")
    if {"max_tokens", "max_completion_tokens"} <= body.keys():
        raise Refused("max_tokens", "only one of both caps may be set")


def _knobs(body: Body, takes: Takes) -> None:
    for name, (low, high) in takes.ranges.items():
        if name in body and not low <= body[name] <= high:
            raise Refused(name, f"must be from {low} to {high}")
    effort = body.get("reasoning_effort")
    if effort is not None and takes.efforts and effort not in takes.efforts:
        raise Refused("reasoning_effort", f"must be one of {sorted(takes.efforts)}")
    stop = body.get("stop")
    if isinstance(stop, str) and takes.list_stop:
        raise Refused("stop", "must be a list")
    if isinstance(stop, list) and (takes.one_stop or len(stop) > 4):
        raise Refused("stop", "has too many entries")


def _tools(body: Body, takes: Takes) -> None:
    tools = body.get("tools")
    if not tools:
        for name in ("tools", "tool_choice", "parallel_tool_calls"):
            if name in body:
                raise Refused(name, "is only allowed with tools")
        return
    if len(tools) > takes.most_tools:
        raise Refused("tools", "are too many")
    functions = [tool["function"] for tool in tools]
    for function in functions:
        if not NAME.fullmatch(function["name"]):
            raise Refused("tools", "Invalid function name")
        if takes.plain_schemas and (found := set(_keywords(function)) & NOT_PLAIN):
            raise Refused("tools", f"unexpected keywords {sorted(found)}")
        if takes.strict_refused and "strict" in function:
            raise Refused("tools", "strict is not taken")
    if takes.mixed_strict_refused and len({f.get("strict", False) for f in functions}) > 1:
        raise Refused("tools", "Tools with mixed values for 'strict' are not allowed")
    if takes.single_calls and body.get("parallel_tool_calls") is not False:
        raise Refused("tools", "This model only supports single tool-calls at once!")
    _choice(body.get("tool_choice"), [f["name"] for f in functions], takes)


def _choice(choice: Any, names: list[str], takes: Takes) -> None:
    if isinstance(choice, Mapping) and choice["function"]["name"] not in names:
        raise Refused("tool_choice", "names no declared tool")
    if isinstance(choice, str) and takes.choices and choice not in takes.choices:
        raise Refused("tool_choice", f"must be one of {sorted(takes.choices)}")
    named_taken = not takes.choices or "required" in takes.choices
    if isinstance(choice, Mapping) and not named_taken:
        raise Refused("tool_choice", "cannot name a function")


def _keywords(schema: Any) -> Iterator[str]:
    """The keywords of a schema; names of properties are none."""
    for name, value in schema.items() if isinstance(schema, Mapping) else ():
        yield name
        inner = value.values() if name == "properties" else [value]
        for one in inner if not isinstance(value, list) else value:
            yield from _keywords(one)


def _format(body: Body, takes: Takes) -> None:
    wanted = body.get("response_format")
    if wanted is None:
        return
    by_schema = wanted["type"] == "json_schema"
    if by_schema and takes.schema_refused:
        raise Refused("response_format", "json_schema is not supported by this model")
    if by_schema and takes.schema_alone and (body.get("tools") or body.get("stream")):
        raise Refused("response_format", "json_schema cannot be used with tools or streaming")
    said = json.dumps(body["messages"]).lower()
    if wanted["type"] == "json_object" and takes.json_word and "json" not in said:
        raise Refused("response_format", "'messages' must contain the word 'json'")


def _messages(body: Body, takes: Takes) -> None:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refused("messages", "must not be empty")
    for index, message in enumerate(messages):
        _message(message, f"messages[{index}]", takes)
    _results(messages)
    if takes.ordered:
        _order(messages)


def _message(message: Body, where: str, takes: Takes) -> None:
    if message.get("role") not in ROLES:
        raise Refused(where, f"unknown role {message.get('role')!r}")
    for name in message:
        if takes.message_only is not None and name not in takes.message_only:
            raise Refused(f"{where}.{name}", "there is no such field")
        if name in takes.message_refused:
            raise Refused(f"{where}.{name}", "is unsupported")
        if takes.nulls_refused and message[name] is None and name != "content":
            raise Refused(f"{where}.{name}", "must not be null")
    _content(message, where, takes)
    ids = [call["id"] for call in message.get("tool_calls") or ()]
    ids += [message["tool_call_id"]] if "tool_call_id" in message else []
    for id in ids:
        if takes.tool_ids and not re.fullmatch(takes.tool_ids, id):
            raise Refused(where, f"Tool call id was {id} but must be {takes.tool_ids}")
    if takes.reasoning_kept and ids and message["role"] == "assistant":
        if not message.get("reasoning_content"):
            raise Refused(where, "reasoning_content is missing in assistant tool call message")


def _content(message: Body, where: str, takes: Takes) -> None:
    content, calls = message.get("content"), message.get("tool_calls")
    if content is None and (takes.null_content_refused or not calls):
        raise Refused(f"{where}.content", "must not be null")
    if content == "" and takes.empty_content_refused and message["role"] == "assistant":
        raise Refused(f"{where}.content", "must not be empty")
    if isinstance(content, list) and takes.text_content:
        if all(part["type"] == "text" for part in content):
            raise Refused(f"{where}.content", "must be a string")


def _results(messages: list[dict[str, Any]]) -> None:
    """Each tool result answers a call of the assistant turn before it."""
    waiting: set[str] = set()
    for index, message in enumerate(messages):
        if message["role"] == "tool":
            if message.get("tool_call_id") not in waiting:
                raise Refused(f"messages[{index}]", "answers no tool call", "order")
            waiting.discard(message["tool_call_id"])
        elif waiting:
            raise Refused(f"messages[{index}]", "tool calls are without results", "order")
        if message["role"] == "assistant":
            waiting = {call["id"] for call in message.get("tool_calls") or ()}


def _order(messages: list[dict[str, Any]]) -> None:
    for before, message in pairwise(messages):
        if before["role"] == "tool" and message["role"] not in ("tool", "assistant"):
            reason = f"Unexpected role '{message['role']}' after role 'tool'"
            raise Refused("messages", reason, "order")
    last = messages[-1]
    if last["role"] not in ("user", "tool") and not last.get("prefix"):
        raise Refused("messages", "Expected last role User or Tool", "order")


RULES: tuple[Callable[[Body, Takes], None], ...] = (_fields, _knobs, _tools, _format, _messages)
