"""A continuation joins what was said without a word twice and without a word lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freellmapi.router.seam import Seam

SAID = "The capital of France is Paris, and the capital of Italy is Ro"


def joined(said: str, *texts: str) -> str:
    seam = Seam(said)
    return said + "".join(seam.feed(text) for text in texts) + seam.close()


@pytest.mark.parametrize(
    ("continuation", "whole"),
    [
        ("me. Spain has Madrid.", "me. Spain has Madrid."),
        ("Italy is Rome.", "me."),
        (" of Italy is Rome.", "me."),
        (SAID + "me.", "me."),
        (SAID, ""),
        ("", ""),
        ("me", "me"),
        (
            "The capital of France is Paris, while the capital of Italy is Rome. Done.",
            "me. Done.",
        ),
    ],
    ids=[
        "goes straight on",
        "repeats two words",
        "repeats with a space",
        "starts over",
        "starts over and says nothing new",
        "says nothing",
        "is short",
        "starts over in other words",
    ],
)
@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_what_is_repeated_is_left_out(continuation: str, whole: str, size: int) -> None:
    texts = [continuation[i : i + size] for i in range(0, len(continuation), size)]
    assert joined(SAID, *texts) == SAID + whole


def test_new_text_is_not_held_back() -> None:
    seam = Seam(SAID)
    assert seam.feed("me. Quite") == "me. Quite"
    assert seam.feed(" another") == " another"


words = st.text(alphabet="abcdefghij .,\n", min_size=0, max_size=300)


@given(said=words, new=words, repeat=st.integers(0, 60), size=st.integers(1, 50))
def test_nothing_new_is_lost(said: str, new: str, repeat: int, size: int) -> None:
    tail = said[len(said) - min(repeat, len(said)) :]
    text = tail + "@" + new
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    assert joined(said, *pieces).endswith("@" + new)


@given(said=words.filter(lambda s: len(s) > 60), cut=st.integers(25, 60), size=st.integers(1, 50))
def test_a_restart_from_the_beginning_is_never_seen(said: str, cut: int, size: int) -> None:
    text = said + "@and more"
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    assert joined(said, *pieces) == text
