"""What looks like a key is masked, and what is one, whatever it looks like."""

from __future__ import annotations

from freellmapi.core.catalog import Provider
from freellmapi.providers.classify import classify
from freellmapi.providers.endpoints import endpoint
from freellmapi.providers.redact import MASK, one_line, redact

LAB = Provider("lab", "Lab", "http://127.0.0.1:9/v1", auth_header="Authorization")


def test_the_key_of_a_call_is_masked_wherever_it_is_repeated() -> None:
    plain = "my homely words"
    assert redact(f"no: {plain}.") == f"no: {plain}."
    endpoint(LAB, plain)
    assert redact(f"no: {plain}.") == f"no: {MASK}."
    said = classify(400, {}, b'{"error": {"message": "got my homely words"}}', LAB, 0.0)
    assert said.message == f"got {MASK}"


def test_a_key_is_not_cut_before_it_is_masked() -> None:
    endpoint(LAB, "plainly-spoken-secret")
    told = one_line("x" * 290 + " plainly-spoken-secret")
    assert "plain" not in told


def test_a_short_word_is_no_key() -> None:
    endpoint(LAB, "none")
    assert redact("none of them") == "none of them"
