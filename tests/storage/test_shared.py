"""Redis as a worker reaches it: nobody waits for it when it is gone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from freellmapi.core.errors import SettingsError
from freellmapi.storage.shared import Script, Shared, SharedUnavailable
from tests.fakes.clock import FrozenClock
from tests.fakes.redis_server import RedisServer


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.close()


def test_it_is_gone_at_once_and_found_back(redis: RedisServer) -> None:
    clock = FrozenClock()
    shared = Shared(redis.url, "x", clock)
    assert shared.call("PING")
    redis.kill()

    with pytest.raises(SharedUnavailable, match="cannot be reached"):
        shared.call("PING")
    assert not shared.try_again()
    assert not shared.status.up
    assert shared.status.since == clock.now()

    redis.start()
    with pytest.raises(SharedUnavailable):
        shared.call("PING")
    assert shared.try_again()
    assert shared.call("PING")


def test_a_connection_that_died_with_an_earlier_redis_is_no_outage(redis: RedisServer) -> None:
    shared = Shared(redis.url, "x", FrozenClock())
    shared.call("PING")
    redis.kill()
    redis.start()

    assert shared.call("PING")
    assert shared.status.up


def test_a_redis_that_forgot_its_scripts_is_told_them_again(redis: RedisServer) -> None:
    shared, script = Shared(redis.url, "x", FrozenClock()), Script("return KEYS[1] .. ARGV[1]")
    for _ in range(2):
        assert shared.run(script, ["a"], "b") == b"ab"
        redis.command("SCRIPT", "FLUSH")


def test_one_that_refuses_to_work_is_as_good_as_gone(redis: RedisServer) -> None:
    shared = Shared(redis.url, "x", FrozenClock())
    redis.command("CONFIG", "SET", "requirepass", "s3cret-one")

    with pytest.raises(SharedUnavailable):
        shared.call("SET", "a", "b")


def test_no_reason_holds_the_password(redis: RedisServer) -> None:
    redis.command("CONFIG", "SET", "requirepass", "right")
    shared = Shared(redis.url.replace("unix://", "unix://:wr0ng@"), "x", FrozenClock())

    with pytest.raises(SharedUnavailable, match="password"):
        shared.call("PING")
    assert "wr0ng" not in f"{shared.status}"


@pytest.mark.parametrize("url", ["redis://host:port/0", "http://127.0.0.1"])
def test_what_is_no_address_is_refused_in_a_sentence(url: str) -> None:
    with pytest.raises(SettingsError, match="REDIS_URL"):
        Shared(url, "x", FrozenClock())


def test_installations_on_one_redis_do_not_mix(redis: RedisServer) -> None:
    one, other = (Shared(redis.url, name, FrozenClock()) for name in ("one", "other"))
    assert one.lease("jobs", "me", 60)

    assert other.lease("jobs", "you", 60)
    assert not one.lease("jobs", "you", 60)
