"""One node of a JSON Schema: its type, and its values in the form Gemini takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object"})
FORMATS: Mapping[str, frozenset[str]] = {
    "string": frozenset({"enum", "date-time"}),
    "number": frozenset({"float", "double"}),
    "integer": frozenset({"int32", "int64"}),
}
_TEXTS = ("title", "description", "pattern")
_COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
_NUMBERS = ("minimum", "maximum")
_HINTS = {
    "object": ("properties", "additionalProperties", "patternProperties", "required"),
    "array": ("items", "prefixItems", "minItems", "maxItems"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}


def types_of(node: Schema) -> list[str]:
    """The types that a node states, known ones only, ``null`` among them."""
    stated = node.get("type")
    listed = stated if isinstance(stated, list) else [stated]
    names = [t.lower() for t in listed if isinstance(t, str)]
    return list(dict.fromkeys(t for t in names if t in TYPES or t == "null"))


def guessed(node: Schema) -> str:
    """The type of a node that states none; text, if nothing tells."""
    for kind, keywords in _HINTS.items():
        if any(k in node for k in keywords):
            return kind
    for value in _listed(node):
        if isinstance(value, bool):
            return "boolean"
        if isinstance(value, (int, float)):
            return "integer" if isinstance(value, int) else "number"
    return "string"


def is_null(node: Schema) -> bool:
    return (
        types_of(node) == ["null"]
        or node.get("enum") == [None]
        or ("const" in node and node["const"] is None)
    )


def plain(node: Schema) -> Schema:
    """The keywords that need no translation, where their values are of the right form."""
    out: Schema = {k: node[k] for k in _TEXTS if isinstance(node.get(k), str)}
    out |= {k: node[k] for k in _COUNTS if _is_number(node.get(k), int) and node[k] >= 0}
    out |= {k: node[k] for k in _NUMBERS if _is_number(node.get(k), int, float)}
    out |= {k: node[k] for k in ("default", "example") if node.get(k) is not None}
    return out


def formatted(node: Schema, kind: str) -> Schema:
    stated = node.get("format")
    known = isinstance(stated, str) and stated in FORMATS.get(kind, ())
    return {"format": stated} if known else {}


def enumerated(node: Schema, kind: str) -> Schema:
    """``enum`` for texts; the values of another type are told in words."""
    values = _listed(node)
    nullable: Schema = {"nullable": True} if None in values else {}
    texts = [v for v in values if isinstance(v, str) and v]
    if kind == "string":
        return nullable | ({"enum": list(dict.fromkeys(texts))} if texts else {})
    told = ", ".join(str(v) for v in values if v is not None)
    if not told or kind == "boolean":
        return nullable
    words = node["description"] + " " if isinstance(node.get("description"), str) else ""
    return nullable | {"description": f"{words}One of: {told}."}


def _listed(node: Schema) -> list[Any]:
    """The values that a node allows, if it names them."""
    values = node.get("enum")
    if isinstance(values, list):
        return values
    return [node["const"]] if node.get("const") is not None else []


def stub(node: Schema) -> Schema:
    """Where the schema is cut: the type alone."""
    kinds = [t for t in types_of(node) if t != "null"]
    kind = kinds[0] if kinds else guessed(node)
    return {"type": kind, "items": {"type": "string"}} if kind == "array" else {"type": kind}


def _is_number(value: object, *kinds: type) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)
