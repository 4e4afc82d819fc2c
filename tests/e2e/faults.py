"""The sixteen faults of the published failover benchmark, as stories with an outcome.

Each is told with a lone provider and with a second one behind the faulty one, streamed and
whole. ``QUICK`` shortens every duration by settings; ``REAL`` has the defaults.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import openai

from freellmapi.storage.logged import LoggedRequest
from tests.e2e.server import CLOCK, Server
from tests.e2e.stage import PROMPT_TOKENS, TELLS, WHOLE, WORDS, Part, Seen, Stage, Tells, ask
from tests.fakes.answers import Answer, Pause, Raw
from tests.fakes.provider import hangs, later, resets, status, streams

COUNT = len(WORDS)
FULL_USAGE = (PROMPT_TOKENS, COUNT)
REQUESTS, TOKENS = 500, 100_000
LIMITS = f"rpm = {REQUESTS}, tpm = {TOKENS}"
SLACK = 4.0
"""Seconds that a busy machine may add."""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds: what the provider does, and what the settings say."""

    stated: int
    """In a Retry-After."""
    slow: float
    """To the first token."""
    down: float
    back: float
    """From the end of an outage until its provider has traffic again."""
    first_byte: float
    last_first_byte: float
    idle: float
    wait: float
    settings: dict[str, object] = field(default_factory=dict)


QUICK = Times(
    stated=2,
    slow=3.0,
    down=4.0,
    back=8.0,
    first_byte=1.5,
    last_first_byte=6.0,
    idle=1.5,
    wait=5.0,
    settings={
        "first_byte_timeout": 1.5,
        "last_first_byte_timeout": 6.0,
        "idle_timeout": 1.5,
        "max_wait": 5,
    },
)
REAL = Times(
    stated=2,
    slow=20.0,
    down=60.0,
    back=30.0,
    first_byte=12.0,
    last_first_byte=60.0,
    idle=25.0,
    wait=15.0,
)


@dataclass(frozen=True, slots=True)
class Play:
    """One telling of a story."""

    stage: Stage
    server: Server
    client: openai.OpenAI
    times: Times
    alone: bool
    stream: bool
    seen: list[Seen] = field(default_factory=list)

    def cast(self) -> tuple[str, list[Part]]:
        return self.stage.cast(1 if self.alone else 2)

    def ask(self, model: str, **more: Any) -> Seen:
        self.seen.append(ask(self.client, model, stream=self.stream, **more))
        return self.seen[-1]

    def row(self, seen: Seen) -> LoggedRequest:
        (row,) = (r for r in self.server.rows() if r.request_id == seen.request_id)
        return row

    def errors(self, seen: Seen) -> list[str | None]:
        """How each attempt ended, by the log."""
        return [a.error.value if a.error else None for a in self.row(seen).attempts]

    def unseen(self, seen: Seen, by: Part, *errors: str) -> None:
        """The client got the whole answer from ``by``, after these failures nobody saw."""
        assert seen.error is None, seen
        assert (seen.text, seen.finish, seen.usage) == (WHOLE, "stop", FULL_USAGE)
        assert seen.via.startswith(f"{by.name}/")
        assert seen.failed == len(errors)
        assert self.errors(seen) == [*errors, None]
        row = self.row(seen)
        assert (row.status, row.error, row.provider) == (200, None, by.name)
        assert (row.prompt_tokens, row.completion_tokens) == FULL_USAGE

    def good(self, model: str, by: Part) -> None:
        """The next request is answered at once by ``by``."""
        by.script.clear()
        by.default = TELLS
        self.unseen(self.ask(model), by)

    def resumed(self, seen: Seen, *errors: str | None) -> None:
        """One uninterrupted stream, whoever gave which part of it."""
        assert seen.error is None, seen
        assert (seen.text, seen.finish) == (WHOLE, "stop")
        assert seen.usage is not None
        assert seen.usage[0] == PROMPT_TOKENS
        # What the dead provider had given is estimated from its text.
        assert COUNT * 0.6 <= seen.usage[1] <= COUNT * 3
        assert self.errors(seen) == [*errors, None]
        assert self.row(seen).status == 200


Story = Callable[[Play], None]


def limited_then_fine(play: Play) -> None:
    model, parts = play.cast()
    parts[0].script = [status(429, Retry_After=str(play.times.stated))]
    seen = play.ask(model)
    play.unseen(seen, parts[-1], "rate_limited")
    assert (play.row(seen).duration >= play.times.stated) == play.alone
    assert seen.seconds < play.times.stated + SLACK
    CLOCK.sleep(play.times.stated)
    play.good(model, parts[0])


def limited_forever(play: Play) -> None:
    model, parts = play.cast()
    parts[0].default = status(429)
    for asked_before in (False, True):
        seen = play.ask(model)
        assert seen.seconds < SLACK
        assert len(parts[0].requests) == 1, "it is benched for a minute"
        if play.alone:
            assert isinstance(seen.error, openai.RateLimitError)
            assert seen.code == "rate_limited"
            assert 50 < (seen.retry_after or 0) <= 61
            assert play.errors(seen) == ([] if asked_before else ["rate_limited"])
        else:
            play.unseen(seen, parts[1], *([] if asked_before else ["rate_limited"]))


def limited_forever_with_short_waits(play: Play) -> None:
    model, parts = play.cast()
    parts[0].default = status(429, Retry_After="1")
    seen = play.ask(model)
    if not play.alone:
        play.unseen(seen, parts[1], "rate_limited")
        return
    assert isinstance(seen.error, openai.RateLimitError)
    assert seen.code == "rate_limited"
    assert seen.retry_after == 1
    assert play.times.wait - 2 < seen.seconds < play.times.wait + SLACK
    assert len(parts[0].requests) <= play.times.wait + 1
    CLOCK.sleep(1.2)
    play.good(model, parts[0])


def one_500(play: Play) -> None:
    model, parts = play.cast()
    parts[0].script = [status(500)]
    seen = play.ask(model)
    play.unseen(seen, parts[-1], "server_error")
    assert seen.seconds < SLACK
    play.good(model, parts[0])


def always_503(play: Play) -> None:
    model, parts = play.cast()
    parts[0].default = status(503)
    seen = play.ask(model)
    assert seen.seconds < SLACK
    if play.alone:
        assert isinstance(seen.error, openai.InternalServerError)
        assert (seen.status, seen.code) == (502, "provider_error")
        assert len(parts[0].requests) == 2, "retried once"
        # Nothing but our own bench is in the way: it is asked all the same.
        play.good(model, parts[0])
        return
    play.unseen(seen, parts[1], "server_error")
    for _ in range(3):
        seen = play.ask(model)
        assert seen.is_whole, seen
    assert seen.failed == 0, "no longer asked"
    assert len(parts[0].requests) == 2


def reset_before_headers(play: Play) -> None:
    model, parts = play.cast()
    parts[0].script = [resets()]
    seen = play.ask(model)
    if seen.failed == 0:
        # It fell on a kept-alive connection, which may just have been closed for its age.
        play.unseen(seen, parts[0])
        assert len(parts[0].requests) == 2
    else:
        play.unseen(seen, parts[-1], "server_error")
    assert seen.seconds < SLACK
    play.good(model, parts[0])


def always_reset(play: Play) -> None:
    model, parts = play.cast()
    parts[0].default = resets()
    seen = play.ask(model)
    if play.alone:
        assert isinstance(seen.error, openai.InternalServerError)
        assert (seen.status, seen.code) == (502, "provider_error")
        play.good(model, parts[0])
    else:
        play.unseen(seen, parts[1], "server_error")


def never_answers(play: Play) -> None:
    model, parts = play.cast()
    parts[0].default = hangs(300)
    seen = play.ask(model, max_tokens=1)
    if play.alone:
        assert isinstance(seen.error, openai.InternalServerError)
        assert (seen.status, seen.code) == (504, "provider_timeout")
        assert abs(seen.seconds - play.times.last_first_byte) < SLACK
    else:
        play.unseen(seen, parts[1], "timeout")
        assert play.times.first_byte <= seen.seconds < play.times.first_byte + SLACK
    play.good(model, parts[0])


def first_token_late(play: Play) -> None:
    for late in (later(play.times.slow, TELLS), tells_after(play.times.slow)):
        model, parts = play.cast()
        parts[0].script = [late]
        seen = play.ask(model, max_tokens=1)
        if play.alone:
            play.unseen(seen, parts[0])
            assert play.times.slow <= seen.seconds < play.times.slow + SLACK
        else:
            play.unseen(seen, parts[1], "timeout")
            assert play.times.first_byte <= seen.seconds < play.times.first_byte + SLACK
        play.good(model, parts[0])


def tells_after(seconds: float) -> Answer:
    """Headers and role at once, the first word later."""
    role, *words = streams(*WORDS, usage=FULL_USAGE).steps
    return replace(streams(*WORDS, usage=FULL_USAGE), steps=(role, Pause(seconds=seconds), *words))


def dies_after_40(play: Play) -> None:
    model, parts = play.cast()
    parts[0].script = [streams(*WORDS, cut=40)]
    seen = play.ask(model)
    if not play.stream:
        play.unseen(seen, parts[-1], "server_error")
    elif play.alone:
        play.resumed(seen, "stream_broken")
        assert len(parts[0].requests) == 2
    else:
        play.resumed(seen, "stream_broken")
        assert parts[1].requests[0].json["messages"][-1] == prefill(40)
        assert play.row(seen).provider == parts[1].name
    assert seen.seconds < SLACK
    play.good(model, parts[-1] if play.stream else parts[0])


def prefill(words: int) -> dict[str, str]:
    return {"role": "assistant", "content": "".join(WORDS[:words])}


def stalls_after_20(play: Play) -> None:
    model, parts = play.cast()
    whole = streams(*WORDS, usage=FULL_USAGE).steps
    parts[0].script = [replace(streams(), steps=(*whole[:21], Pause(seconds=300)))]
    seen = play.ask(model, max_tokens=1)
    if play.stream:
        play.resumed(seen, "stream_broken")
        assert play.times.idle <= seen.seconds < play.times.idle + SLACK
    elif not play.alone:
        play.unseen(seen, parts[1], "timeout")
    else:
        assert (seen.status, seen.code) == (504, "provider_timeout")
    play.good(model, parts[-1] if play.stream else parts[0])


def malformed_frame(play: Play) -> None:
    model, parts = play.cast()
    steps = streams(*WORDS, usage=FULL_USAGE).steps
    bad = Raw(b'data: {"id":"x","choices":[{"index":0,"delta":{"conte\n\n')
    parts[0].script = [replace(streams(), steps=(*steps[:31], bad, *steps[31:]))]
    if not play.stream:
        parts[0].script = [status(200, b'{"id":"x","choices":[{"index":0,"mess')]
    seen = play.ask(model)
    if play.stream:
        play.resumed(seen, "stream_broken")
        assert seen.text.count(WORDS[30]) == 1
    else:
        play.unseen(seen, parts[-1], "bad_answer")
    assert seen.seconds < SLACK
    play.good(model, parts[-1] if play.stream else parts[0])


def no_done(play: Play) -> None:
    answer = streams(*WORDS, usage=FULL_USAGE, no_done=True)
    open_end = replace(answer, finish=None, usage=None)
    finish = {"index": 0, "delta": {}, "finish_reason": "stop"}
    last = Raw(b"data: " + json.dumps({"id": "x", "choices": [finish]}).encode() + b"\n\n")
    hung = replace(open_end, steps=(*answer.steps, last, Pause(seconds=300)))
    for reply in (answer, replace(answer, chunked=False), hung):
        model, parts = play.cast()
        parts[0].script = [reply]
        seen = play.ask(model)
        assert seen.is_whole, seen
        assert seen.seconds < 1 + SLACK
        assert play.errors(seen) == [None]
        play.good(model, parts[0])


def context_exceeded(play: Play) -> None:
    model, parts = play.cast()
    message = "This model's maximum context length is 8192 tokens. However, you requested 9000."
    error = {"message": message, "type": "invalid_request_error", "param": "messages"}
    refusal = status(400, {"error": error | {"code": "context_length_exceeded"}})
    parts[0].script = [refusal]
    seen = play.ask(model)
    if play.alone:
        assert (seen.status, seen.code) == (413, "context_length_exceeded")
        assert "maximum context length is 8192" in str(seen.error)
        assert len(parts[0].requests) == 1
    else:
        play.unseen(seen, parts[1], "context_too_long")
    play.good(model, parts[0])


def content_policy(play: Play) -> None:
    model, parts = play.cast()
    error = {"message": "Flagged by the content policy.", "type": "invalid_request_error"}
    parts[0].script = [status(400, {"error": error | {"code": "content_policy_violation"}})]
    seen = play.ask(model)
    assert isinstance(seen.error, openai.BadRequestError)
    assert (seen.status, seen.code) == (400, "content_filter")
    assert "content policy" in str(seen.error)
    assert [len(part.requests) for part in parts] == [1] + [0] * (len(parts) - 1)
    assert play.errors(seen) == ["content_policy"]
    play.good(model, parts[0])


def refuses_the_prefill(play: Play) -> None:
    for repeats in (0, 4, COUNT):
        model, parts = play.cast()
        parts[0].script = [streams(*WORDS, cut=40)]
        parts[-1].default = Tells(repeats=repeats, prefill=False)
        seen = play.ask(model)
        play.resumed(seen, "stream_broken", "request_refused")
        asked = parts[-1].requests[-1].json["messages"]
        assert [m["role"] for m in asked] == ["user", "assistant", "user"]
        play.good(model, parts[-1])


def down_then_healthy(play: Play) -> None:
    model, parts = play.cast()
    parts[0].default = status(503)
    began = CLOCK.monotonic()
    failures = 0
    while CLOCK.monotonic() - began < play.times.down:
        failures += not play.ask(model).is_whole
        CLOCK.sleep(play.times.down / 40)
    assert (failures > 0) == play.alone
    up = CLOCK.monotonic()
    parts[0].default = TELLS
    while not (seen := play.ask(model)).via.startswith(f"{parts[0].name}/"):
        assert seen.is_whole, seen
        assert CLOCK.monotonic() - up < play.times.back + 1
        CLOCK.sleep(play.times.down / 40)
    play.good(model, parts[0])


def accounting(play: Play) -> None:
    """A 500 counts at its provider, a 429 does not; tokens are those that were used."""
    for refusal, counted in ((status(500), 1), (status(429, Retry_After="1"), 0)):
        model, parts = play.cast()
        parts[0].script = [refusal]
        seen = play.ask(model, max_tokens=200)
        play.unseen(seen, parts[-1], "server_error" if counted else "rate_limited")
        row = play.row(seen)
        assert [a.spent for a in row.attempts] == [bool(counted), True]
        assert row.attempts[0].usage is None
        now = play.ask(f"{parts[-1].name}/{model}", max_tokens=200)
        # Streamed or not, headers come after the reservation; the whole answer's is settled.
        spent = 2 + (counted if play.alone else 0)
        assert now.remaining["requests"] == REQUESTS - spent
        CLOCK.sleep(1.2)
        first = play.ask(f"{parts[0].name}/{model}", max_tokens=200)
        spent = 3 + counted if play.alone else 1 + counted
        assert first.remaining["requests"] == REQUESTS - spent
        if not play.stream:
            answered = 3 if play.alone else 1
            left = TOKENS - answered * sum(FULL_USAGE)
            assert left - counted * 300 <= first.remaining["tokens"] <= left


STORIES: dict[str, Story] = {
    "429 with Retry-After 2, then fine": limited_then_fine,
    "endless 429": limited_forever,
    "endless 429 with short waits": limited_forever_with_short_waits,
    "one 500, then fine": one_500,
    "endless 503": always_503,
    "reset before headers": reset_before_headers,
    "endless resets": always_reset,
    "accepts and never answers": never_answers,
    "first token late": first_token_late,
    "dies after 40 of 60 tokens": dies_after_40,
    "stalls after 20 tokens": stalls_after_20,
    "one malformed frame": malformed_frame,
    "no [DONE]": no_done,
    "context length exceeded": context_exceeded,
    "content-policy 400": content_policy,
    "dies, and the next refuses the prefill": refuses_the_prefill,
    "down, then healthy": down_then_healthy,
    "accounting right after fallback": accounting,
}
ONLY_STREAMED = frozenset({"no [DONE]", "dies, and the next refuses the prefill"})


def tellings(names: Iterable[str] = STORIES) -> Iterator[tuple[str, bool, bool]]:
    """(story, whether alone, whether streamed), in every way that makes sense."""
    for name in names:
        for alone in (True, False):
            for stream in (True, False) if name not in ONLY_STREAMED else (True,):
                yield name, alone, stream


def title(name: str, alone: bool, stream: bool) -> str:
    """For people."""
    who, how = "alone" if alone else "with a second", "streamed" if stream else "whole"
    return f"{name}, {who}, {how}"
