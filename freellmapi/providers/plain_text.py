"""What models hide in plain text: reasoning at its start, and tool calls."""

from __future__ import annotations

from typing import Any

from freellmapi.core.values import dataclass
from freellmapi.providers.dialects import ToolText
from freellmapi.providers.think import OPEN, ThinkSplitter


@dataclass(frozen=True, slots=True)
class Said:
    """One piece of content, told apart; calls are in OpenAI's form but for their ids."""

    reasoning: str = ""
    text: str = ""
    calls: tuple[dict[str, Any], ...] = ()

    def __add__(self, later: Said) -> Said:
        return Said(
            self.reasoning + later.reasoning, self.text + later.text, self.calls + later.calls
        )


NOTHING = Said()


class TextReader:
    """Reads an answer's content piece by piece; ``tools`` are the names that may be called."""

    __slots__ = ("_think", "_tools")

    def __init__(self, tools: frozenset[str]) -> None:
        self._think = ThinkSplitter()
        self._tools = ToolText(tools) if tools else None

    def passes(self, text: str) -> bool:
        """Whether ``text`` is just text, so that it need not be read."""
        return self._think.done and (self._tools is None or self._tools.passes(text))

    def read(self, text: str) -> Said:
        """What can be told by now; the rest is held back."""
        reasoning, text = self._think.feed(text)
        if self._tools is None:
            return Said(reasoning, text)
        text, calls = self._tools.feed(text)
        return Said(reasoning, text, tuple(calls))

    def flush(self) -> Said:
        """What was held back when the answer ended."""
        reasoning, text = self._think.flush()
        if self._tools is None:
            return Said(reasoning, text)
        before, calls = self._tools.feed(text)
        after, more = self._tools.flush()
        return Said(reasoning, before + after, (*calls, *more))


def read_whole(text: str, tools: frozenset[str]) -> Said:
    """All of an answer's content at once."""
    if not tools and not text.lstrip().startswith(OPEN):
        # What most are, without the pieces of a reader: 1 % of a small request.
        return Said(text=text)
    reader = TextReader(tools)
    return reader.read(text) + reader.flush()
