"""Notes of one worker that all others read within a second: benches, and that they ended."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import orjson

from freellmapi.storage.shared import Script, Shared, SharedUnavailable

log = logging.getLogger(__name__)

PREFIX = "n:"

_PIN = Script(
    """
local seq = redis.call("INCR", KEYS[1])
redis.call("SET", KEYS[3], '{"v":' .. seq .. ',"by":' .. ARGV[1] .. ',"note":' .. ARGV[2] .. "}",
  "EX", ARGV[3])
redis.call("ZADD", KEYS[2], seq, ARGV[4])
return seq
"""
)

Reader = Callable[[str, Any], None]


class Noticeboard:
    """Notes by topic and name; each ends by itself."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._readers: dict[str, Reader] = {}
        self._fixed = [shared.key("seq"), shared.key("changed")]
        self._me = f'"{id(self):x}"'

    def subscribe(self, topic: str, reader: Reader) -> None:
        """``reader`` is called with name and note for what others pin to this topic."""
        self._readers[topic] = reader

    def pin(self, topic: str, name: str, note: Any, seconds: float) -> None:
        """Tell all workers. Without Redis nobody is told: each finds out by itself."""
        member = f"{PREFIX}{topic}:{name}"
        keys = [*self._fixed, self._shared.key(member)]
        ttl = str(max(1, int(seconds)))
        try:
            self._shared.run(_PIN, keys, self._me, orjson.dumps(note), ttl, member)
        except SharedUnavailable as exc:
            log.debug("note not shared topic=%s: %s", topic, exc)

    def read(self, member: str, text: bytes) -> int:
        """Show a note to its reader; its version."""
        topic, _, name = member.removeprefix(PREFIX).partition(":")
        found = orjson.loads(text)
        reader = self._readers.get(topic)
        if reader is not None and found["by"] != self._me.strip('"'):
            reader(name, found["note"])
        version: int = found["v"]
        return version
