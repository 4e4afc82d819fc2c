"""The formats there are, by the name that the catalog uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache

from freellmapi.providers.openai import OpenAIWire
from freellmapi.providers.wire import Wire


class Wires(Mapping[str, Wire]):
    """A format is loaded when it is first asked for: most servers use one of them."""

    def __getitem__(self, name: str) -> Wire:
        return _made(name)

    def __iter__(self) -> Iterator[str]:
        return iter(_MAKES)

    def __len__(self) -> int:
        return len(_MAKES)


@cache
def _made(name: str) -> Wire:
    return _MAKES[name]()


def _gemini() -> Wire:
    from freellmapi.providers.gemini import GeminiWire

    return GeminiWire()


def _cohere() -> Wire:
    from freellmapi.providers.cohere import CohereWire

    return CohereWire()


_MAKES: Mapping[str, Callable[[], Wire]] = {
    "openai": OpenAIWire,
    "gemini": _gemini,
    "cohere": _cohere,
}

WIRES = Wires()
