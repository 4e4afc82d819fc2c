"""Where one answer was cut and another goes on: what the second repeats is left out.

A model that continues a text often begins with words that are there already: the last few,
or the whole answer from its beginning.
"""

from __future__ import annotations

MIN_OVERLAP = 4
"""Characters that must agree before they count as repeated rather than as chance."""
MAX_OVERLAP = 400
"""Characters at the end of the first part that are looked for at the seam."""
RESTART_SURE = 24
"""Characters from the answer's beginning after which it counts as started over."""
ANCHOR = 16
"""Characters at the cut by which a second telling in other words is joined."""


class Seam:
    """Takes the continuation as it streams and gives what is new of it.

    Text is held back only while it may still be a repetition.
    """

    def __init__(self, said: str) -> None:
        self._said = said
        self._held = ""
        self._joined = not said
        self._restarted = False

    def feed(self, text: str) -> str:
        """The part of the continuation that can be given out now."""
        if self._joined:
            return text
        self._held += text
        if self._is_restart():
            return self._skip_restart()
        if self._may_overlap():
            return ""
        return self._join(overlap(self._said, self._held))

    def close(self) -> str:
        """What was still held back when the continuation ended."""
        if self._joined:
            return ""
        if self._restarted or self._said.startswith(self._held):
            return self._join(len(self._held) if self._restarted else self._shared())
        return self._join(overlap(self._said, self._held))

    def _is_restart(self) -> bool:
        """Whether it begins the whole answer anew."""
        sure = min(RESTART_SURE, len(self._said))
        if len(self._held) >= sure > MIN_OVERLAP and self._held[:sure] == self._said[:sure]:
            self._restarted = True
        return self._restarted

    def _skip_restart(self) -> str:
        """Nothing until all that was said has come again."""
        if self._said.startswith(self._held):
            return ""
        if self._held.startswith(self._said):
            return self._join(len(self._said))
        # Told again in other words. It joins where its last words stand in both, else after
        # as many characters as were said before.
        place = self._held.find(self._said[-ANCHOR:], len(self._said) // 2)
        if place >= 0:
            return self._join(place + ANCHOR)
        return self._join(len(self._said)) if len(self._held) > len(self._said) + ANCHOR else ""

    def _may_overlap(self) -> bool:
        """Whether more text could still turn what is held into a repetition."""
        if len(self._held) >= MAX_OVERLAP:
            return False
        return self._said.startswith(self._held) or self._held in self._said[-MAX_OVERLAP:]

    def _shared(self) -> int:
        """What is left out of a continuation so short that it could be a new beginning."""
        repeated = len(self._held) >= MIN_OVERLAP and self._held == self._said
        return len(self._held) if repeated else overlap(self._said, self._held)

    def _join(self, skip: int) -> str:
        self._joined = True
        text, self._held = self._held[skip:], ""
        return text


def overlap(said: str, text: str) -> int:
    """How many characters at the start of ``text`` repeat the end of ``said``."""
    for length in range(min(len(said), len(text), MAX_OVERLAP), MIN_OVERLAP - 1, -1):
        if said.endswith(text[:length]):
            return length
    return 0
