"""One request in, one outcome out, one row in the log, whatever happens."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import gevent
import pytest

from freellmapi.core.cancel import Cancellation
from freellmapi.core.chat import ChatRequest
from freellmapi.core.clock import SystemClock
from freellmapi.core.errors import ErrorKind, GatewayError, UpstreamError
from freellmapi.core.route import Outcome
from freellmapi.providers.endpoints import Endpoints
from freellmapi.providers.origins import Proxies
from freellmapi.providers.probe import Prober
from freellmapi.providers.transport import Transport
from freellmapi.providers.wires import WIRES
from freellmapi.router.call import Tools
from freellmapi.router.configuration import Configuration, Given
from freellmapi.router.cooldowns import Cooldowns
from freellmapi.router.gateway import Gateway
from freellmapi.router.health import Health
from freellmapi.router.ledger import MemoryLedger
from freellmapi.router.record import Caller
from freellmapi.storage.config import ConfigStore
from freellmapi.storage.db import Database
from freellmapi.storage.keys import KeyStore
from freellmapi.storage.logged import LoggedRequest
from freellmapi.storage.request_log import LogWriteError, RequestLog
from freellmapi.storage.tokens import TokenStore
from freellmapi.storage.vault import Vault
from tests.fakes import postgres
from tests.fakes.provider import (
    FakeProvider,
    Reply,
    drips,
    hangs,
    says,
    stalls,
    status,
    streams,
)
from tests.router.conftest import chat

# Nobody is given up for being slow: on a busy machine the fakes may well be, and the other
# provider would answer in place of the one that a test is about.
SETTINGS = {"first_byte_timeout": 30, "last_first_byte_timeout": 30, "idle_timeout": 0.5}


class House:
    """A gateway over two custom providers, with its database and log in a real file."""

    def __init__(
        self, folder: Path, alpha: FakeProvider, beta: FakeProvider, **settings: Any
    ) -> None:
        self.alpha, self.beta = alpha, beta
        clock, vault = SystemClock(), Vault(bytes(32))
        self.database = Database.open(postgres.url_in(folder))
        self.database.migrate()
        self.keys = KeyStore(self.database, vault, clock)
        self.log = RequestLog(self.database, clock)
        self.key_id = str(self.keys.add("alpha", "key-of-alpha").id)
        self.configuration = Configuration(
            self.keys,
            TokenStore(self.database, vault, clock),
            ConfigStore(self.database),
            Given(
                providers=(
                    _custom("alpha", alpha, key="key-of-alpha"),
                    _custom("beta", beta, key="none"),
                ),
                chain=("alpha/m", "beta/m"),
                settings=SETTINGS | settings,
            ),
        )
        self.transport = Transport(clock)
        cooldowns, ledger = Cooldowns(clock), MemoryLedger()
        tools = Tools(
            self.transport, WIRES, Endpoints(self.configuration, {}), ledger, cooldowns, clock
        )
        self.health = Health(
            self.configuration,
            self.keys,
            Prober(clock, Proxies()),
            cooldowns,
            ledger,
            clock,
            Random(0),
            lambda job: job(),
        )
        self.gateway = Gateway(self.configuration, tools, self.log, self.health)

    def run(
        self, request: ChatRequest | None = None, cancel: Cancellation | None = None
    ) -> Outcome:
        return self.gateway.run(request or chat(), Caller("req_1", 7), cancel or Cancellation())

    def served_by(self) -> str:
        served_by = self.run().served_by
        assert served_by is not None
        return served_by.provider.id

    def rows(self) -> tuple[LoggedRequest, ...]:
        return self.log.recent(10)

    def the_row(self) -> LoggedRequest:
        (row,) = self.rows()
        return row

    def close(self) -> None:
        self.log.close()
        self.transport.close()
        self.database.close()
        gevent.sleep(0.001)


def _custom(id: str, fake: FakeProvider, key: str) -> dict[str, Any]:
    models = [{"id": "m", "context": 1000, "limits": {"rpm": 100}}]
    return {"id": id, "base_url": fake.base_url, "models": models, "key": key}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with ExitStack() as stack:
        house = House(tmp_path, *(stack.enter_context(FakeProvider()) for _ in range(2)))
        stack.callback(house.close)
        yield house


@pytest.fixture
def hasty_house(tmp_path: Path) -> Iterator[House]:
    with ExitStack() as stack:
        alpha, beta = (stack.enter_context(FakeProvider()) for _ in range(2))
        house = House(tmp_path, alpha, beta, first_byte_timeout=0.4, last_first_byte_timeout=0.8)
        stack.callback(house.close)
        yield house


@pytest.fixture
def hedging_house(tmp_path: Path) -> Iterator[House]:
    with ExitStack() as stack:
        alpha, beta = (stack.enter_context(FakeProvider()) for _ in range(2))
        more: dict[str, Any] = {"first_byte_timeout": 5, "hedging": True, "hedging_share": 0.1}
        house = House(tmp_path, alpha, beta, **more)
        stack.callback(house.close)
        yield house


def trail(row: LoggedRequest) -> list[tuple[str, ErrorKind | None]]:
    return [(a.provider, a.error) for a in row.attempts]


def test_a_whole_answer_is_logged_when_it_is_given(house: House) -> None:
    house.alpha.script = [says("hi", usage=(9, 2))]
    house.run(chat("alpha/m"))

    row = house.the_row()
    assert (row.request_id, row.token_id, row.model) == ("req_1", 7, "alpha/m")
    assert (row.status, row.error, row.stream) == (200, None, False)
    assert (row.provider, row.served_model, row.key_id) == ("alpha", "m", house.key_id)
    assert (row.prompt_tokens, row.completion_tokens, row.exact) == (9, 2, True)
    assert row.first_token is None
    assert trail(row) == [("alpha", None)]
    assert house.alpha.requests[0].key == "key-of-alpha"
    assert house.beta.requests == []


def test_failed_attempts_are_in_the_row_of_the_answer(house: House) -> None:
    house.alpha.script = [status(429, Retry_After="9")]
    outcome = house.run()
    assert outcome.served_by is not None
    row = house.the_row()
    assert (row.status, row.provider) == (200, "beta")
    assert trail(row) == [("alpha", ErrorKind.RATE_LIMITED), ("beta", None)]
    assert [a.spent for a in row.attempts] == [False, True]


def test_a_stream_is_logged_when_it_ends(house: House) -> None:
    house.alpha.script = [streams("he", "llo", usage=(9, 2))]
    stream = house.run(chat(stream=True)).stream
    assert stream is not None
    assert house.rows() == ()

    list(stream)
    stream.close()

    row = house.the_row()
    assert (row.status, row.error, row.stream) == (200, None, True)
    assert (row.prompt_tokens, row.completion_tokens) == (9, 2)
    assert row.first_token is not None
    assert 0 < row.first_token <= row.duration


def test_a_stream_that_nobody_read_is_logged_when_closed(house: House) -> None:
    house.alpha.script = [drips("a", "b", interval=20)]
    stream = house.run(chat(stream=True)).stream
    assert stream is not None
    stream.close()
    row = house.the_row()
    assert (row.status, row.error) == (499, "client_gone")
    assert trail(row) == [("alpha", ErrorKind.CLIENT_GONE)]


def ours() -> Counter[str]:
    """How many objects there are of each of our classes."""
    kinds = (type(each) for each in gc.get_objects())
    return Counter(str(kind) for kind in kinds if "'freellmapi." in str(kind))


@pytest.mark.parametrize(
    ("reply", "is_stream", "is_read"),
    [
        pytest.param(says("hello"), False, False, id="whole"),
        pytest.param(streams("<think>so</think> he", "llo"), True, True, id="stream"),
        pytest.param(drips("a", "b", interval=20), True, False, id="left"),
    ],
)
def test_nothing_of_a_request_stays_until_garbage_is_looked_for(
    house: House, reply: Reply, is_stream: bool, is_read: bool
) -> None:
    """What holds itself is found late: after thousands of others, whose memory it keeps."""

    def ask() -> None:
        house.alpha.script = [reply]
        stream = house.run(chat(stream=is_stream)).stream
        if stream is not None:
            list(stream if is_read else ())
            stream.close()

    ask()
    gc.collect()
    gc.disable()
    try:
        before = ours()
        for _ in range(3):
            ask()
        assert ours() - before == Counter()
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "reply", [streams("a", "b", cut=1), stalls("a", "b")], ids=["cut", "stall"]
)
def test_a_stream_that_breaks_is_logged_as_such(house: House, reply: Reply) -> None:
    house.alpha.script = [reply]
    stream = house.run(chat(stream=True, recovery="error")).stream
    assert stream is not None
    with pytest.raises(UpstreamError):
        list(stream)
    stream.close()
    row = house.the_row()
    assert (row.status, row.error) == (200, "stream_broken")
    assert row.completion_tokens > 0


@pytest.mark.parametrize(
    ("replies", "request_", "status_", "code", "attempts"),
    [
        ([status(400), status(400)], chat(), 400, "request_refused", 2),
        ([status(429), status(429)], chat(), 429, "rate_limited", 2),
        ([status(500), status(401)], chat(), 502, "all_providers_failed", 2),
        ([status(401)], chat("alpha/m"), 502, "provider_authentication_failed", 1),
        ([], chat(prompt_tokens=5_000), 422, "no_capable_model", 0),
        ([], chat("nobody"), 404, "model_not_found", 0),
    ],
    ids=["refused", "limited", "mixed", "rejected", "too long", "unknown"],
)
def test_a_request_nobody_served_is_logged_once_with_its_error(
    house: House,
    replies: list[Reply],
    request_: ChatRequest,
    status_: int,
    code: str,
    attempts: int,
) -> None:
    for fake, reply in zip((house.alpha, house.beta), replies, strict=False):
        fake.script = [reply]

    with pytest.raises(GatewayError) as caught:
        house.run(request_)

    assert (caught.value.status, caught.value.code) == (status_, code)
    row = house.the_row()
    assert (row.status, row.error, row.provider) == (status_, code, None)
    assert len(row.attempts) == attempts


def test_the_last_one_is_given_up_too_when_it_says_nothing(hasty_house: House) -> None:
    hasty_house.alpha.script, hasty_house.beta.script = [status(500)], [hangs()]
    with pytest.raises(GatewayError) as caught:
        hasty_house.run()
    assert (caught.value.status, caught.value.code) == (502, "all_providers_failed")
    assert trail(hasty_house.the_row())[-1] == ("beta", ErrorKind.TIMEOUT)


def test_the_wait_that_was_stated_reaches_the_client(house: House) -> None:
    house.alpha.script = [status(429, Retry_After="30")]
    for _ in range(2):
        with pytest.raises(GatewayError) as caught:
            house.run(chat("alpha/m"))
        assert caught.value.status == 429
        assert caught.value.retry_after == pytest.approx(30, abs=2)
    assert len(house.alpha.requests) == 1, "a benched key is not asked"


def test_a_client_that_left_is_logged_as_499(house: House) -> None:
    house.alpha.script = [hangs()]
    cancel = Cancellation()
    gevent.spawn_later(0.1, cancel.cancel)
    with pytest.raises(GatewayError):
        house.run(cancel=cancel)
    row = house.the_row()
    assert (row.status, row.error) == (499, "client_closed_request")
    assert house.gateway.tools.cooldowns.entries() == {}


def test_a_client_that_left_before_anything_was_asked_is_a_499_too(house: House) -> None:
    cancel = Cancellation()
    cancel.cancel()
    with pytest.raises(GatewayError):
        house.run(cancel=cancel)
    assert house.the_row().status == 499


def test_a_fault_of_ours_is_logged_too(house: House) -> None:
    house.gateway.tools = replace(house.gateway.tools, wires={})
    with pytest.raises(KeyError):
        house.run()
    row = house.the_row()
    assert (row.status, row.error) == (500, "internal_error")


def test_a_log_that_cannot_be_written_does_not_cost_the_answer(house: House) -> None:
    class Full:
        def append(self, row: LoggedRequest) -> None:
            raise LogWriteError("disk full")

    house.gateway._requests = Full()
    outcome = house.run()
    assert outcome.completion is not None


def test_a_rejected_key_is_reported_once_and_not_asked_again(house: House) -> None:
    house.alpha.default = status(401)
    for _ in range(3):
        house.run()
    state = house.health.state("alpha", house.key_id)
    assert state is not None
    assert state.rejected
    assert len(house.alpha.requests) == 1


def test_a_key_that_is_good_again_is_asked_again(house: House) -> None:
    house.alpha.script = [status(401)]
    house.run()
    house.keys.set_status(int(house.key_id), "invalid", "401")
    house.configuration.refresh()
    house.gateway.reconfigured()
    assert house.served_by() == "beta"

    house.keys.set_status(int(house.key_id), "healthy")
    house.configuration.refresh()
    house.gateway.reconfigured()
    assert house.served_by() == "alpha"


def test_a_window_named_in_a_refusal_is_learned(house: House) -> None:
    error = {
        "message": "This model's maximum context length is 300 tokens.",
        "code": "context_length_exceeded",
    }
    house.alpha.script = [status(400, {"error": error})]
    house.run(chat(prompt_tokens=500))
    house.run(chat(prompt_tokens=500))
    assert house.gateway.windows == {"alpha/m": 300}
    assert len(house.alpha.requests) == 1


def test_what_is_left_of_the_pool(house: House) -> None:
    outcome = house.run()
    assert outcome.served_by is not None
    (headroom,) = house.gateway.headroom(outcome.served_by)
    assert [(w.cap, w.left) for w in headroom.requests] == [(100, 99)]


def test_why_a_model_is_not_available_now(house: House) -> None:
    model = house.configuration.snapshot.catalog.by_ref["alpha/m"]
    assert house.gateway.unavailable([model]) is None
    house.alpha.script = [status(429, {"error": {"message": "slow down"}})]
    house.run()
    assert "slow down" in str(house.gateway.unavailable([model]))
    assert house.gateway.unavailable([]) == "no model is enabled"


def test_a_plan_does_no_io(house: House) -> None:
    plan = house.gateway.plan(chat())
    assert [c.ref for c in plan.candidates] == ["alpha/m", "beta/m"]
    assert house.alpha.connections == 0
    assert house.rows() == ()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_late_answer_is_overtaken_and_the_row_shows_both(
    hedging_house: House, stream: bool
) -> None:
    house = hedging_house
    house.alpha.script = [*(says("hi") for _ in range(10)), hangs()]
    house.beta.script = [says("quick", usage=(9, 2))]

    for _ in range(11):
        outcome = house.run(chat(stream=stream))
        if outcome.stream is not None:
            list(outcome.stream)

    row = house.rows()[0]
    assert (row.status, row.error, row.provider) == (200, None, "beta")
    assert (row.prompt_tokens, row.completion_tokens, row.exact) == (9, 2, True)
    assert sorted(trail(row)) == [("alpha", ErrorKind.HEDGED_OUT), ("beta", None)]
    assert len(house.beta.requests) == 1


def test_nothing_is_learned_of_waits_while_hedging_is_off(house: House) -> None:
    for _ in range(10):
        house.run()
    assert house.gateway.tools.hedging.late_after("alpha/m", False) is None
