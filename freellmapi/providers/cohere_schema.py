"""JSON schemas for answers, cut down to what Cohere holds a model to.

Source: docs.cohere.com/docs/structured-outputs, "Unsupported schema features" (repository of
2026-08-20).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from freellmapi.providers.schemas import NAMED

_IGNORED = frozenset(
    "$schema $id $comment additionalProperties strict default examples title minimum maximum "
    "exclusiveMinimum exclusiveMaximum multipleOf minItems maxItems uniqueItems contains "
    "minContains maxContains minLength maxLength pattern patternProperties minProperties "
    "maxProperties propertyNames dependencies dependentRequired unevaluatedProperties".split()
)
"""Keywords that only narrow: left out, the answer may be wider than was asked for."""
_IMPOSSIBLE = frozenset({"allOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"})
_FORMATS = frozenset({"date-time", "uuid", "date", "time"})


def enforceable(schema: object) -> dict[str, Any] | None:
    """The schema as Cohere takes it; None when it has to be asked for in words.

    The whole must be an object, and every object in it needs a required property.
    """
    if not isinstance(schema, dict) or schema.get("type") != "object":
        return None
    cut = _cut(schema)
    return cut if isinstance(cut, dict) and _holds(cut) else None


def _cut(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_cut(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: {key: _cut(inner) for key, inner in value.items()}
        if name in NAMED and isinstance(value, dict)
        else value
        if name in ("enum", "const", "required")
        else _cut(value)
        for name, value in schema.items()
        if name not in _IGNORED and not (name == "format" and value not in _FORMATS)
    }


def _holds(schema: Any) -> bool:
    """Whether everything in a schema that was cut down is something Cohere knows."""
    if isinstance(schema, list):
        return all(map(_holds, schema))
    if not isinstance(schema, Mapping):
        return not isinstance(schema, bool)
    kinds = schema.get("type")
    if (kinds == "object" or "properties" in schema) and not _requires(schema):
        return False
    if _IMPOSSIBLE & schema.keys():
        return False
    inner = [value for name in NAMED for value in _values(schema.get(name))]
    inner += [schema[name] for name in ("items", "anyOf", "prefixItems") if name in schema]
    return all(map(_holds, inner))


def _requires(schema: Mapping[str, Any]) -> bool:
    required, properties = schema.get("required"), schema.get("properties")
    return (
        isinstance(required, list)
        and bool(required)
        and isinstance(properties, Mapping)
        and all(name in properties for name in required)
    )


def _values(named: object) -> list[Any]:
    return list(named.values()) if isinstance(named, Mapping) else []
