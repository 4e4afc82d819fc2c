"""What ``bench.fuzz`` is guided through by coverage holds for what hypothesis thinks of, too."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.fuzzed import TARGETS

PIECES = st.sampled_from(
    [
        *(
            b"data:",
            b"data: ",
            b"event: error\n",
            b": c\n",
            b"\n",
            b"\r\n",
            b"\r",
            b"\n\n",
            b"[DONE]",
        ),
        *(
            b'{"choices":[{"delta":{"content":"a"}}]}',
            b'{"error":{"message":"x"}}',
            b"<think>",
            b"{",
        ),
        *(
            b'{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}',
            b'"',
            b"\xff",
            b"\xe2\x80",
            b"\x1b[2J",
        ),
        *(
            b'{"type":"content-delta","delta":{"message":{"content":{"text":"a"}}}}',
            b"GROQ_API_KEY=",
            b"=",
        ),
        *(
            b'{"choices":[{"delta":{},"finish_reason":"stop"}]}',
            b"export ",
            b"gsk_" + b"a1B2" * 12,
            b"#",
        ),
    ]
)
GIVEN = st.lists(PIECES | st.binary(max_size=8), max_size=40).map(b"".join) | st.binary(
    max_size=400
)


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
@given(data=GIVEN)
def test_promises_hold_for_any_bytes(target: Callable[[bytes], None], data: bytes) -> None:
    target(data)
