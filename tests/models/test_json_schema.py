"""Whether JSON follows a JSON schema."""

import json
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelforge.models.json_schema import first_problem, json_within, schema_problem

TREE: dict[str, Any] = {
    "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}, "n": {"type": "integer"}}}},
    "$ref": "#/$defs/node",
}


@pytest.mark.parametrize(
    ("value", "schema", "problem"),
    [
        (1, {"type": "integer"}, ""),
        (1.0, {"type": "integer"}, ""),
        (1.5, {"type": "integer"}, "$ must be of type integer"),
        (True, {"type": "integer"}, "$ must be of type integer"),
        (None, {"type": ["string", "null"]}, ""),
        ("c", {"enum": ["a", "b"]}, '$ must be one of ["a", "b"]'),
        (1, {"enum": [True]}, "$ must be one of [true]"),
        ("b", {"const": "a"}, '$ must be "a"'),
        ({}, {"required": ["a"]}, "$.a is missing"),
        ({"b": 1}, {"properties": {"a": {}}, "additionalProperties": False}, "$.b must not be there"),
        ({"b": 1}, {"additionalProperties": {"type": "string"}}, "$.b must be of type string"),
        ([1, "a"], {"items": {"type": "integer"}}, "$[1] must be of type integer"),
        ([], {"minItems": 1}, "$ must be no shorter than 1"),
        ("abc", {"maxLength": 2}, "$ must be no longer than 2"),
        (5, {"maximum": 4}, "$ must be at most 4"),
        (4, {"exclusiveMinimum": 4}, "$ must be more than 4"),
        (4, {"anyOf": [{"type": "string"}, {"type": "null"}]}, "$ must follow one of the schemas of anyOf"),
        (4, {"oneOf": [{"type": "integer"}, {"type": "number"}]}, "$ must follow only one of the schemas of oneOf"),
        (4, {"allOf": [{"minimum": 1}, {"maximum": 3}]}, "$ must be at most 3"),
        ({"next": {"n": 1}}, TREE, ""),
        ({"next": {"next": {"n": "1"}}}, TREE, "$.next.next.n must be of type integer"),
        ([1, "a"], {"items": [{"type": "integer"}, {"type": "string"}]}, ""),
        ([1, 2], {"prefixItems": [{"type": "integer"}], "items": {"type": "string"}}, "$[1] must be of type string"),
        ({"x1": 1}, {"patternProperties": {"^x": {}}, "additionalProperties": False}, ""),
        ("anything", True, ""),
        ("anything", {}, ""),
    ],
)
def test_tells_where_a_value_departs_from_its_schema(value: object, schema: Any, problem: str) -> None:
    assert first_problem(value, schema) == problem


def test_a_schema_that_refers_to_itself_ends() -> None:
    assert first_problem(1, {"$ref": "#"}) == ""


def test_schemas_that_refer_to_each_other_many_times_take_little_time() -> None:
    names = [f"n{number}" for number in range(12)]
    everyone = {"allOf": [{"$ref": f"#/$defs/{name}"} for name in names]}
    schema = {"$defs": dict.fromkeys(names, everyone), "properties": {"a": everyone}, **everyone}
    assert first_problem({"a": 1}, schema) == ""
    assert first_problem({}, {"allOf": [{"$ref": "#"}, {"$ref": "#"}], "required": ["a"]}) == "$.a is missing"


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"properties": {"a": {"minimum": "3"}}}, "$.properties.a.minimum must be of type number"),
        ({"properties": []}, "$.properties must be of type object"),
        ({"required": 5}, "$.required must be of type array"),
        ({"type": 5}, "$.type must follow one of the schemas of anyOf"),
        ({"enum": 5}, "$.enum must be of type array"),
        ({"anyOf": [{"allOf": 5}]}, "$.anyOf[0].allOf must be of type array"),
        ({"$defs": {"n": {"maxLength": None}}}, "$.$defs.n.maxLength must be of type integer"),
        (TREE, ""),
        (MappingProxyType({"type": "object", "required": ("a",), "properties": {"a": {"enum": ("x", "y")}}}), ""),
        ({"type": "number", "minimum": 0, "exclusiveMinimum": True, "exclusiveMaximum": 9}, ""),
        ({"minimum": True}, "$.minimum must be of type number"),
        ({"type": ["string", "null"], "title": 5, "additionalProperties": False}, ""),
    ],
)
def test_what_is_no_schema_is_told(schema: Any, problem: str) -> None:
    assert schema_problem(schema) == problem


def test_a_bound_may_be_left_out_as_openapi_writes_it() -> None:
    schema = {"minimum": 1, "exclusiveMinimum": True, "maximum": 9, "exclusiveMaximum": False}
    assert [first_problem(value, schema) for value in (1, 1.5, 9)] == ["$ must be more than 1", "", ""]


def test_names_with_dots_are_places_of_their_own() -> None:
    number = {"$ref": "#/$defs/number"}
    named = {"properties": {"a.b": number, "a": {"properties": {"b": number}}}}
    schema = {"$defs": {"number": {"type": "integer"}}, **named}
    assert first_problem({"a.b": 1, "a": {"b": "x"}}, schema) == "$.a.b must be of type integer"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


KEYWORDS = ["type", "properties", "required", "enum", "items", "anyOf", "minimum"]


@given(st.dictionaries(st.sampled_from(KEYWORDS), JSON), JSON)
def test_a_schema_that_is_one_can_be_looked_at(schema: dict[str, Any], value: Any) -> None:
    if not schema_problem(schema):
        assert isinstance(first_problem(value, schema), str)


@given(JSON)
def test_a_value_follows_the_schema_that_is_made_of_it(value: Any) -> None:
    assert first_problem(value, schema_of(value)) == ""
    assert first_problem([value], schema_of(value)) or isinstance(value, list)


def schema_of(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        inner = {name: schema_of(item) for name, item in value.items()}
        return {"type": "object", "properties": inner, "required": list(inner), "additionalProperties": False}
    if isinstance(value, list):
        return {"type": "array", "minItems": len(value), "maxItems": len(value)}
    return {"const": value}


@given(JSON.filter(lambda value: isinstance(value, dict | list)))
def test_json_is_found_within_words_and_fences(value: Any) -> None:
    written = json.dumps(value)
    for text in (written, f"```json\n{written}\n```", f"Here it is: {written} I hope it helps."):
        assert json.loads(json_within(text)) == value or "```" in written


def test_words_without_json_stay_as_they_are() -> None:
    assert json_within(" no JSON { here ") == "no JSON { here"
