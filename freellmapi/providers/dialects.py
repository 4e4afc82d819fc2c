"""Tool calls that a model writes as text, because its server does not parse its template.

One table of forms (``DIALECTS``) and one reader. Only calls of declared tools whose
arguments parse as JSON are taken; everything else stays text, word for word. The Hermes,
Qwen, GLM and Llama forms were seen; the others are from general knowledge.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from freellmapi.core.values import dataclass
from freellmapi.providers.answers import arguments_text
from freellmapi.providers.think import held_tail

Named = tuple[str, Any]
"""A function's name and its arguments, not yet checked."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One form: how it begins, how one call ends (None: with the answer), how it is read."""

    begins: str
    ends: str | None
    read: Callable[[str], Iterator[Named]]


def _objects(text: str) -> Iterator[Named]:
    """``{"name", "arguments" or "parameters"}``, alone or in a list."""
    value = orjson.loads(text)
    for call in value if isinstance(value, list) else [value]:
        inner = call.get("function") if isinstance(call.get("function"), dict) else call
        yield inner["name"], inner.get("arguments", inner.get("parameters"))


def _several_objects(text: str) -> Iterator[Named]:
    """The same, several parted by ``;`` or line breaks."""
    try:
        yield from _objects(text)
    except orjson.JSONDecodeError:
        for line in re.split(r";|\n", text):
            if line.strip():
                yield from _objects(line)


_GLM_PAIR = re.compile(r"\s*<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>\s*", re.DOTALL)
_QWEN_FUNCTION = re.compile(r"\s*<function=([^>\s]+)>(.*?)</function>\s*", re.DOTALL)
_QWEN_PARAMETER = re.compile(r"\s*<parameter=([^>\s]+)>(.*?)</parameter>\s*", re.DOTALL)


def _hermes(text: str) -> Iterator[Named]:
    """JSON, GLM's ``name`` with key and value tags, or Qwen coder's tags."""
    body = text.strip()
    if body.startswith("{"):
        yield from _objects(body)
    elif body.startswith("<function="):
        for found in _whole(_QWEN_FUNCTION, body):
            yield found[1], _function_arguments(found[2])
    else:
        name, tag, pairs = body.partition("<arg_key>")
        found_pairs = _whole(_GLM_PAIR, tag + pairs)
        yield name.strip(), {pair[1].strip(): _value(pair[2]) for pair in found_pairs}


_LLAMA_CALL = re.compile(r"\s*([^>{\s]+)\s*>?\s*(.*)", re.DOTALL)


def _llama_function(text: str) -> Iterator[Named]:
    """``name>{...}``, also without the ``>``, which Llama 3 tends to forget."""
    for found in _whole(_LLAMA_CALL, text):
        yield found[1], _function_arguments(found[2])


def _function_arguments(body: str) -> Any:
    if body.strip().startswith("<parameter="):
        return {found[1]: _value(found[2]) for found in _whole(_QWEN_PARAMETER, body)}
    return body.strip() or {}


def _mistral(text: str) -> Iterator[Named]:
    if text.lstrip().startswith("["):
        yield from _objects(text)
        return
    for call in text.split("[TOOL_CALLS]"):
        name, _, arguments = call.partition("[ARGS]")
        yield name.strip(), arguments.strip()


_KIMI_CALL = re.compile(
    r"\s*<\|tool_call_begin\|>\s*(?:functions\.)?([^\s:<]+)(?::\d+)?\s*"
    r"<\|tool_call_argument_begin\|>(.*?)<\|tool_call_end\|>\s*",
    re.DOTALL,
)
_DEEPSEEK_CALL = re.compile(
    r"\s*<｜tool▁call▁begin｜>(?:function)?\s*<｜tool▁sep｜>\s*(\S+)\s*"
    r"(?:```(?:json)?)?\s*(.*?)\s*(?:```)?\s*<｜tool▁call▁end｜>\s*",
    re.DOTALL,
)


def _kimi(text: str) -> Iterator[Named]:
    for found in _whole(_KIMI_CALL, text):
        yield found[1], found[2].strip()


def _deepseek(text: str) -> Iterator[Named]:
    for found in _whole(_DEEPSEEK_CALL, text):
        yield found[1], found[2]


def _whole(pattern: re.Pattern[str], text: str) -> list[re.Match[str]]:
    """The matches that together are all of ``text``; ``ValueError`` if something is left."""
    found: list[re.Match[str]] = []
    at = 0
    while at < len(text):
        match = pattern.match(text, at)
        if match is None or match.end() == at:
            raise ValueError("not this form")
        found.append(match)
        at = match.end()
    return found


def _value(text: str) -> Any:
    """A tagged value: JSON where it is JSON, else the text itself."""
    text = text.strip("\n")
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


DIALECTS = (
    Dialect("<tool_call>", "</tool_call>", _hermes),
    Dialect("<function=", "</function>", _llama_function),
    Dialect("<|python_tag|>", None, _several_objects),
    Dialect("[TOOL_CALLS]", None, _mistral),
    Dialect("<|tool_calls_section_begin|>", "<|tool_calls_section_end|>", _kimi),
    Dialect("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", _deepseek),
)
_MARK = re.compile("|".join(re.escape(dialect.begins) for dialect in DIALECTS))
_BY_MARK = {dialect.begins: dialect for dialect in DIALECTS}
_MARK_STARTS = re.compile(r"[<\[]")
_FENCED = re.compile(r"```(?:json)?\s*(\{.*\})\s*```", re.DOTALL)
_FENCE = re.compile(r"```(?:json)?\s*(?=\{|$)")
_BARE_KEYS = ("name", "type", "function", "arguments", "parameters")
_BARE_KEY = re.compile(r'\{\s*(?:"(\w*))?')
_BARE_KEY_DONE = re.compile(r'\{\s*"(name|type|function|arguments|parameters)"')
_BARE_NAME = re.compile(r'\{\s*"name"\s*:\s*"([^"]*)"')
_MAX_BARE = 64 * 1024
"""Characters that are held back at most while the whole answer may be a JSON object."""


def declared(named: Iterator[Named], tools: frozenset[str]) -> list[dict[str, Any]] | None:
    """The calls in OpenAI's form but for ids; None unless every one is good."""
    calls: list[dict[str, Any]] = []
    try:
        for name, given in named:
            arguments = arguments_text(given) or "{}"
            if name not in tools or not isinstance(orjson.loads(arguments), dict):
                return None
            function = {"name": name, "arguments": arguments}
            calls.append({"type": "function", "function": function})
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return calls or None


class ToolText:
    """Finds calls in an answer's text, fed by pieces split anywhere.

    Text is held back only while it may still be (the beginning of) a call, and released
    as it came once it cannot be one.
    """

    __slots__ = ("_after", "_held", "_inside", "_start", "_tools")

    def __init__(self, tools: frozenset[str]) -> None:
        self._tools = tools
        self._held = ""
        self._inside: Dialect | None = None
        self._start = True
        self._after = False

    def passes(self, text: str) -> bool:
        """Whether ``text`` is neither part of a call nor the beginning of one."""
        settled = not (self._start or self._held or self._after)
        return settled and not _MARK_STARTS.search(text)

    def feed(self, text: str) -> tuple[str, list[dict[str, Any]]]:
        """The text and the calls that can be told by now."""
        self._held += text
        if self._start and self._may_be_bare():
            return "", []
        self._start = False
        return self._scan(last=False)

    def flush(self) -> tuple[str, list[dict[str, Any]]]:
        """What was held back when the answer ended."""
        if self._start:
            calls = self._bare()
            if calls:
                self._held = ""
                return "", calls
        self._start = False
        return self._scan(last=True)

    def _scan(self, last: bool) -> tuple[str, list[dict[str, Any]]]:
        text = ""
        calls: list[dict[str, Any]] = []
        while self._held:
            if self._inside is None:
                text += self._loose(self._until_mark(last))
                if self._inside is None:
                    break
            found = self._call(self._inside, last)
            if found is None:
                break
            text += found[0]
            calls += found[1]
            self._after = bool(found[1])
            self._inside = None
        return ("" if calls and not text.strip() else text), calls

    def _loose(self, text: str) -> str:
        """Text less the white space after a call, which is part of the form."""
        if self._after:
            text = text.lstrip()
            self._after = not text
        return text

    def _until_mark(self, last: bool) -> str:
        """The text before the next mark; what may become a mark stays held."""
        match = _MARK.search(self._held)
        if match is not None:
            self._inside = _BY_MARK[match[0]]
            keep = match.start()
        elif last:
            keep = len(self._held)
        else:
            keep = len(self._held) - max(held_tail(self._held, d.begins) for d in DIALECTS)
        text, self._held = self._held[:keep], self._held[keep:]
        return text

    def _call(self, form: Dialect, last: bool) -> tuple[str, list[dict[str, Any]]] | None:
        """The calls that the held text begins with, or the text they turn out to be.

        None while the end has not come.
        """
        size = len(self._held)
        end = size
        if form.ends is not None:
            at = self._held.find(form.ends)
            if at >= 0:
                end, size = at, at + len(form.ends)
            elif not last:
                return None
        elif not last:
            return None
        body, whole = self._held[len(form.begins) : end], self._held[:size]
        self._held = self._held[size:]
        calls = declared(form.read(body), self._tools)
        return (whole, []) if calls is None else ("", calls)

    def _may_be_bare(self) -> bool:
        """Whether all so far may be the beginning of one call as a JSON object."""
        start = self._held.lstrip()
        if len(start) > _MAX_BARE:
            return False
        if start.startswith("`"):
            fence = _FENCE.match(start)
            if fence is None:
                return "```json".startswith(start.rstrip())
            start = start[fence.end() :]
        if not start:
            return True
        named = _BARE_NAME.match(start)
        if named is not None:
            return named[1] in self._tools
        key = _BARE_KEY.fullmatch(start) or _BARE_KEY_DONE.match(start)
        return key is not None and any(known.startswith(key[1] or "") for known in _BARE_KEYS)

    def _bare(self) -> list[dict[str, Any]] | None:
        """The calls, if all of the answer is one JSON object, fenced or not."""
        text = self._held.strip()
        fenced = _FENCED.fullmatch(text)
        if fenced is not None:
            text = fenced[1]
        return declared(_objects(text), self._tools) if text.startswith("{") else None
