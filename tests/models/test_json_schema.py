"""Whether JSON follows a JSON schema."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelforge.models.json_schema import first_problem, json_within

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
        ("anything", True, ""),
        ("anything", {}, ""),
    ],
)
def test_tells_where_a_value_departs_from_its_schema(value: object, schema: Any, problem: str) -> None:
    assert first_problem(value, schema) == problem


def test_a_schema_that_refers_to_itself_ends() -> None:
    assert first_problem(1, {"$ref": "#"}) == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


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
