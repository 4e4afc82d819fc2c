"""JSON Schema brought down to the subset that Gemini takes.

Source: the Schema type of google-genai 3.4.0, and refusals seen in public reports up to
2026-10. Nothing outside ``ALLOWED`` is ever sent: older backends answer 400 to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import unquote

from freellmapi.providers.gemini_schema_node import (
    Schema,
    enumerated,
    formatted,
    guessed,
    is_null,
    plain,
    stub,
    types_of,
)

ALLOWED = frozenset(
    "type format title description nullable default enum items properties propertyOrdering "
    "required minItems maxItems minLength maxLength minProperties maxProperties minimum maximum "
    "pattern example anyOf".split()
)
MAX_DEPTH = 48
MAX_NODES = 5_000
"""References are copied wherever they stand, so a small schema can grow without end."""


def clean(schema: object) -> Schema:
    """The schema as Gemini takes it; what cannot be said there is left out."""
    return _Cleaner(schema).clean(schema, (), 0)


def parameters(schema: object) -> Schema | None:
    """A function's parameters; None for one that takes no arguments.

    An object with no properties at the top is refused ("should be non-empty").
    """
    cleaned = clean(schema) if isinstance(schema, dict) and schema else {}
    if cleaned.get("anyOf"):
        cleaned = {"type": "object", "properties": _all_properties(cleaned["anyOf"])}
    return cleaned if cleaned.get("properties") else None


def _all_properties(branches: list[Schema]) -> Schema:
    """The properties of any alternative: arguments are one object, whichever it is."""
    found: Schema = {}
    for branch in reversed(branches):
        found |= branch.get("properties", {})
    return found


class _Cleaner:
    """One schema at work: its root, for references, and how much it has grown."""

    def __init__(self, root: object) -> None:
        self._root = root
        self._left = MAX_NODES

    def clean(self, raw: object, trail: tuple[str, ...], depth: int) -> Schema:
        """One node; ``trail`` holds the references that led here, so that cycles are cut."""
        self._left -= 1
        if not isinstance(raw, dict):
            return {"type": "string"}
        if depth > MAX_DEPTH or self._left < 0:
            return stub(raw)
        node, trail, cyclic = self._resolved(raw, trail)
        if cyclic:
            return stub(node)
        node = self._merged(node, trail)
        many = types_of(node)
        nullable = node.get("nullable") is True or "null" in many or is_null(node)
        kinds = [t for t in many if t != "null"]
        branches = self._branches(node, kinds)
        out = plain(node)
        if branches:
            out |= self._united(node, branches, kinds, trail, depth)
        else:
            out |= self._typed(node, kinds[0] if kinds else guessed(node), trail, depth)
        if nullable or out.get("nullable"):
            out["nullable"] = True
        return out

    def _resolved(
        self, raw: Schema, trail: tuple[str, ...]
    ) -> tuple[Schema, tuple[str, ...], bool]:
        """The node with its reference followed, and whether that closed a circle."""
        node = raw
        while isinstance(ref := node.get("$ref"), str):
            target = _pointed(self._root, ref)
            beside = {k: v for k, v in node.items() if k != "$ref"}
            node = {**target, **beside}
            if ref in trail:
                return {k: v for k, v in node.items() if k != "$ref"}, trail, True
            trail = (*trail, ref)
        return node, trail, False

    def _merged(self, node: Schema, trail: tuple[str, ...]) -> Schema:
        """The node with its ``allOf`` folded in."""
        parts = node.get("allOf")
        if not isinstance(parts, list):
            return node
        merged = {k: v for k, v in node.items() if k != "allOf"}
        for part in parts:
            if isinstance(part, dict):
                target, inner, cyclic = self._resolved(part, trail)
                if not cyclic and len(inner) < MAX_DEPTH:
                    merged = _both(merged, self._merged(target, (*inner, "allOf")))
        return merged

    def _branches(self, node: Schema, kinds: list[str]) -> list[Schema]:
        """The alternatives of a node, whichever keyword they stand under."""
        found: list[Schema] = []
        for keyword in ("anyOf", "oneOf"):
            listed = node.get(keyword)
            if isinstance(listed, list):
                found += [b for b in listed if isinstance(b, dict) and b]
        if found or len(kinds) < 2:
            return found
        bare = {k: v for k, v in node.items() if k not in ("title", "description", "default")}
        return [{**bare, "type": kind} for kind in kinds]

    def _united(
        self,
        node: Schema,
        branches: list[Schema],
        kinds: list[str],
        trail: tuple[str, ...],
        depth: int,
    ) -> Schema:
        """``anyOf`` of the alternatives; a lone one, or those beside own properties, folded in."""
        if isinstance(node.get("properties"), dict) and len(kinds) < 2:
            # Such alternatives mostly say which properties go together: Gemini cannot.
            return self._typed(self._widened(node, branches, trail), "object", trail, depth)
        if len(kinds) == 1:
            branches = [{"type": kinds[0], **b} for b in branches]
        real = [b for b in branches if not is_null(b)]
        cleaned = _distinct(self.clean(b, trail, depth + 1) for b in real)
        if not cleaned:
            return stub({"type": kinds[0] if kinds else "string"}) | {"nullable": True}
        nullable: Schema = {"nullable": True} if len(real) < len(branches) else {}
        if len(cleaned) > 1:
            return {"anyOf": cleaned} | nullable
        own = {k: v for k, v in plain(node).items() if k in ("title", "description")}
        return cleaned[0] | own | nullable

    def _widened(self, node: Schema, branches: list[Schema], trail: tuple[str, ...]) -> Schema:
        """The node with the properties of its alternatives as optional ones."""
        properties = dict(node["properties"])
        for branch in branches:
            target, _, cyclic = self._resolved(branch, trail)
            more = target.get("properties")
            if isinstance(more, dict) and not cyclic:
                properties = {**more, **properties}
        return {**node, "properties": properties}

    def _typed(self, node: Schema, kind: str, trail: tuple[str, ...], depth: int) -> Schema:
        out: Schema = {"type": kind} | formatted(node, kind) | enumerated(node, kind)
        if kind == "object":
            out |= self._object(node, trail, depth)
        elif kind == "array":
            out["items"] = self._items(node, trail, depth)
        return out

    def _object(self, node: Schema, trail: tuple[str, ...], depth: int) -> Schema:
        listed = node.get("properties")
        if not isinstance(listed, dict):
            return {}
        properties = {
            str(name): self.clean(value, trail, depth + 1)
            for name, value in listed.items()
            if value is not False
        }
        out: Schema = {"properties": properties} if properties else {}
        for keyword in ("required", "propertyOrdering"):
            known = [name for name in _names(node.get(keyword)) if name in properties]
            if known:
                out[keyword] = list(dict.fromkeys(known))
        return out

    def _items(self, node: Schema, trail: tuple[str, ...], depth: int) -> Schema:
        items = node.get("items")
        if isinstance(items, dict) and items:
            return self.clean(items, trail, depth + 1)
        places = items if isinstance(items, list) else node.get("prefixItems")
        if isinstance(places, list) and places:
            return self.clean({"anyOf": places}, trail, depth + 1)
        return {"type": "string"}


def _pointed(root: object, ref: str) -> Schema:
    """What a local reference points at; nothing for any other."""
    here = root
    if not ref.startswith("#"):
        return {}
    for step in ref[1:].split("/")[1:]:
        step = unquote(step).replace("~1", "/").replace("~0", "~")
        here = here.get(step) if isinstance(here, dict) else None
    return here if isinstance(here, dict) else {}


def _both(a: Schema, b: Schema) -> Schema:
    """Two schemas that hold at once, as one."""
    merged = {**b, **a}
    for keyword in ("properties", "$defs", "definitions"):
        one, other = a.get(keyword), b.get(keyword)
        if isinstance(one, dict) and isinstance(other, dict):
            merged[keyword] = {**one, **{k: v for k, v in other.items() if k not in one}}
    merged["required"] = _names(a.get("required")) + _names(b.get("required"))
    return merged


def _distinct(schemas: Iterable[Schema]) -> list[Schema]:
    found: list[Schema] = []
    for schema in schemas:
        if schema not in found:
            found.append(schema)
    return found


def _names(value: object) -> list[str]:
    return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []
