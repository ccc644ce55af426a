"""Whether JSON follows a JSON schema: the keywords that replies and tools of language models are described with.

https://json-schema.org/draft/2020-12/json-schema-validation
"""

import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

Schema = Mapping[str, Any]

_FENCED: Final = re.compile(r"```(?:json)?\s*(.*?)\s*```", re.DOTALL)
_TYPES: Final[dict[str, Callable[[Any], bool]]] = {
    "object": lambda value: isinstance(value, Mapping),
    "array": lambda value: isinstance(value, list | tuple),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: not isinstance(value, bool) and isinstance(value, int | float) and value == value // 1,
}
_BOUNDS: Final[dict[str, tuple[Callable[[Any, Any], bool], str]]] = {
    "minimum": (operator.ge, "at least"),
    "maximum": (operator.le, "at most"),
    "exclusiveMinimum": (operator.gt, "more than"),
    "exclusiveMaximum": (operator.lt, "less than"),
}
DEEPEST: Final = 64
_ANY: Final = {"$ref": "#"}
_NAMED: Final = {"type": "object", "additionalProperties": _ANY}
_EACH: Final = {"type": "array", "items": _ANY}
_NAMES: Final = {"type": "array", "items": {"type": "string"}}
_NUMBER: Final = {"type": "number"}
_NUMBER_OR_NOT: Final = {"type": ["number", "boolean"]}
_LENGTH: Final = {"type": "integer"}
_OF_SCHEMAS: Final[Schema] = {
    "type": ["object", "boolean"],
    "properties": {
        "$ref": {"type": "string"},
        "type": {"anyOf": [{"type": "string"}, _NAMES]},
        "enum": {"type": "array"},
        "required": _NAMES,
        "items": {"anyOf": [_ANY, _EACH]},
        "additionalProperties": _ANY,
        **dict.fromkeys(("$defs", "definitions", "properties", "patternProperties"), _NAMED),
        **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), _EACH),
        **dict.fromkeys(("minimum", "maximum"), _NUMBER),
        **dict.fromkeys(("exclusiveMinimum", "exclusiveMaximum"), _NUMBER_OR_NOT),
        **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), _LENGTH),
    },
}
"""the keywords that are looked at, themselves described by a schema"""


def json_within(text: str) -> str:
    """The JSON of a reply: without the fence around it, or the words before and after it."""
    text = text.strip()
    if fenced := _FENCED.search(text):
        return fenced[1]
    starts = [at for at in (text.find("{"), text.find("[")) if at >= 0]
    if not starts or min(starts) == 0:
        return text
    try:
        _, end = json.JSONDecoder().raw_decode(text[min(starts) :])
    except (ValueError, RecursionError):
        return text
    return text[min(starts) : min(starts) + end]


def first_problem(value: object, schema: Schema) -> str:
    """Where and how a value first departs from a schema, in words; empty when it follows it."""
    return next(_problems(value, schema, "$", _Scope(schema), 0), "")


def schema_problem(schema: Schema) -> str:
    """Where and how a schema is none, as far as its keywords are known here; empty when it is one."""
    return first_problem(schema, _OF_SCHEMAS)


@dataclass(frozen=True, slots=True)
class _Scope:
    root: Schema
    found: dict[tuple[str, str, int], str] = field(default_factory=dict)
    """the first problem of a value by reference, place and identity, for `a.b` may be two places; so that references
    that meet again take no more time"""

    def referred(self, value: Any, reference: str, at: str, depth: int) -> str:
        key = (reference, at, id(value))
        if key not in self.found:
            self.found[key] = ""  # while it is looked at: a schema that refers to itself asks for no more than it does
            self.found[key] = next(_problems(value, _resolved(reference, self.root), at, self, depth + 1), "")
        return self.found[key]


def _problems(value: Any, schema: Any, at: str, scope: _Scope, depth: int) -> Iterator[str]:
    if schema is True or depth > DEEPEST:
        return
    if schema is False or not isinstance(schema, Mapping):
        yield f"{at} must not be there"
        return
    if "$ref" in schema and (problem := scope.referred(value, str(schema["$ref"]), at, depth)):
        yield problem
    yield from _type_problems(value, schema, at)
    yield from _choice_problems(value, schema, at, scope, depth)
    yield from _bound_problems(value, schema, at)
    if isinstance(value, Mapping):
        yield from _object_problems(value, schema, at, scope, depth)
    if isinstance(value, list | tuple):
        yield from _array_problems(value, schema, at, scope, depth)


def _type_problems(value: Any, schema: Schema, at: str) -> Iterator[str]:
    wanted = schema.get("type", [])
    kinds = [wanted] if isinstance(wanted, str) else list(wanted)
    if kinds and not any(_TYPES[kind](value) for kind in kinds if kind in _TYPES):
        yield f"{at} must be of type {' or '.join(kinds)}"
    if "enum" in schema and not any(_equal(value, item) for item in schema["enum"]):
        yield f"{at} must be one of {json.dumps(schema['enum'])[:200]}"
    if "const" in schema and not _equal(value, schema["const"]):
        yield f"{at} must be {json.dumps(schema['const'])[:200]}"


def _choice_problems(value: Any, schema: Schema, at: str, scope: _Scope, depth: int) -> Iterator[str]:
    for part in schema.get("allOf", ()):
        yield from _problems(value, part, at, scope, depth + 1)
    for keyword, allowed in (("anyOf", range(1, 10_000)), ("oneOf", range(1, 2))):
        parts = schema.get(keyword)
        if not parts:
            continue
        fitting = sum(not any(_problems(value, part, at, scope, depth + 1)) for part in parts)
        if fitting not in allowed:
            yield f"{at} must follow {'one' if fitting == 0 else 'only one'} of the schemas of {keyword}"


def _bound_problems(value: Any, schema: Schema, at: str) -> Iterator[str]:
    if isinstance(value, int | float) and not isinstance(value, bool):
        for keyword, (fits, words) in _BOUNDS.items():
            bound = _bound(schema, keyword)
            if bound is not None and not fits(value, bound):
                yield f"{at} must be {words} {bound}"
    if isinstance(value, str | list | tuple):
        low, high = ("minLength", "maxLength") if isinstance(value, str) else ("minItems", "maxItems")
        if len(value) < schema.get(low, 0):
            yield f"{at} must be no shorter than {schema[low]}"
        if high in schema and len(value) > schema[high]:
            yield f"{at} must be no longer than {schema[high]}"


def _bound(schema: Schema, keyword: str) -> Any:
    bound = schema.get(keyword)
    if isinstance(bound, bool):  # as it was written before 2017, and is in OpenAPI 3.0: beside `minimum`, and about it
        return schema.get(keyword.removeprefix("exclusive").lower()) if bound else None
    return bound


def _object_problems(value: Mapping[str, Any], schema: Schema, at: str, scope: _Scope, depth: int) -> Iterator[str]:
    known = schema.get("properties", {})
    # Names by a pattern are let pass: an expression of somebody else may take for ever.
    others = True if "patternProperties" in schema else schema.get("additionalProperties", True)
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{at}.{name} is missing"
    for name, item in value.items():
        yield from _problems(item, known.get(name, others), f"{at}.{name}", scope, depth + 1)


def _array_problems(value: Sequence[Any], schema: Schema, at: str, scope: _Scope, depth: int) -> Iterator[str]:
    items = schema.get("items", True)
    each = isinstance(items, list | tuple)  # as it was written before 2020
    first, rest = (items, True) if each else (schema.get("prefixItems", ()), items)
    for index, item in enumerate(value):
        inner = first[index] if index < len(first) else rest
        yield from _problems(item, inner, f"{at}[{index}]", scope, depth + 1)


def _resolved(reference: str, root: Schema) -> Any:
    """A `#/…` reference; what cannot be resolved allows everything."""
    found: Any = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        if step:
            found = found.get(step.replace("~1", "/").replace("~0", "~"), True) if isinstance(found, Mapping) else True
    return found if reference.startswith("#") else True


def _equal(one: Any, other: Any) -> bool:
    """As JSON has it: true is not 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)
