"""Server-sent events in every legal form, split at any byte."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freellmapi.core import sse
from freellmapi.core.sse import EventTooLarge, SseDecoder


def whole(*parts: bytes) -> list[bytes]:
    decoder = SseDecoder()
    events = [event for part in parts for event in decoder.feed(part)]
    return events + decoder.close()


FORMS = [
    pytest.param(b"data: a\n\ndata: b\n\n", [b"a", b"b"], id="LF"),
    pytest.param(b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"], id="CRLF"),
    pytest.param(b"data: a\r\rdata: b\r\r", [b"a", b"b"], id="CR"),
    pytest.param(b"data: a\r\n\ndata: b\n\r\n", [b"a", b"b"], id="mixed"),
    pytest.param(b"data:a\n\n", [b"a"], id="no space"),
    pytest.param(b"data:  a\n\n", [b" a"], id="two spaces"),
    pytest.param(b"data: a: b\n\n", [b"a: b"], id="a colon"),
    pytest.param(b"data: a\ndata: b\n\n", [b"a\nb"], id="two lines"),
    pytest.param(b"data\ndata: b\n\n", [b"\nb"], id="a bare field"),
    pytest.param(b"data:\n\n", [b""], id="empty data"),
    pytest.param(b": ping\n\ndata: a\n\n", [b"a"], id="a comment"),
    pytest.param(b"event: x\nid: 1\nretry: 5\ndata: a\n\n", [b"a"], id="other fields"),
    pytest.param(b"database: a\n\n", [], id="not data after all"),
    pytest.param(b"\n\n\ndata: a\n\n\n\n", [b"a"], id="blank lines"),
    pytest.param(b"data: a", [b"a"], id="no end at all"),
    pytest.param(b"data: a\n", [b"a"], id="no blank line at the end"),
    pytest.param(b"\xef\xbb\xbfdata: a\n\n", [b"a"], id="byte order mark"),
    pytest.param(b"\xef\xbb\xbfdata: a", [b"a"], id="byte order mark, no end"),
    pytest.param("data: \u2028\x85é\n\n".encode(), ["\u2028\x85é".encode()], id="Unicode"),
    pytest.param(b"", [], id="nothing"),
]


@pytest.mark.parametrize(("data", "events"), FORMS)
def test_every_legal_form_is_read(data: bytes, events: list[bytes]) -> None:
    assert whole(data) == events


@pytest.mark.parametrize(("data", "events"), FORMS)
def test_it_makes_no_difference_where_the_bytes_are_split(data: bytes, events: list[bytes]) -> None:
    assert whole(*(bytes([byte]) for byte in data)) == events
    for cut in range(len(data)):
        assert whole(data[:cut], b"", data[cut:]) == events


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8")), max_size=6),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.lists(st.integers(0, 300), max_size=8),
)
def test_any_texts_split_anywhere(texts: list[str], end: bytes, cuts: list[int]) -> None:
    data = b"".join(b"data: " + text.encode() + end + end for text in texts)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    parts = [data[a:b] for a, b in pairwise(edges)]
    assert whole(*parts) == [text.encode() for text in texts]


def test_an_event_is_given_as_soon_as_it_is_whole() -> None:
    decoder = SseDecoder()
    assert decoder.feed(b"data: a\n") == []
    assert decoder.feed(b"\n") == [b"a"]


LINE = b"data: " + b"x" * 1_000 + b"\n"


@pytest.mark.parametrize("line", [b"x", LINE], ids=["one line", "many lines"])
def test_an_event_without_an_end_is_refused(line: bytes) -> None:
    decoder, piece = SseDecoder(), line * (512 * 1024 // len(line))
    with pytest.raises(EventTooLarge):
        for _ in range(2 * sse.MAX_EVENT_BYTES // len(piece)):
            decoder.feed(piece)


def test_many_events_in_one_packet_are_no_event_too_large() -> None:
    count = sse.MAX_EVENT_BYTES // len(LINE) + 100
    assert len(SseDecoder().feed((LINE + b"\n") * count)) == count


def test_a_long_line_comes_whole_however_often_it_was_interrupted() -> None:
    decoder = SseDecoder()
    pieces = [b"data: a", b"b" * 10, b"", b"c" * 10, b"\r", b"\ndata: d", b"e\n\ndata: f"]
    events = [event for piece in pieces for event in decoder.feed(piece)]
    assert events == [b"a" + b"b" * 10 + b"c" * 10 + b"\nde"]
    assert decoder.feed(b"g") == []
    assert decoder.close() == [b"fg"]


def test_a_line_without_end_is_given_up_in_its_middle() -> None:
    decoder = SseDecoder()
    decoder.feed(b"data: ")
    fed = 0
    with pytest.raises(EventTooLarge):
        for _ in range(100):
            decoder.feed(b"x" * 1024 * 1024)
            fed += 1
    assert fed <= sse.MAX_EVENT_BYTES // (1024 * 1024)
