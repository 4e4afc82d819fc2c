"""``fleeting``: the dataclass of what is made anew for each request."""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["fleeting"]

if TYPE_CHECKING:
    # For mypy they are frozen: it tells whoever assigns to a field.
    from dataclasses import dataclass as fleeting
else:
    from dataclasses import dataclass

    def fleeting(*, frozen, slots):
        """Compared and hashed by its fields, as a frozen one is, but not frozen at run time.

        Python sets each field of a frozen one by a call of 1,200 instructions: with 120 of
        them that was 7 % of a small request.
        """
        return dataclass(unsafe_hash=frozen, slots=slots)
