"""What models hide in plain text: reasoning at its start, and tool calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from freellmapi.providers.think import ThinkSplitter


@dataclass(slots=True)
class Said:
    """One piece of content, told apart."""

    reasoning: str = ""
    text: str = ""
    calls: tuple[dict[str, Any], ...] = ()

    def __add__(self, later: Said) -> Said:
        return Said(
            self.reasoning + later.reasoning, self.text + later.text, self.calls + later.calls
        )


class TextReader:
    """Reads an answer's content piece by piece; ``tools`` are the names that may be called."""

    __slots__ = ("_think",)

    def __init__(self, tools: frozenset[str] = frozenset()) -> None:
        self._think = ThinkSplitter()

    def passes(self, text: str) -> bool:
        """Whether ``text`` is just text, so that it need not be read."""
        return self._think.done

    def read(self, text: str) -> Said:
        """What can be told by now; the rest is held back."""
        reasoning, text = self._think.feed(text)
        return Said(reasoning, text)

    def flush(self) -> Said:
        """What was held back when the answer ended."""
        reasoning, text = self._think.flush()
        return Said(reasoning, text)
