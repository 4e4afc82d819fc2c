"""What a worker knows of the others: whether they count together, and who does what for all."""

from __future__ import annotations

from typing import Protocol

TOGETHER = "together"
ALONE = "alone"
RETURNING = "returning"


class Cluster(Protocol):
    """The workers of one installation."""

    @property
    def state(self) -> str:
        """``together``; ``alone`` without Redis; ``returning`` for two seconds after it."""
        ...

    @property
    def reason(self) -> str:
        """Why they do not count together."""
        ...

    @property
    def workers(self) -> tuple[str, ...]:
        """Names of all that gave a sign of life lately, this one included."""
        ...

    def tick(self) -> None:
        """A sign of life, and a look at what others have changed; a few times a second."""
        ...

    def lease(self, name: str, seconds: float) -> bool:
        """Whether this worker alone has ``name`` for so long; asking again makes it longer."""
        ...

    def leave(self) -> None:
        """End in good order."""
        ...
