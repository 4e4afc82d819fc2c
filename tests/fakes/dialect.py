"""How each provider is known to behave: ``dialects/*.toml``, written from what is known of the
provider and not from the catalog, so that a mistake in the catalog shows."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.fakes.answers import Fixed

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).parent / "dialects"


@dataclass(frozen=True, slots=True)
class Takes:
    """What a request may be."""

    only: frozenset[str] | None = None
    """The optional fields there are, when the schema is closed."""
    refused: frozenset[str] = frozenset()
    """Optional fields that must not come."""
    required: frozenset[str] = frozenset()
    unknown_refused: bool = False
    """Whether a field that nobody knows is refused, beside those of ``refused``."""
    message_only: frozenset[str] | None = None
    message_refused: frozenset[str] = frozenset()
    nulls_refused: bool = False
    """Whether a message may hold no null but its content."""
    null_content_refused: bool = False
    empty_content_refused: bool = False
    """Whether an assistant message without a tool call must say something."""
    text_content: bool = False
    """Whether a list of nothing but text parts is refused."""
    ordered: bool = False
    """Whether a user turn right after a tool's result is refused, and the like."""
    tool_ids: str = ""
    choices: frozenset[str] = frozenset()
    """What ``tool_choice`` may say; empty: anything."""
    efforts: frozenset[str] = frozenset()
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    single_calls: bool = False
    """Whether tools want ``parallel_tool_calls: false`` beside them."""
    most_tools: int = 512
    plain_schemas: bool = False
    """Whether ``$schema``, ``additionalProperties`` and ``strict`` are refused in tools."""
    strict_refused: bool = False
    mixed_strict_refused: bool = False
    schema_refused: bool = False
    """Whether ``json_schema`` is."""
    schema_alone: bool = False
    """Whether ``json_schema`` is refused beside tools or a stream."""
    json_word: bool = False
    """Whether ``json_object`` wants the word JSON in a message."""
    one_stop: bool = False
    list_stop: bool = False
    reasoning_kept: bool = False
    """Whether an assistant turn with calls must keep the reasoning it came with."""


@dataclass(frozen=True, slots=True)
class Speaks:
    """How answers look."""

    reasoning: str = ""
    """Where reasoning stands: a field's name, ``think`` (inside the content), ``parts`` (of a
    list content), ``details`` (OpenRouter's); empty: none is given."""
    usage: str = "openai"
    """``openai`` (a last chunk, if asked for), ``always``, ``last`` (in the chunk with the
    finish reason), ``choice``, ``x_groq``, ``kudos`` or ``none``."""
    calls: str = "pieces"
    """``pieces``, ``whole`` (one delta a call) or ``no_index``."""
    call_ids: str = "call_{n}"
    finish: str = "stop"
    model: str = ""
    """The model it says it is; empty: the one that was asked for."""
    comment: str = ""
    crlf: bool = False
    no_space: bool = False
    no_done: bool = False
    nulls: bool = False
    """Whether deltas and messages are full of nulls."""
    one_call: bool = False
    repeats: bool = False
    """Whether the stream ends with the whole answer once more."""
    filter_first: bool = False
    """Whether the stream begins with a chunk about filters, without choices."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    choice_extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failure:
    """One way to fail. ``kind`` is stated where it does not follow from the name."""

    status: int
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: str = ""

    def reply(self, message: str = "no", name: str = "x") -> Fixed:
        body = self.body.replace("{message}", message).replace("{field}", name)
        return Fixed(self.status, body.encode(), {"Content-Type": "application/json"} | self._named)

    @property
    def _named(self) -> dict[str, str]:
        return {name.title(): value for name, value in self.headers.items()}


@dataclass(frozen=True, slots=True)
class Dialect:
    """One provider, as seen from outside."""

    id: str
    base_url: str
    path: str
    header: str
    key: str
    """The secret part of the key."""
    auth: str
    """What the header must say."""
    errors: Mapping[str, Failure]
    takes: Takes = Takes()
    speaks: Speaks = Speaks()
    models: tuple[Mapping[str, Any], ...] = ()
    anonymous: bool = False

    @property
    def base_path(self) -> str:
        return urlsplit(self.base_url).path

    def takes_for(self, model: str) -> Takes:
        """The rules of one model: its own beside the provider's; ``-name`` allows again."""
        takes = self.takes
        for entry in self.models:
            if re.search(str(entry["match"]), model):
                more = _takes({k: v for k, v in entry.items() if k != "match"})
                given = more.refused
                lifted = {name for name in given if name.startswith("-")}
                changes = {name: getattr(more, name) for name in entry if name != "match"}
                changes["refused"] = (takes.refused | given) - lifted - {n[1:] for n in lifted}
                changes["ranges"] = {**takes.ranges, **more.ranges}
                takes = replace(takes, **changes)
        return takes


@lru_cache(maxsize=1)
def dialects() -> Mapping[str, Dialect]:
    """Every dialect, by the provider's id."""
    return {path.stem: _dialect(path) for path in sorted(FOLDER.glob("*.toml"))}


def _dialect(path: Path) -> Dialect:
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    takes, speaks = _takes(data.pop("takes", {})), Speaks(**data.pop("speaks", {}))
    errors = {name: Failure(**entry) for name, entry in data.pop("errors").items()}
    models = tuple(data.pop("models", ()))
    return Dialect(path.stem, errors=errors, takes=takes, speaks=speaks, models=models, **data)


def _takes(data: Mapping[str, Any]) -> Takes:
    found: dict[str, Any] = {
        name: frozenset(value) if isinstance(value, list) else value for name, value in data.items()
    }
    if "ranges" in data:
        found["ranges"] = {name: (low, high) for name, (low, high) in data["ranges"].items()}
    return Takes(**found)
