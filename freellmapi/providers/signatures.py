"""Thought signatures, kept for clients that drop the fields they do not know.

Gemini 3 wants every function call of the current turn back with the signature it came
with. Source: ai.google.dev/gemini-api/docs/thought-signatures, read 2026-11-22.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import orjson

from freellmapi.core.values import dataclass

CAPACITY = 4096
MAX_SIGNATURE = 65_536

NO_SIGNATURE = "skip_thought_signature_validator"
"""What Gemini accepts for a call whose signature is not known; it costs some quality."""

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature and the model family that gave it: another one may refuse it."""

    value: str
    family: str


class SignatureMemory:
    """The signatures of the calls and texts seen last, forgotten oldest first.

    Each step is one operation of the dictionary, so threads and greenlets share it
    without a lock; what one of them loses to another is at worst a forgotten signature.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._held: OrderedDict[Key, Signature] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def remember_call(
        self, call_id: str, name: str, arguments: Mapping[str, Any], signature: Signature
    ) -> None:
        """Keeps a call's signature under its id, and under what it says."""
        self._put(("id", call_id), signature)
        self._put(_said(name, arguments, signature.family), signature)

    def of_call(
        self, call_id: str, name: str, arguments: Mapping[str, Any], family: str
    ) -> Signature | None:
        """The signature by id, maybe another family's; else this family's for the same words."""
        return self._get(("id", call_id)) or self._get(_said(name, arguments, family))

    def remember_text(self, text: str, signature: Signature) -> None:
        self._put(_written(text, signature.family), signature)

    def of_text(self, text: str, family: str) -> Signature | None:
        return self._get(_written(text, family))

    def _put(self, key: Key, signature: Signature) -> None:
        if len(signature.value) > MAX_SIGNATURE:
            return
        self._held[key] = signature
        self._touch(key)
        while len(self._held) > self._capacity:
            try:
                self._held.popitem(last=False)
            except KeyError:
                return

    def _get(self, key: Key) -> Signature | None:
        found = self._held.get(key)
        if found is not None:
            self._touch(key)
        return found

    def _touch(self, key: Key) -> None:
        try:
            self._held.move_to_end(key)
        except KeyError:
            pass


def _said(name: str, arguments: Mapping[str, Any], family: str) -> Key:
    canonical = orjson.dumps(arguments, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return ("call", family, name, _digest(canonical))


def _written(text: str, family: str) -> Key:
    return ("text", family, _digest(text.strip().encode("utf-8", "replace")))


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=16).hexdigest()
