"""How many values JSON is made of, told before it is parsed."""

from __future__ import annotations

import json
import re

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freellmapi.api.depth import MAX_VALUES, has_too_many_values
from freellmapi.api.schema import parse_json
from freellmapi.core.errors import GatewayError

MB = 1024 * 1024
values = st.recursive(
    st.integers(-99, 99) | st.text(st.sampled_from('\\",[{x\n\u00e9')),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('\\",[{'), inner),
)


@given(values, st.integers(1, 40), st.booleans())
def test_only_what_stands_outside_of_strings_counts(value: object, step: int, plain: bool) -> None:
    data = orjson.dumps(value) if plain else json.dumps(value).encode()
    bare = re.sub(rb'"(\\.|[^"\\])*"', b"", data, flags=re.DOTALL)
    count = sum(bare.count(mark) for mark in (b",", b"[", b"{"))
    assert not has_too_many_values(data, count, step)
    assert has_too_many_values(data, count - 1, step)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b'{"x": [' + b"[]," * 400_000 + b"1]}", id="lists"),
        pytest.param(b'{"x": [' + b"{}," * 400_000 + b"1]}", id="objects"),
        pytest.param(b'{"x": [' + b"1," * 800_000 + b"1]}", id="numbers"),
        pytest.param(b'{"x": [' + b'"\\\\",' * 400_000 + b"1]}", id="strings"),
        pytest.param(
            b'{"x": "' + b"\\" * MB + b'", "y": [' + b"1," * 200_000 + b"1]}", id="behind"
        ),
    ],
)
def test_a_body_made_of_too_many_values_is_refused(data: bytes) -> None:
    with pytest.raises(GatewayError) as refused:
        parse_json(data)
    assert (refused.value.status, refused.value.code) == (413, "too_many_values")


def test_long_texts_and_long_conversations_are_taken() -> None:
    words = [{"role": "user", "content": "a, [b], {c}" * 20}] * 10_000
    text = [{"role": "user", "content": '{"rows": [1, 2, 3]}, ' * 200_000}]
    for messages in (words, text):
        data = orjson.dumps({"messages": messages})
        assert len(data) > 2 * MB
        assert data.count(b",") > MAX_VALUES
        assert parse_json(data)["messages"] == messages
