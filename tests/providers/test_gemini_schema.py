from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freellmapi.providers.gemini_schema import ALLOWED, MAX_NODES, clean, parameters
from freellmapi.providers.gemini_schema_node import TYPES

STRING = {"type": "string"}

CASES: list[tuple[str, Any, dict[str, Any]]] = [
    ("keywords are dropped", {"type": "string", "$schema": "x", "x-y": 1, "minLength": 2},
     {"type": "string", "minLength": 2}),
    ("type lists", {"type": ["string", "null"]}, {"type": "string", "nullable": True}),
    ("types in capitals", {"type": "STRING"}, STRING),
    ("two types", {"type": ["string", "integer"], "description": "d"},
     {"description": "d", "anyOf": [STRING, {"type": "integer"}]}),
    ("const", {"const": "a"}, {"type": "string", "enum": ["a"]}),
    ("enum of texts, null among them", {"enum": ["a", "", None, "a"]},
     {"type": "string", "enum": ["a"], "nullable": True}),
    ("enum of numbers is told in words", {"type": "integer", "enum": [1, 2], "description": "D."},
     {"type": "integer", "description": "D. One of: 1, 2."}),
    ("untyped enum of numbers", {"enum": [1, 2]},
     {"type": "integer", "description": "One of: 1, 2."}),
    ("formats are limited", {"type": "string", "format": "uri"}, STRING),
    ("known formats stay", {"type": "string", "format": "date-time"},
     {"type": "string", "format": "date-time"}),
    ("formats belong to types", {"type": "string", "format": "int32"}, STRING),
    ("array without items", {"type": "array"}, {"type": "array", "items": STRING}),
    ("array of anything", {"type": "array", "items": {}}, {"type": "array", "items": STRING}),
    ("tuple", {"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}]},
     {"type": "array", "items": {"anyOf": [STRING, {"type": "number"}]}}),
    ("anything", {}, STRING),
    ("anything at all", True, STRING),
    ("properties make an object", {"properties": {"a": {"type": "string"}}},
     {"type": "object", "properties": {"a": STRING}}),
    ("free-form object", {"type": "object", "additionalProperties": {"type": "string"}},
     {"type": "object"}),
    ("empty properties are left out", {"type": "object", "properties": {}}, {"type": "object"}),
    ("required names exist", {"type": "object", "properties": {"a": {}}, "required": ["a", "b"]},
     {"type": "object", "properties": {"a": STRING}, "required": ["a"]}),
    ("no required left", {"type": "object", "properties": {"a": {}}, "required": ["b"]},
     {"type": "object", "properties": {"a": STRING}}),
    ("optional by anyOf", {"anyOf": [{"type": "string"}, {"type": "null"}], "title": "T"},
     {"type": "string", "title": "T", "nullable": True}),
    ("oneOf", {"oneOf": [{"type": "string"}, {"type": "boolean"}, {"type": "null"}]},
     {"anyOf": [STRING, {"type": "boolean"}], "nullable": True}),
    ("the same twice", {"anyOf": [{"type": "string"}, {"const": None}, {"type": "string"}]},
     {"type": "string", "nullable": True}),
    ("allOf", {"allOf": [{"properties": {"a": {}}, "required": ["a"]},
                         {"properties": {"b": {"type": "number"}}, "required": ["b"]}]},
     {"type": "object", "properties": {"a": STRING, "b": {"type": "number"}},
      "required": ["a", "b"]}),
    ("alternatives of required", {"type": "object", "properties": {"a": {}, "b": {}},
                                  "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
     {"type": "object", "properties": {"a": STRING, "b": STRING}}),
    ("type beside alternatives", {"type": "object", "oneOf": [{"properties": {"a": {}}},
                                                              {"properties": {"b": {}}}]},
     {"anyOf": [{"type": "object", "properties": {"a": STRING}},
                {"type": "object", "properties": {"b": STRING}}]}),
    ("references", {"type": "object", "properties": {"p": {"$ref": "#/$defs/a~1b", "title": "T"}},
                    "$defs": {"a/b": {"type": "number", "title": "U"}}},
     {"type": "object", "properties": {"p": {"type": "number", "title": "T"}}}),
    ("references to references", {"$ref": "#/definitions/A",
                                  "definitions": {"A": {"$ref": "#/definitions/B"},
                                                  "B": {"type": "boolean"}}},
     {"type": "boolean"}),
    ("references elsewhere", {"type": "object", "properties": {"p": {"$ref": "http://x/y"}}},
     {"type": "object", "properties": {"p": STRING}}),
    ("a circle is cut", {"$ref": "#/$defs/N", "$defs": {"N": {
        "properties": {"next": {"$ref": "#/$defs/N"}, "v": {"type": "integer"}}}}},
     {"type": "object", "properties": {"next": {"type": "object"}, "v": {"type": "integer"}}}),
    ("a circle of itself", {"$ref": "#"}, STRING),
    ("a circle of alternatives", {"$ref": "#/$defs/J", "$defs": {"J": {"anyOf": [
        {"type": "string"}, {"type": "array", "items": {"$ref": "#/$defs/J"}}]}}},
     {"anyOf": [STRING, {"type": "array", "items": STRING}]}),
    ("properties named like keywords",
     {"type": "object", "properties": {"$ref": {"type": "string"}, "const": {"type": "integer"},
                                       "type": {"enum": ["x"]}, "allOf": {"type": "boolean"}}},
     {"type": "object", "properties": {"$ref": STRING, "const": {"type": "integer"},
                                       "type": {"type": "string", "enum": ["x"]},
                                       "allOf": {"type": "boolean"}}}),
    ("values of the wrong form", {"type": "string", "minLength": "3", "title": 5, "maxLength": -1,
                                  "pattern": None, "default": None},
     STRING),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_schemas_come_down_to_the_subset(schema: Any, expected: dict[str, Any]) -> None:
    assert clean(schema) == expected


@pytest.mark.parametrize(
    "schema",
    [None, {}, {"type": "object"}, {"type": "object", "properties": {}}, True, "odd"],
    ids=repr,
)
def test_a_function_without_arguments_has_no_parameters(schema: Any) -> None:
    assert parameters(schema) is None


def test_arguments_that_are_alternatives_become_one_object() -> None:
    made = parameters({"oneOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]})
    assert made == {"type": "object", "properties": {"a": STRING, "b": STRING}}


def test_the_original_is_left_alone() -> None:
    schema = {"allOf": [{"properties": {"a": {"const": 1}}}], "required": ["a"]}
    before = repr(schema)
    clean(schema)
    assert repr(schema) == before


def test_references_that_multiply_are_cut_in_time() -> None:
    levels: dict[str, Any] = {"d0": {"type": "string"}}
    for n in range(1, 40):
        ref = {"$ref": f"#/$defs/d{n - 1}"}
        levels[f"d{n}"] = {"type": "object", "properties": {"a": ref, "b": ref}}
    made = clean({"$ref": "#/$defs/d39", "$defs": levels})
    assert count(made) < 4 * MAX_NODES
    check(made)


def test_a_schema_deeper_than_python_likes_is_cut() -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(900):
        deep = {"type": "array", "items": deep}
    check(clean(deep))


def test_allof_that_names_itself_ends() -> None:
    schema = {
        "$ref": "#/$defs/A",
        "$defs": {"A": {"allOf": [{"$ref": "#/$defs/A"}, {"type": "number"}]}},
    }
    assert clean(schema) == {"type": "number"}


NAMES = st.sampled_from(["a", "b", "type", "properties", "$ref", "required", "enum", "const"])
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.sampled_from(["", "x", "y"]))


def nodes(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keyed = st.dictionaries(NAMES, inner, max_size=3)
    listed = st.lists(inner, max_size=3)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": st.one_of(
                st.sampled_from([*sorted(TYPES), "null", "any", "OBJECT"]),
                st.lists(st.sampled_from([*sorted(TYPES), "null"]), max_size=3),
            ),
            "properties": keyed,
            "items": st.one_of(inner, listed, st.booleans()),
            "anyOf": listed,
            "oneOf": listed,
            "allOf": listed,
            "$ref": st.sampled_from(["#", "#/properties/a", "#/$defs/a", "#/x", "other"]),
            "$defs": keyed,
            "enum": st.lists(SCALARS, max_size=3),
            "const": SCALARS,
            "required": st.one_of(st.lists(NAMES, max_size=3), SCALARS),
            "format": st.sampled_from(["uri", "int32", "date-time"]),
            "minimum": SCALARS,
            "minItems": SCALARS,
            "nullable": SCALARS,
            "description": st.text(max_size=3),
            "additionalProperties": st.one_of(st.booleans(), inner),
            "not": inner,
        },
    )


@settings(max_examples=300, deadline=None)
@given(st.recursive(st.one_of(SCALARS, st.just({})), nodes, max_leaves=12))
def test_nothing_but_the_subset_comes_out_of_any_schema(schema: Any) -> None:
    check(clean(schema))


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=8), st.just({"type": "number"}), min_size=1))
def test_every_property_keeps_its_name(properties: dict[str, Any]) -> None:
    made = parameters({"type": "object", "properties": properties, "required": list(properties)})
    assert made is not None
    assert made["properties"] == properties
    assert made["required"] == list(properties)


def check(schema: dict[str, Any]) -> None:
    """What Gemini's own validation would refuse, at any depth."""
    assert schema.keys() <= ALLOWED
    assert ("type" in schema) != ("anyOf" in schema)
    assert schema.get("type", "string") in TYPES
    assert ("items" in schema) == (schema.get("type") == "array")
    assert "properties" not in schema or (schema["properties"] and schema["type"] == "object")
    assert set(schema.get("required", ())) <= set(schema.get("properties", ()))
    assert "required" not in schema or schema["required"]
    if "enum" in schema:
        assert schema["type"] == "string" and schema["enum"]
        assert all(isinstance(v, str) and v for v in schema["enum"])
    for inner in children(schema):
        check(inner)


def children(schema: dict[str, Any]) -> list[dict[str, Any]]:
    items = [schema["items"]] if "items" in schema else []
    return [*schema.get("properties", {}).values(), *items, *schema.get("anyOf", ())]


def count(schema: dict[str, Any]) -> int:
    return 1 + sum(count(inner) for inner in children(schema))


@pytest.mark.parametrize("stated", [{}, [], 1, None])
def test_a_format_that_is_no_text_is_left_out(stated: object) -> None:
    assert clean({"type": "string", "format": stated}) == {"type": "string"}
