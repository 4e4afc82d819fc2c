"""Keys and endpoints that were removed a moment ago, so that Undo can put them back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from freellmapi.core.clock import Clock
from freellmapi.core.errors import GatewayError
from freellmapi.core.values import dataclass
from freellmapi.dashboard.in_force import in_force
from freellmapi.services import Services
from freellmapi.storage.keys import DuplicateKey, StoredKey

K = TypeVar("K")
V = TypeVar("V")

KEPT_SECONDS = 60.0
MOST_KEPT = 50


@dataclass(frozen=True, slots=True)
class RemovedEndpoint:
    """All that the database held of it; its keys stay sealed."""

    definition: Mapping[str, Any]
    discovered: Mapping[str, Any] | None
    keys: tuple[StoredKey, ...]


class Removed:
    """What one application has removed."""

    def __init__(self, clock: Clock) -> None:
        self._keys: _Kept[int, StoredKey] = _Kept(clock)
        self._endpoints: _Kept[str, RemovedEndpoint] = _Kept(clock)

    def remove_key(self, parts: Services, id: int) -> StoredKey:
        """Raises ``GatewayError`` 404 when there is no such key."""

        def taken() -> StoredKey | None:
            key = parts.keys.get(id)
            return key if key is not None and parts.keys.remove(id) else None

        key = in_force(parts, taken)
        if key is None:
            raise GatewayError(404, "This key is gone already.", code="not_found")
        self._keys.keep(id, key)
        return key

    def restore_key(self, parts: Services, id: int) -> StoredKey:
        """Raises ``GatewayError`` 404 when it is too late, 409 when it was added anew."""
        key = self._keys.take(id)
        try:
            in_force(parts, lambda: parts.keys.restore(key))
        except DuplicateKey as exc:
            raise GatewayError(409, str(exc), code="duplicate_key") from exc
        return key

    def remove_endpoint(self, parts: Services, id: str) -> None:
        """Forgets the endpoint and its keys; ``GatewayError`` when it is none of one's own."""
        endpoint = in_force(parts, lambda: _endpoint_taken(parts, id))
        if endpoint is None:
            raise GatewayError(
                404, "There is no such endpoint that could be removed here.", code="not_found"
            )
        self._endpoints.keep(id, endpoint)

    def restore_endpoint(self, parts: Services, id: str) -> None:
        """Raises ``GatewayError`` 404 when it is too late, 409 when its id is taken again."""
        if id in parts.configuration.snapshot.catalog.providers:
            raise GatewayError(409, f"There is a provider {id} again.", code="duplicate_id")
        endpoint = self._endpoints.take(id)
        in_force(parts, lambda: _put_back(parts, id, endpoint))


class _Kept(Generic[K, V]):
    """The last few, for a minute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._values: dict[K, tuple[float, V]] = {}

    def keep(self, id: K, value: V) -> None:
        now = self._clock.now()
        fresh = [(i, v) for i, v in self._values.items() if now - v[0] <= KEPT_SECONDS]
        self._values = dict([*fresh, (id, (now, value))][-MOST_KEPT:])

    def take(self, id: K) -> V:
        kept = self._values.pop(id, None)
        if kept is None or self._clock.now() - kept[0] > KEPT_SECONDS:
            raise GatewayError(404, "It is too late for that: add it again.", code="not_found")
        return kept[1]


def _endpoint_taken(parts: Services, id: str) -> RemovedEndpoint | None:
    definition = parts.config.custom_providers().get(id)
    if definition is None:
        return None
    keys = tuple(key for key in parts.keys.all() if key.provider == id)
    taken = RemovedEndpoint(definition, parts.config.discovered().get(id), keys)
    parts.config.delete_custom_provider(id)
    parts.config.delete_discovered(id)
    for key in keys:
        parts.keys.remove(key.id)
    return taken


def _put_back(parts: Services, id: str, endpoint: RemovedEndpoint) -> None:
    for key in endpoint.keys:
        parts.keys.restore(key)
    if endpoint.discovered is not None:
        parts.config.put_discovered(id, endpoint.discovered)
    parts.config.put_custom_provider(id, endpoint.definition)
