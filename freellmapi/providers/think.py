"""Reasoning written as text: ``<think>...</think>`` at the start of the content."""

from __future__ import annotations

OPEN, CLOSE = "<think>", "</think>"


class ThinkSplitter:
    """Parts reasoning from the answer, fed by pieces split anywhere.

    Only a tag at the very start counts (white space before it is passed over). A tag that
    is never closed makes everything reasoning: the answer is then empty. White space after
    either tag belongs to nobody.
    """

    __slots__ = ("_held", "_stage", "done")

    def __init__(self) -> None:
        self._held = ""
        # Not the bound method: a splitter that held itself would stay until it is looked for.
        self._stage = ThinkSplitter._before
        self.done = False
        """Whether all further text is the answer and nothing is held back."""

    def feed(self, text: str) -> tuple[str, str]:
        """The reasoning and the text that can be told apart by now."""
        if self.done:
            return "", text
        self._held += text
        return self._stage(self)

    def flush(self) -> tuple[str, str]:
        """What was held back when the answer ended."""
        held, self._held = self._held, ""
        if self._stage is ThinkSplitter._before:
            return "", held
        return held, ""

    def _before(self) -> tuple[str, str]:
        start = self._held.lstrip()
        if start.startswith(OPEN):
            self._held = start[len(OPEN) :]
            self._stage = ThinkSplitter._inside_start
            return self._stage(self)
        if OPEN.startswith(start):
            return "", ""
        return "", self._finish(self._held)

    def _inside_start(self) -> tuple[str, str]:
        self._held = self._held.lstrip()
        if not self._held:
            return "", ""
        self._stage = ThinkSplitter._inside
        return self._stage(self)

    def _inside(self) -> tuple[str, str]:
        reasoning, closed, rest = self._held.partition(CLOSE)
        if closed:
            self._held = rest
            self._stage = ThinkSplitter._after
            return reasoning, self._after()[1]
        keep = held_tail(self._held, CLOSE)
        released = self._held[: len(self._held) - keep]
        self._held = self._held[len(self._held) - keep :]
        return released, ""

    def _after(self) -> tuple[str, str]:
        rest = self._held.lstrip()
        if not rest:
            self._held = ""
            return "", ""
        return "", self._finish(rest)

    def _finish(self, text: str) -> str:
        self._held = ""
        self.done = True
        return text


def held_tail(text: str, mark: str) -> int:
    """How many characters at the end of ``text`` may be the beginning of ``mark``."""
    for size in range(min(len(mark) - 1, len(text)), 0, -1):
        if text.endswith(mark[:size]):
            return size
    return 0
