"""What somebody may have meant who wrote a name that there is not."""

from __future__ import annotations

from collections.abc import Sequence


def near(name: str, known: Sequence[str], most: int, cutoff: float = 0.6) -> list[str]:
    """At most so many of the known names that look like it, the nearest first."""
    # 0.1 MiB in both processes of a server, which hardly ever needs it.
    from difflib import get_close_matches

    return get_close_matches(name, known, most, cutoff)
