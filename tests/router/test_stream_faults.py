"""A fault in the same packet as good chunks: they go out first, and nothing is made up."""

from __future__ import annotations

from typing import cast

import orjson
import pytest

from freellmapi.core.catalog import Model, Provider
from freellmapi.core.errors import UpstreamError
from freellmapi.core.route import Candidate
from freellmapi.providers.openai import OpenAIWire
from freellmapi.providers.transport import Response
from freellmapi.router.stream import AnswerStream, StreamEnd
from tests.fakes.clock import FrozenClock

PROVIDER = Provider("alpha", "Alpha", "https://alpha.test")
MODEL = Model("alpha", "m", "M", "m")


class Packets:
    """A response whose body comes in these packets."""

    def __init__(self, *packets: bytes) -> None:
        self._packets = list(packets)

    def next_bytes(self, timeout: float) -> bytes:
        return self._packets.pop(0) if self._packets else b""

    def close(self) -> None:
        self._packets.clear()


def event(text: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return b"data: %s\n\n" % orjson.dumps({"id": "c", "choices": [choice]})


def stream(*packets: bytes) -> tuple[AnswerStream, list[StreamEnd]]:
    ends: list[StreamEnd] = []
    answer = AnswerStream(
        Candidate(PROVIDER, MODEL, "1"),
        cast(Response, Packets(*packets)),
        OpenAIWire().reader(PROVIDER, MODEL),
        FrozenClock(),
        25,
        10,
        3,
        ends.append,
    )
    answer.begin(10)
    return answer, ends


def test_a_malformed_frame_breaks_the_stream_after_what_came_before_it() -> None:
    answer, ends = stream(event("14") + b'data: {"id\n\n' + event(":05"))

    assert [chunk.text for chunk in next(answer)] == ["14"]
    with pytest.raises(UpstreamError):
        next(answer)
    assert ends[0].error is not None


def test_a_fault_behind_a_whole_answer_harms_nobody() -> None:
    answer, ends = stream(event("14:05"), event("", "stop") + b"data: {oops\n\n")

    batches = list(answer)

    assert "".join(chunk.text for batch in batches for chunk in batch) == "14:05"
    assert ends[0].error is None
