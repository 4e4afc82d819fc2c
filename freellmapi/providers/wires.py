"""The formats there are, by the name that the catalog uses."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from freellmapi.providers.cohere import CohereWire
from freellmapi.providers.gemini import GeminiWire
from freellmapi.providers.openai import OpenAIWire
from freellmapi.providers.wire import Wire

WIRES: Mapping[str, Wire] = MappingProxyType(
    {"openai": OpenAIWire(), "gemini": GeminiWire(), "cohere": CohereWire()}
)
