"""``dataclass``: Python's, at a third of what it costs to load. All values are made by this one.

Python writes and compiles a text for each method of each class: that was half of all that our own
modules took at the start, and 1 MiB. Here that is done for ``__init__`` alone. Nor is a frozen
value guarded at run time, where Python sets each field by a call of 1,200 instructions (7 % of a
small request): mypy tells whoever assigns to a field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    import dataclasses
    from operator import attrgetter

    def dataclass(*, slots, frozen=False, eq=True):
        def made(cls):
            # Without docstrings (-OO) Python would put one together for each, from its signature.
            cls.__doc__ = cls.__doc__ or cls.__name__
            cls.__repr__ = _repr
            cls = dataclasses.dataclass(repr=False, eq=False, slots=slots)(cls)
            if eq:
                _compare(cls, frozen)
            return cls

        return made

    def _repr(self):
        shown = (f.name for f in dataclasses.fields(self) if f.repr)
        values = (f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{type(self).__qualname__}({', '.join(values)})"

    def _compare(cls, frozen):
        """By the fields; what may change has no hash."""
        compared = attrgetter(*(f.name for f in dataclasses.fields(cls) if f.compare))

        def __eq__(self, other):
            if other.__class__ is not self.__class__:
                return NotImplemented
            return compared(self) == compared(other)

        def __hash__(self):
            return hash(compared(self))

        cls.__eq__ = __eq__
        cls.__hash__ = __hash__ if frozen else None
