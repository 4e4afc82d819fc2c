"""What ``bench.fuzz`` feeds: each takes bytes, and raises when a promise is broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from freellmapi.core.catalog import Model, Provider
from freellmapi.core.chat import Chunk
from freellmapi.core.errors import ErrorKind, UpstreamError
from freellmapi.core.sse import SseDecoder
from freellmapi.providers.catalog import load_catalog
from freellmapi.providers.classify import classify
from freellmapi.providers.env_import import NEW, parse_env
from freellmapi.providers.gemini_schema import ALLOWED, MAX_NODES, clean, parameters
from freellmapi.providers.wires import WIRES

CATALOG = load_catalog()
PROVIDERS = tuple(CATALOG.providers.values())
HEADERS = ("retry-after", "x-ratelimit-reset-requests", "x-ratelimit-remaining-requests")


def sse(data: bytes) -> None:
    """The events are the same, however the bytes are cut."""
    whole = SseDecoder()
    at_once = [*whole.feed(data), *whole.close()]
    piecemeal = SseDecoder()
    in_pieces = [event for byte in data for event in piecemeal.feed(bytes([byte]))]
    in_pieces += piecemeal.close()
    assert at_once == in_pieces, (at_once, in_pieces)


def gemini_schema(data: bytes) -> None:
    """Only what Gemini takes comes out, and never more than a bound of it."""
    schema = _value(iter(data), 0)
    assert _nodes(clean(schema)) <= 4 * MAX_NODES
    parameters(schema)


WORDS = (
    *("type", "properties", "items", "anyOf", "oneOf", "allOf", "$ref", "$defs", "enum", "const"),
    *("required", "not", "prefixItems", "additionalProperties", "format", "default", "minimum"),
    *("pattern", "a", "object", "array", "string", "number", "null", "#", "#/$defs/a", "date-time"),
)
SCALARS: tuple[object, ...] = (None, True, 0, -1, 1e308, "", "\ud800", *WORDS)


def _value(data: Iterator[int], depth: int) -> object:
    """JSON out of bytes, of the words that schemas are made of."""
    kind, size = next(data, 0), next(data, 0) % 5
    if kind % 3 == 0 or depth > 60:
        return SCALARS[(kind // 3) % len(SCALARS)]
    if kind % 3 == 1:
        return [_value(data, depth + 1) for _ in range(size)]
    return {WORDS[next(data, 0) % len(WORDS)]: _value(data, depth + 1) for _ in range(size)}


def _nodes(schema: Mapping[str, object]) -> int:
    assert schema.keys() <= ALLOWED, schema
    properties, items, branches = (schema.get(name) for name in ("properties", "items", "anyOf"))
    inner = list(properties.values()) if isinstance(properties, dict) else []
    inner += [items] if isinstance(items, dict) else []
    inner += branches if isinstance(branches, list) else []
    return 1 + sum(_nodes(child) for child in inner)


def streams(data: bytes) -> None:
    """A stream of any provider is chunks or one error, the same however its bytes are cut."""
    provider = PROVIDERS[data[0] % len(PROVIDERS)] if data else PROVIDERS[0]
    assert _read(provider, [data[1:]]) == _read(
        provider, [data[n : n + 1] for n in range(1, len(data))]
    )


def _read(provider: Provider, pieces: Sequence[bytes]) -> tuple[str, str, ErrorKind | None]:
    """What was said, how it ended, and how it failed."""
    model = Model(provider.id, "m", "M", "m")
    reader = WIRES[provider.wire].reader(provider, model, frozenset({"look"}))
    chunks: list[Chunk] = []
    failed = None
    try:
        for piece in pieces:
            if not reader.ended:
                chunks += reader.feed(piece)
        chunks += reader.close()
    except UpstreamError as error:
        assert error.message.isprintable(), error.message
        failed = error.kind
    return "".join(c.text for c in chunks), "".join(c.finish or "" for c in chunks), failed


def classification(data: bytes) -> None:
    """Any refusal is an error of one printable line, with a wait that is no more than a day."""
    first, second, third, *_ = (*data[:3], 0, 0, 0)
    line, _, body = data[3:].partition(b"\n")
    headers = {HEADERS[third % len(HEADERS)]: line.decode("latin-1")}
    provider = PROVIDERS[second % len(PROVIDERS)]
    error = classify(200 + 2 * first, headers, body, provider, 1_800_000_000.0)
    assert error.message and error.message.isprintable(), error.message
    assert error.retry_after is None or 0 <= error.retry_after <= 86_400, error.retry_after


def env_import(data: bytes) -> None:
    """What would be stored is one line under a known provider, and its reason tells no key."""
    for found in parse_env(data.decode("utf-8", "replace"), CATALOG.providers):
        if found.verdict == NEW:
            assert found.provider in CATALOG.providers
            assert found.secret and found.secret.isprintable(), found.secret
        elif len(found.secret) > 12:
            assert found.secret not in found.reason


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "sse": sse,
    "streams": streams,
    "gemini-schema": gemini_schema,
    "classify": classification,
    "env-import": env_import,
}
