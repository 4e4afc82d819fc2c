"""An error body, in whatever shape it came, read once into what can be judged."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal

import orjson

from freellmapi.core.values import dataclass

Form = Literal["json", "html", "text", "empty"]

_MAX_DEPTH = 7
_MAX_ITEMS = 10
_MAX_TEXT = 8_000
_MAX_REASON = 4_000
_NESTED = ("error", "errors", "innererror", "inner_error", "detail", "details", "base_resp")
_CODES = ("code", "type", "status", "error_code", "errorCode", "error_type", "reason")
_STATUS_CODES = ("status_code", "statusCode", "http_status")
_REASONS = ("message", "msg", "status_msg", "detail", "error", "error_description", "title")
_HTML = ("<!doctype html", "<html", "<head", "<body")
_TITLE = re.compile(r"<(title|h1)[^>]{0,200}>(.{0,500}?)</\1>", re.I | re.S)
_TAG = re.compile(r"<(script|style)\b.*?</\1>|<[^>]*>", re.I | re.S)


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What an error says, apart from the shape it says it in.

    ``status`` is the HTTP status, or with a 2xx the one that the body names. ``codes`` are
    the machine-readable words, lower-cased, the outermost first. ``upstream`` is set when a
    router (OpenRouter, Kilo) reports the failure of whom it asked.
    """

    status: int
    payload: object
    form: Form
    reason: str
    codes: tuple[str, ...] = ()
    upstream: bool = False
    moderated: bool = False
    from_minimax: bool = False
    from_cloudflare: bool = False
    violations: tuple[Mapping[str, object], ...] = ()
    """Of a google.rpc.QuotaFailure."""


def decoded(body: bytes) -> object:
    """The JSON of a body (also the first event of a stream), else its text."""
    text = body[:_MAX_TEXT].decode("utf-8", "replace").strip().removeprefix("\ufeff")
    for candidate in (body, text.removeprefix("data:").partition("\n")[0]):
        try:
            return orjson.loads(candidate)
        except orjson.JSONDecodeError:
            continue
    return text


def read(payload: object, status: int) -> ErrorBody:
    """``payload`` (decoded JSON, or text) as it came with ``status``."""
    if payload is None or payload in ("", {}, []):
        return ErrorBody(status, payload, "empty", "")
    if isinstance(payload, str):
        return _text(payload, status)
    nodes = tuple(_nodes(payload, _MAX_DEPTH))
    metadata = next((m for n in nodes if isinstance(m := n.get("metadata"), Mapping)), {})
    status = _status(nodes, status)
    upstream = bool(metadata.get("provider_name") or metadata.get("raw"))
    raw = _raw(metadata) if upstream else ()
    codes = _codes((*nodes, metadata, *(raw if status in (400, 413, 422) else ())))
    first = nodes[0] if nodes else {}
    return ErrorBody(
        status,
        payload,
        "json",
        (_reason(nodes, raw, metadata) or _scalar(payload))[:_MAX_REASON],
        codes,
        upstream=upstream,
        moderated=isinstance(metadata.get("reasons"), list),
        from_minimax="base_resp" in first,
        from_cloudflare=first.get("success") is False and isinstance(first.get("errors"), list),
        violations=tuple(
            v for n in nodes for v in _items(n.get("violations")) if isinstance(v, Mapping)
        ),
    )


def _text(text: str, status: int) -> ErrorBody:
    text = text[:_MAX_TEXT].strip()
    head = text[:1000].lower()
    if head.startswith("<") and any(mark in head for mark in _HTML):
        title = _TITLE.search(text)
        text = _TAG.sub(" ", title[2] if title else text[:2000])
        return ErrorBody(status, None, "html", text[:_MAX_REASON])
    return ErrorBody(status, text, "text", text[:_MAX_REASON])


def _nodes(value: object, depth: int) -> Iterator[Mapping[str, object]]:
    """The objects that describe the error, the outermost first."""
    if isinstance(value, str):
        value = _json_in(value)
    if not depth:
        return
    if isinstance(value, list):
        for item in value[:_MAX_ITEMS]:
            yield from _nodes(item, depth - 1)
    elif isinstance(value, Mapping):
        yield value
        for name in (*_NESTED, "message"):
            yield from _nodes(value.get(name), depth - 1)
        for choice in _items(value.get("choices")):
            if isinstance(choice, Mapping):
                yield from _nodes(choice.get("error"), depth - 1)


def _json_in(text: str) -> object:
    """JSON that was put into a string, as proxies do with what they were told."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return orjson.loads(text.encode("utf-8", "replace"))
    except orjson.JSONDecodeError:
        return None


def _raw(metadata: Mapping[str, object]) -> tuple[Mapping[str, object], ...]:
    raw = metadata.get("raw")
    return tuple(_nodes(raw, 3)) or ({"message": raw},)


def _status(nodes: tuple[Mapping[str, object], ...], status: int) -> int:
    if not 200 <= status < 300:
        return status
    for node in nodes:
        for name in ("code", "status", *_STATUS_CODES):
            code = _code(node.get(name))
            if len(code) == 3 and code.isascii() and code.isdigit() and "400" <= code < "600":
                return int(code)
    return status


def _codes(nodes: tuple[Mapping[str, object], ...]) -> tuple[str, ...]:
    found = (_code(node.get(name)) for node in nodes for name in (*_CODES, *_STATUS_CODES))
    return tuple(dict.fromkeys(code for code in found if code))


def _code(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return ""
    return value[:64].strip().lower() if isinstance(value, str) else str(value)


def _reason(
    nodes: tuple[Mapping[str, object], ...],
    raw: tuple[Mapping[str, object], ...],
    metadata: Mapping[str, object],
) -> str:
    """The sentence nearest to the cause: what the innermost speaker said."""
    if told := _first_sentence(raw):
        name = metadata.get("provider_name")
        return f"{name}: {told}" if isinstance(name, str) else told
    return _first_sentence(nodes)


def _first_sentence(nodes: tuple[Mapping[str, object], ...]) -> str:
    validation = [_validation(node) for node in nodes if "loc" in node]
    if validation:
        return "; ".join(filter(None, validation))
    for node in nodes:
        told = [
            value.strip()
            for name in _REASONS
            if isinstance(value := node.get(name), str) and value.strip()
        ]
        told = [value for value in told if _json_in(value) is None]
        if told:
            # RFC 7807 puts the kind into the title and the cause into the detail.
            return told[0]
    return ""


def _validation(node: Mapping[str, object]) -> str:
    """One complaint of a validator, with the place it is about; never the input itself."""
    place = ".".join(str(part) for part in _items(node.get("loc")))
    told = node.get("msg")
    return f"{place}: {told}" if isinstance(told, str) and place else str(told or "")


def _items(value: object) -> list[object]:
    return value[:_MAX_ITEMS] if isinstance(value, list) else []


def _scalar(payload: object) -> str:
    """The text of a body whose JSON is only a string in a list, or a number."""
    while isinstance(payload, list) and payload:
        payload = payload[0]
    return payload if isinstance(payload, str) else ""
