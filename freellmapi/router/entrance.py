"""How much may be inside at once: requests of one client, and large bodies of all of them.

Counted in this process alone, with two dictionary accesses a request.
"""

from __future__ import annotations

from freellmapi.core.errors import GatewayError

LARGE = 256 * 1024
"""Bytes from which a body counts, and is read off the loop that all requests share."""
ROOM = 100 * 1024 * 1024
"""Bytes of large bodies that may be inside at once: four of the largest. Each is there about
three times while it is parsed and sent on."""
SHARE = 2
"""How many times as much as is left one client may have of it: three of the largest, so that
there is room for another one's."""
COME_BACK = 1.0
"""Seconds after which who was refused may try again."""


class Entrance:
    """One for each process."""

    def __init__(self, each: int, room: int = ROOM) -> None:
        self._each = each
        """Requests of one client token at the same time."""
        self._room = room
        self._inside: dict[int | None, int] = {}
        self._large: dict[int | None, int] = {}
        """Bytes of large bodies by client token."""

    def enter(self, token_id: int | None, length: int) -> Visit:
        """A request with a body of so many bytes; 429 or 503 when there is no room for it."""
        inside = self._inside.get(token_id, 0)
        if inside >= self._each:
            raise GatewayError(
                429,
                f"This key has {inside} requests under way, which is as many as it may have.",
                code="too_many_requests_at_once",
                type="rate_limit_error",
                retry_after=COME_BACK,
            )
        size = length if length >= LARGE else 0
        if size and not self._has_room(token_id, size):
            raise GatewayError(
                503,
                "Too many large requests are being served; try again in a moment.",
                code="server_busy",
                type="api_error",
                retry_after=COME_BACK,
            )
        self._inside[token_id] = inside + 1
        if size:
            self._room -= size
            self._large[token_id] = self._large.get(token_id, 0) + size
        return Visit(self, token_id, size)

    def _has_room(self, token_id: int | None, size: int) -> bool:
        held = self._large.get(token_id, 0)
        return size <= self._room and held + size <= SHARE * self._room

    def leave(self, token_id: int | None, size: int) -> None:
        if size:
            self._room += size
            self._large[token_id] -= size
        inside = self._inside[token_id] - 1
        if inside:
            self._inside[token_id] = inside
        else:
            del self._inside[token_id]
            self._large.pop(token_id, None)


class Visit:
    """One request that is inside, until it leaves."""

    __slots__ = ("_entrance", "_size", "_token_id")

    def __init__(self, entrance: Entrance, token_id: int | None, size: int) -> None:
        self._entrance: Entrance | None = entrance
        self._token_id = token_id
        self._size = size

    @property
    def is_large(self) -> bool:
        return self._size > 0

    def leave(self) -> None:
        """The answer is over; a second call does nothing."""
        entrance, self._entrance = self._entrance, None
        if entrance is not None:
            entrance.leave(self._token_id, self._size)
