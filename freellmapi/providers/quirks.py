"""How a provider's requests differ from OpenAI's, made ready to apply: data in, body out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from freellmapi.core.catalog import Model, Provider, Quirks
from freellmapi.core.values import dataclass
from freellmapi.providers import messages as said
from freellmapi.providers import schemas

MAX_STOPS = 4
_OWN = frozenset({"model", "messages", "stream", "stream_options"})
_NEEDS_TOOLS = ("tool_choice", "parallel_tool_calls")
_CAPS = ("max_completion_tokens", "max_tokens")
_DEFAULT_CAP, _HIGHEST_DEFAULT_CAP = 4096, 8192
_LOWEST_TEMPERATURE = 0.01
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

FLAGS = frozenset(
    {
        "empty_content_not_null",
        "flatten_content",
        "inline_images",
        "json_schema_as_object",
        "json_word",
        "max_tokens_required",
        "merge_system",
        "nine_char_tool_ids",
        "no_empty_turns",
        "no_schema_with_tools_or_stream",
        "no_stream",
        "no_stream_usage",
        "no_user_after_tool",
        "one_stop",
        "stop_as_list",
        "strip_schema",
        "temperature_not_zero",
    }
)
"""Every flag that means something to this wire, or (``inline_images``) before it."""


def merged(quirks: Quirks, overrides: Mapping[str, Any]) -> Quirks:
    """The provider's quirks with a model's own: sets and tables are added to.

    A name with a ``-`` before it is taken away instead; ``allow`` replaces.
    """
    if not overrides:
        return quirks
    allow = overrides.get("allow")
    return replace(
        quirks,
        drop=_joined(quirks.drop, overrides.get("drop", ())),
        flags=_joined(quirks.flags, overrides.get("flags", ())),
        drop_in_messages=_joined(quirks.drop_in_messages, overrides.get("drop_in_messages", ())),
        rename={**quirks.rename, **overrides.get("rename", {})},
        set={**quirks.set, **overrides.get("set", {})},
        clamp={**quirks.clamp, **overrides.get("clamp", {})},
        choices={**quirks.choices, **overrides.get("choices", {})},
        allow=quirks.allow if allow is None else frozenset(allow),
    )


def _joined(names: frozenset[str], more: Iterable[str]) -> frozenset[str]:
    away = {name[1:] for name in more if name.startswith("-")}
    return (names | {name for name in more if not name.startswith("-")}) - away


@dataclass(frozen=True, slots=True)
class Rules:
    """The quirks of one model, ready to apply."""

    quirks: Quirks
    max_output: int | None
    steps: tuple[Callable[[dict[str, Any]], None], ...]

    @classmethod
    def of(cls, provider: Provider, model: Model) -> Rules:
        quirks = merged(provider.quirks, model.quirks)
        flags = quirks.flags
        steps = [step for flag, step in schemas.STEPS if flag in flags]
        if quirks.drop_in_messages or flags & said.FLAGS:
            steps.append(said.step(quirks.drop_in_messages, flags))
        return cls(quirks, model.max_output, tuple(steps))

    @property
    def streams(self) -> bool:
        return "no_stream" not in self.quirks.flags

    @property
    def counts_stream(self) -> bool:
        """Whether it can be asked for usage at the end of a stream."""
        return "no_stream_usage" not in self.quirks.flags

    def applied(self, body: dict[str, Any]) -> dict[str, Any]:
        """``body`` (ours, its values shared) as the provider takes it."""
        if "response_format" in body and not self._takes("response_format"):
            schemas.format_in_words(body)
        if body.get("tool_choice") == "none" and not self._takes("tool_choice", "none"):
            body.pop("tools", None)
        self._fields(body)
        for step in self.steps:
            step(body)
        return body

    def _fields(self, body: dict[str, Any]) -> None:
        quirks, flags = self.quirks, self.quirks.flags
        self._cap(body)
        for name in quirks.drop:
            body.pop(name, None)
        for name, new in quirks.rename.items():
            if name in body:
                value = body.pop(name)
                body.setdefault(new, value)
        if not body.get("tools"):
            for name in _NEEDS_TOOLS:
                body.pop(name, None)
        self._set(body)
        self._choose(body)
        for name, (low, high) in quirks.clamp.items():
            value = body.get(name)
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                body[name] = min(max(value, low), high)
        if quirks.allow is not None:
            for name in [n for n in body if n not in quirks.allow and n not in _OWN]:
                del body[name]
        if "temperature_not_zero" in flags and body.get("temperature") == 0:
            body["temperature"] = _LOWEST_TEMPERATURE
        self._stops(body)

    def _takes(self, name: str, value: str | None = None) -> bool:
        """Whether the provider knows a field, and what it would say."""
        quirks = self.quirks
        if name in quirks.drop or (quirks.allow is not None and name not in quirks.allow):
            return False
        return value is None or value in quirks.choices.get(name, (value,))

    def _choose(self, body: dict[str, Any]) -> None:
        for name, taken in self.quirks.choices.items():
            value = body.get(name)
            if value is None or value in taken:
                continue
            nearest = _nearest(value, taken) if name == "reasoning_effort" else None
            if nearest is None:
                del body[name]
            else:
                body[name] = nearest

    def _cap(self, body: dict[str, Any]) -> None:
        """``max_tokens`` within what the model can say; stated where it must be."""
        given = [name for name in _CAPS if isinstance(body.get(name), int)]
        for name in given:
            if self.max_output is not None and body[name] > self.max_output:
                body[name] = self.max_output
        if not given and "max_tokens_required" in self.quirks.flags:
            body["max_tokens"] = min(self.max_output or _DEFAULT_CAP, _HIGHEST_DEFAULT_CAP)

    def _set(self, body: dict[str, Any]) -> None:
        for name, value in self.quirks.set.items():
            if name in _NEEDS_TOOLS and not body.get("tools"):
                continue
            if name in _CAPS and any(body.get(cap) is not None for cap in _CAPS):
                continue
            if body.get(name) is None:
                body[name] = value

    def _stops(self, body: dict[str, Any]) -> None:
        stop = body.get("stop")
        if isinstance(stop, list) and len(stop) > MAX_STOPS:
            body["stop"] = stop[:MAX_STOPS]
        if isinstance(stop, list) and stop and "one_stop" in self.quirks.flags:
            body["stop"] = stop[0]
        elif isinstance(stop, str) and "stop_as_list" in self.quirks.flags:
            body["stop"] = [stop]


def _nearest(effort: str, taken: Sequence[str]) -> str | None:
    """The effort most like this one; thinking is turned off only for who asks for that."""
    if effort not in _EFFORTS:
        return None
    place = _EFFORTS.index(effort)
    known = [e for e in taken if e in _EFFORTS and e != "none"]
    return min(known, key=lambda e: abs(_EFFORTS.index(e) - place), default=None)


class RulesByModel:
    """The rules of each model, worked out once; a changed catalog is noticed."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Provider, Model, Rules]] = {}

    def of(self, provider: Provider, model: Model) -> Rules:
        known = self._known.get(model.ref)
        if known is None or known[0] is not provider or known[1] is not model:
            known = self._known[model.ref] = (provider, model, Rules.of(provider, model))
        return known[2]
