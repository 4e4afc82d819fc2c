"""A chat request once it is known to be good, and the pieces of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from freellmapi.core.limits import Usage
from freellmapi.core.values import dataclass


class Need(str, Enum):
    """A capability without which a model cannot serve the request."""

    TOOLS = "tools"
    TOOL_CHOICE = "tool_choice"
    """A tool must be called, or one certain tool."""
    VISION = "vision"
    JSON_SCHEMA = "json_schema"


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One validated request.

    ``body`` holds everything a provider may see, in OpenAI's form: ``messages`` and all
    optional fields, unknown ones included; never ``model``, ``stream`` or
    ``stream_options``, which belong to the call. It is shared: copy before changing.
    """

    model: str
    body: Mapping[str, Any]
    stream: bool = False
    include_usage: bool = False
    fallbacks: tuple[str, ...] = ()
    needs: frozenset[Need] = frozenset()
    tools: frozenset[str] = frozenset()
    """Names of the functions declared in the request."""
    prompt_tokens: int = 0
    """An estimate, rather high than low."""
    max_tokens: int | None = None
    session: str | None = None
    max_wait: float | None = None
    """Seconds to wait for a slot at most; None: as the settings say."""
    recovery: str | None = None
    """``continue`` or ``error`` when a stream breaks; None: as the settings say."""


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole answer: ``body`` is an OpenAI ``chat.completion`` object."""

    body: dict[str, Any]
    usage: Usage | None


@dataclass(slots=True)
class Chunk:
    """One piece of a streamed answer.

    ``data`` is the JSON of an OpenAI ``chat.completion.chunk`` as it goes to the client;
    the other fields are what the router must know of it. A chunk that carries only usage
    has empty ``choices`` in ``data``.
    """

    data: bytes
    text: str = ""
    reasoning: bool = False
    tools: bool = False
    finish: str | None = None
    usage: Usage | None = None
    usage_only: bool = False
    comment: str = ""
    """A remark for people, sent as an SSE comment in place of ``data``."""

    @property
    def is_token(self) -> bool:
        """Whether the model has said something: text, reasoning or a tool call."""
        return bool(self.text) or self.reasoning or self.tools
