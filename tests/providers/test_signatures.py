from __future__ import annotations

from freellmapi.providers.signatures import MAX_SIGNATURE, Signature, SignatureMemory

FLASH = Signature("QUJD", "gemini-3.5-flash")
ARGS = {"city": "Oslo", "unit": "C"}


def test_a_call_is_found_by_its_id() -> None:
    memory = SignatureMemory()
    memory.remember_call("c1", "f", ARGS, FLASH)
    assert memory.of_call("c1", "f", {}, FLASH.family) == FLASH


def test_a_call_with_a_new_id_is_found_by_what_it_says_whatever_the_order_of_arguments() -> None:
    memory = SignatureMemory()
    memory.remember_call("c1", "f", ARGS, FLASH)
    turned = dict(reversed(list(ARGS.items())))
    assert memory.of_call("other", "f", turned, FLASH.family) == FLASH
    assert memory.of_call("other", "g", turned, FLASH.family) is None
    assert memory.of_call("other", "f", {"city": "Rome"}, FLASH.family) is None


def test_another_family_finds_a_call_only_by_id_and_sees_whose_it_is() -> None:
    memory = SignatureMemory()
    memory.remember_call("c1", "f", ARGS, FLASH)
    assert memory.of_call("other", "f", ARGS, "gemini-3.8-flash") is None
    found = memory.of_call("c1", "f", ARGS, "gemini-3.8-flash")
    assert found is not None and found.family == "gemini-3.5-flash"


def test_a_text_is_found_without_regard_to_space_around_it() -> None:
    memory = SignatureMemory()
    memory.remember_text("Hello there\n", FLASH)
    assert memory.of_text(" Hello there", FLASH.family) == FLASH
    assert memory.of_text("Hello there", "another") is None


def test_the_oldest_is_forgotten_and_use_keeps_young() -> None:
    memory = SignatureMemory(capacity=3)
    for text in ("a", "b", "c"):
        memory.remember_text(text, FLASH)
    memory.of_text("a", FLASH.family)
    memory.remember_text("d", FLASH)
    known = [t for t in "abcd" if memory.of_text(t, FLASH.family)]
    assert known == ["a", "c", "d"]
    assert len(memory) == 3


def test_a_monstrous_signature_is_not_kept() -> None:
    memory = SignatureMemory()
    memory.remember_text("a", Signature("x" * (MAX_SIGNATURE + 1), "f"))
    assert len(memory) == 0
