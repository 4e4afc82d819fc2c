"""What several workers share in Redis: one connection pool, scripts, and whether it is there.

Nobody waits for a Redis that is gone: after the first failure every call fails at once,
until ``try_again`` has found it back.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as Unreachable
from redis.exceptions import NoScriptError, RedisError
from redis.exceptions import TimeoutError as TooSlow
from redis.retry import Retry

from freellmapi.core.clock import Clock
from freellmapi.core.errors import SettingsError
from freellmapi.core.values import dataclass

log = logging.getLogger(__name__)

TIMEOUT = 0.5
"""Seconds for a connection, and for an answer; a script takes a tenth of a millisecond."""
CONNECTIONS = 16
"""At most, for each worker; who finds none free waits in line for one."""
LINE_TIMEOUT = 5.0


class SharedUnavailable(Exception):
    """Redis does not answer, or refuses to work."""


@dataclass(frozen=True, slots=True)
class Status:
    """Whether Redis is there; else since when (epoch seconds) it is not, and why."""

    up: bool
    since: float
    reason: str = ""


class Script:
    """A Lua script, which Redis knows by the hash of its text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class Shared:
    """Redis, as this worker reaches it. All keys begin with ``prefix``.

    The prefix is in braces, so that a Redis cluster keeps all of an installation in one
    place, where a script may change several keys at once.
    """

    def __init__(self, url: str, installation: str, clock: Clock) -> None:
        self.prefix = f"freellmapi:{{{installation}}}:"
        self._clock = clock
        try:
            self._pool = redis.BlockingConnectionPool.from_url(
                url,
                max_connections=CONNECTIONS,
                timeout=LINE_TIMEOUT,
                socket_timeout=TIMEOUT,
                socket_connect_timeout=TIMEOUT,
                retry=Retry(NoBackoff(), 0),
                protocol=2,
            )
        except (ValueError, RedisError) as exc:
            raise SettingsError("REDIS_URL cannot be used: it is no address of a Redis.") from exc
        self._redis: Any = redis.Redis(connection_pool=self._pool)
        self.status = Status(True, clock.now())

    def key(self, name: str) -> str:
        return self.prefix + name

    def run(self, script: Script, keys: Sequence[str], *args: str | bytes) -> Any:
        """The script's reply. It may run twice: whatever it does must bear that."""
        try:
            return self.call("EVALSHA", script.sha, len(keys), *keys, *args)
        except NoScriptError:
            return self.call("EVAL", script.text, len(keys), *keys, *args)

    def call(self, *words: str | bytes | int | float) -> Any:
        """The reply to a command, which is sent twice when the first answer is lost."""
        if not self.status.up:
            raise SharedUnavailable(self.status.reason)
        return self._ask(words)

    def try_again(self) -> bool:
        """Whether Redis is there, asked anew."""
        try:
            self._ask(("PING",))
        except SharedUnavailable:
            return False
        if not self.status.up:
            log.warning("Redis is back after %.1f s", self._clock.now() - self.status.since)
            self.status = Status(True, self._clock.now())
        return True

    def _ask(self, words: Sequence[str | bytes | int | float]) -> Any:
        try:
            try:
                return self._redis.execute_command(*words)
            except (Unreachable, TooSlow):
                # A kept connection may have died with a Redis that is up again by now.
                return self._redis.execute_command(*words)
        except NoScriptError:
            raise
        except RedisError as exc:
            self._gone(_reason(exc))
            raise SharedUnavailable(self.status.reason) from exc

    def _gone(self, reason: str) -> None:
        if self.status.up:
            log.warning("Redis is gone: %s", reason)
            self.status = Status(False, self._clock.now(), reason)

    def lease(self, name: str, holder: str, seconds: float) -> bool:
        """Whether ``holder`` has this lease, alone, for so many seconds from now on.

        Who has it makes it last longer by asking again; it ends by itself.
        """
        keys = [self.key(f"lease:{name}")]
        return bool(self.run(_LEASE, keys, holder, str(int(seconds * 1000))))

    def release(self, name: str, holder: str) -> None:
        """Give a lease up before its time, if ``holder`` has it."""
        self.run(_RELEASE, [self.key(f"lease:{name}")], holder)

    def close(self) -> None:
        self._pool.disconnect()


def _reason(exc: RedisError) -> str:
    """What went wrong, in words that hold no address and no password."""
    if isinstance(exc, TooSlow):
        return f"no answer within {TIMEOUT} s"
    if isinstance(exc, redis.exceptions.AuthenticationError):
        return "it refuses the password"
    if isinstance(exc, Unreachable):
        return "it cannot be reached"
    return f"it refuses to work ({str(exc).split(' ', 1)[0]})"


_LEASE = Script(
    """
local holder = redis.call("GET", KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])
return 1
"""
)
_RELEASE = Script(
    """
if redis.call("GET", KEYS[1]) == ARGV[1] then redis.call("DEL", KEYS[1]) end
return 1
"""
)
