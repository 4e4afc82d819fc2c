"""Streams: passed on as they come, ended properly, settled once."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import gevent
import pytest

from freellmapi.core.chat import Chunk
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.core.limits import Limits
from freellmapi.core.route import TokenStream
from tests.fakes.answers import Answer, Delta, Pause, Raw
from tests.fakes.provider import FakeProvider, Reply, drips, errors_in_band, stalls, streams
from tests.router.conftest import QUICK, Lab, chat, model, provider, snapshot

K = ErrorKind


class Stage:
    """One provider, and a lab that streams from it."""

    def __init__(self, fake: FakeProvider, lab: Lab) -> None:
        self.fake = fake
        self.lab = lab

    def opens(self, reply: Reply, **settings: Any) -> TokenStream:
        """The stream of this reply, its first token arrived."""
        world = self.lab.snapshot
        self.lab.snapshot = replace(world, settings=replace(QUICK, **settings))
        self.fake.script = [reply]
        outcome = self.lab.run(chat(stream=True, prompt_tokens=11))
        assert outcome.stream is not None, outcome
        return outcome.stream

    @property
    def tokens_used(self) -> int:
        (window,) = self.lab.ledger.headroom(
            self.lab.the("alpha/m").buckets, self.lab.clock.now()
        ).tokens
        return window.cap - window.left

    @property
    def is_benched(self) -> bool:
        lab = self.lab
        return lab.cooldowns.blocking(lab.the("alpha/m"), lab.clock.now()) is not None


@pytest.fixture
def stage(labs: list[Lab]) -> Iterator[Stage]:
    with ExitStack() as stack:
        fake = stack.enter_context(FakeProvider())
        world = snapshot(
            model(limits=Limits(tpm=10_000)), providers=[provider("alpha", fake.base_url)]
        )
        labs.append(Lab(world))
        yield Stage(fake, labs[0])


def read(stream: TokenStream) -> list[Chunk]:
    return [chunk for batch in stream for chunk in batch]


def text(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def finishes(chunks: list[Chunk]) -> list[str]:
    return [chunk.finish for chunk in chunks if chunk.finish]


def test_the_first_token_is_passed_on_before_the_second_exists(stage: Stage) -> None:
    gate = threading.Event()
    stream = stage.opens(drips("one ", "two", gate=gate))
    assert text(next(stream)) == "one "
    gate.set()
    assert text(read(stream)) == "two"


@pytest.mark.parametrize(
    "reply",
    [
        streams("a", "b"),
        streams("a", "b", crlf=True),
        streams("a", "b", chunked=False),
        streams("a", "b", no_done=True),
        streams("a", "b", finish=None),
        streams("a", "b", usage=None),
    ],
    ids=["plain", "CRLF", "not chunked", "no [DONE]", "no finish_reason", "no usage"],
)
def test_a_stream_ends_with_one_finish_reason_and_one_usage(stage: Stage, reply: Reply) -> None:
    chunks = read(stage.opens(reply))

    assert text(chunks) == "ab"
    assert finishes(chunks) == ["stop"]
    assert [c.usage_only for c in chunks if c.usage] == [True]
    assert chunks[-1].usage_only
    assert [a.error for a in stage.lab.ended] == [None]
    assert not stage.is_benched


def test_usage_is_the_providers_count_or_an_estimate(stage: Stage) -> None:
    read(stage.opens(streams("a", usage=(7, 3))))
    assert stage.tokens_used == 10
    read(stage.opens(streams("a" * 400, usage=None)))
    first, second = (a.usage for a in stage.lab.ended)
    assert first is not None
    assert second is not None
    assert (first.prompt_tokens, first.completion_tokens, first.exact) == (7, 3, True)
    assert (second.prompt_tokens, second.exact) == (11, False)
    assert 90 <= second.completion_tokens <= 120


@pytest.mark.parametrize("behind", [Pause(seconds=30), Raw(b": ping\n\n")], ids=["hangs", "pings"])
def test_a_finished_stream_is_over_within_a_second(stage: Stage, behind: Any) -> None:
    finish = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"length"}]}\n\n'
    steps: list[Any] = [Delta({"content": "a"}), Raw(finish)]
    for _ in range(30):
        steps += [behind, Pause(seconds=0.2)]
    stream = stage.opens(Answer(tuple(steps), None, None, done=False), ping_interval=10)

    started = time.monotonic()
    chunks = read(stream)
    gevent.sleep(0.001)

    assert time.monotonic() - started < 1.6
    assert finishes(chunks) == ["length"]
    assert chunks[-1].usage_only
    assert [a.error for a in stage.lab.ended] == [None]
    assert stage.fake.wait_client_gone(2)


BREAKS = [
    pytest.param(streams("a", "b", "c", cut=2), id="reset"),
    pytest.param(streams("ab", finish=None, no_done=True, usage=None), id="ends early"),
    pytest.param(
        streams("ab", finish=None, no_done=True, usage=None, chunked=False), id="closes early"
    ),
    pytest.param(stalls("ab", "c", after=1), id="stalls"),
    pytest.param(
        errors_in_band({"error": {"message": "overloaded"}}, texts=["ab"], after=1), id="in band"
    ),
]


@pytest.mark.parametrize("reply", BREAKS)
def test_a_stream_that_breaks_says_so_and_makes_nothing_up(stage: Stage, reply: Reply) -> None:
    chunks: list[Chunk] = []
    stream = stage.opens(reply)

    with pytest.raises(UpstreamError) as caught:
        for batch in stream:
            chunks += batch

    assert caught.value.kind is K.STREAM_BROKEN
    assert text(chunks) == "ab"
    assert finishes(chunks) == []
    assert [a.error for a in stage.lab.ended] == [K.STREAM_BROKEN]
    assert stage.is_benched
    assert stage.tokens_used > 0


def test_silence_is_shown_as_empty_batches_until_it_is_too_long(stage: Stage) -> None:
    stream = stage.opens(stalls("a", "b"), ping_interval=0.1, idle_timeout=0.45)
    next(stream)
    pings = 0
    with pytest.raises(UpstreamError, match="stalled"):
        for batch in stream:
            assert batch == []
            pings += 1
    assert 2 <= pings <= 5


def test_comments_are_no_sign_of_life(stage: Stage) -> None:
    steps: list[Any] = [Delta({"content": "a"})]
    for _ in range(60):
        steps += [Pause(seconds=0.05), Raw(b": working\n\n")]
    stream = stage.opens(Answer(tuple(steps)), idle_timeout=0.4)
    started = time.monotonic()
    with pytest.raises(UpstreamError):
        read(stream)
    assert time.monotonic() - started < 2


def test_a_slow_reader_is_not_the_providers_silence(stage: Stage) -> None:
    stream = stage.opens(drips("a", "b", "c", interval=0.05), idle_timeout=0.3)
    next(stream)
    gevent.sleep(0.5)
    assert text(read(stream)) == "bc"


def test_closing_before_the_first_chunk_settles_and_closes_the_upstream(stage: Stage) -> None:
    stream = stage.opens(drips("a", "b", gate=threading.Event()))

    stream.close()
    gevent.sleep(0.001)

    assert [a.error for a in stage.lab.ended] == [K.CLIENT_GONE]
    assert not stage.lab.ledger._open
    assert not stage.is_benched
    assert stage.fake.wait_client_gone(2)


def test_closing_twice_settles_once(stage: Stage) -> None:
    stream = stage.opens(streams("a"))
    read(stream)
    for _ in range(3):
        stream.close()
    assert len(stage.lab.ended) == 1
    assert list(stream) == []


def test_a_stream_cancelled_from_elsewhere_ends_at_once(stage: Stage) -> None:
    stream = stage.opens(stalls("a", "b"), idle_timeout=30, ping_interval=30)
    next(stream)
    gevent.spawn_later(0.1, stage.lab.cancel.cancel)

    with gevent.Timeout(3), pytest.raises(UpstreamError) as caught:
        next(stream)
    gevent.sleep(0.001)

    assert caught.value.kind is K.CLIENT_GONE
    assert [a.error for a in stage.lab.ended] == [K.CLIENT_GONE]
    assert not stage.is_benched
    assert stage.fake.wait_client_gone(2)


def test_reading_on_after_the_end_gives_nothing(stage: Stage) -> None:
    stream = stage.opens(streams("a", cut=1))
    with pytest.raises(UpstreamError):
        read(stream)
    with pytest.raises((UpstreamError, StopIteration)):
        next(stream)
    assert len(stage.lab.ended) == 1


def test_every_chunk_belongs_to_the_same_answer(stage: Stage) -> None:
    chunks = read(stage.opens(streams("a", "b", finish=None, usage=None)))
    seen = [json.loads(c.data) for c in chunks]
    assert len({(s["id"], s["created"], s["model"]) for s in seen}) == 1
    assert all(s["object"] == "chat.completion.chunk" for s in seen)


def test_a_stream_that_dies_again_and_again_climbs_the_ladder(stage: Stage) -> None:
    waits = []
    for _ in range(3):
        with pytest.raises(UpstreamError):
            read(stage.opens(streams("a", "b", cut=1)))
        lab = stage.lab
        entry = lab.cooldowns.blocking(lab.the("alpha/m"), lab.clock.now())
        assert entry is not None
        waits.append(round(entry.until - lab.clock.now()))
    assert waits == [5, 10, 20]
