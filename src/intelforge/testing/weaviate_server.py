"""Answers as a Weaviate server does over HTTP, as far as its documentation says, from memory.

Schema, batches, listing, GraphQL `Get` with `where`, `bm25` and `nearVector`, and `Aggregate` with a count. What a real
server would refuse is refused: unknown collections and properties, vectors of other dimensions, too large a limit.
"""

import json
import math
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import numpy as np

from intelforge.testing.model_server import ServerReply, ServerRequest, json_reply

MOST: Final = 10_000
"""QUERY_MAXIMUM_RESULTS"""


class RefusedError(Exception):
    """What the server does not take."""


class WeaviateDouble:
    """Give it to `ModelServer`. With a key, requests without it are refused; with `full`, nothing is written."""

    def __init__(self, *, key: str = "", full: bool = False) -> None:
        self._key = key
        self._full = full
        self._layouts: dict[str, dict[str, Any]] = {}
        self._objects: dict[str, dict[str, dict[str, Any]]] = {}
        self._lock = threading.Lock()

    def __call__(self, request: ServerRequest) -> ServerReply:
        if self._key and request.headers.get("authorization") != f"Bearer {self._key}":
            return json_reply({"code": 401, "message": "invalid api key"}, status=401)
        url = urlsplit(request.path)
        body = json.loads(request.body or b"null")
        for method, pattern, answer in ROUTES:
            if request.method == method and (found := re.fullmatch(pattern, url.path)):
                try:
                    with self._lock:
                        return answer(self, found[1] if found.groups() else "", body or parse_qs(url.query, True))
                except RefusedError as error:
                    return json_reply({"error": [{"message": str(error)}]}, status=422)
        return json_reply({"code": 404, "message": f"path {url.path} was not found"}, status=404)

    def layout(self, name: str, body: Any) -> ServerReply:
        if name not in self._layouts:
            return ServerReply(status=404)
        return json_reply(self._layouts[name])

    def make(self, _: str, body: Any) -> ServerReply:
        name = body["class"]
        if not re.fullmatch("[A-Z][_0-9A-Za-z]*", name) or name in self._layouts:
            raise RefusedError(f"class name {name} already exists, or is not valid")
        self._layouts[name], self._objects[name] = body, {}
        return json_reply(body)

    def drop(self, name: str, body: Any) -> ServerReply:
        self._layouts.pop(name, None)
        self._objects.pop(name, None)
        return ServerReply()

    def put(self, _: str, body: Any) -> ServerReply:
        return json_reply([{**each, "result": self._put_one(each)} for each in body["objects"]])

    def _put_one(self, given: dict[str, Any]) -> dict[str, Any]:
        try:
            if self._full:
                raise RefusedError("put object: store is read-only due to: resource pressure")
            held = self._collection(given["class"])
            for called in given["properties"]:
                self._property(given["class"], called)
            for other in list(held.values())[:1]:
                _check_dimensions(given.get("vector", []), other.get("vector", []))
        except RefusedError as error:
            return {"status": "FAILED", "errors": {"error": [{"message": str(error)}]}}
        held[given["id"]] = given
        return {"status": "SUCCESS"}

    def delete(self, _: str, body: Any) -> ServerReply:
        name, where = body["match"]["class"], body["match"]["where"]
        held = self._collection(name)
        matches = [key for key, each in held.items() if self._admits(name, each, where)]
        for key in matches[:MOST]:
            del held[key]
        results = {"matches": len(matches), "limit": MOST, "successful": len(matches[:MOST]), "failed": 0}
        return json_reply({"match": body["match"], "output": "minimal", "dryRun": False, "results": results})

    def listing(self, _: str, query: Any) -> ServerReply:
        held, after, limit = self._collection(query["class"][0]), query["after"][0], int(query["limit"][0])
        page = [held[key] for key in sorted(held) if key > after][:limit]
        return json_reply({"objects": [{**each, "vector": None} for each in page], "totalResults": len(page)})

    def graphql(self, _: str, body: Any) -> ServerReply:
        if not self._layouts:
            raise RefusedError("no graphql provider present, this is most likely because no schema is present")
        try:
            [(kind, _given, [(name, arguments, fields)])] = Query(body["query"]).fields()
            if name not in self._layouts:
                raise RefusedError(f'Cannot query field "{name}" on type "{kind}ObjectsObj".')
            found = self._get(name, arguments, fields) if kind == "Get" else self._count(name)
        except RefusedError as error:
            return json_reply({"data": {"Get": None}, "errors": [{"message": str(error), "path": None}]})
        return json_reply({"data": {kind: {name: found}}})

    def _count(self, name: str) -> Any:
        return [{"meta": {"count": len(self._objects[name])}}]

    def _get(self, name: str, arguments: Mapping[str, Any], fields: Any) -> Any:
        if set(arguments) - {"where", "bm25", "nearVector", "limit"} or arguments["limit"] > MOST:
            raise RefusedError("query maximum results exceeded, or an unknown argument")
        where = arguments.get("where")
        rows = [each for each in self._objects[name].values() if where is None or self._admits(name, each, where)]
        scored = [(0.0, each, {"id": each["id"], "vector": each.get("vector")}) for each in rows]
        if "bm25" in arguments:
            scored = self._bm25(name, rows, arguments["bm25"])
        elif "nearVector" in arguments:
            scored = _nearest(rows, arguments["nearVector"]["vector"])
        best = sorted(scored, key=lambda entry: -entry[0])[: arguments["limit"]]
        return [_shown(each["properties"], more, fields) for _, each, more in best]

    def _bm25(self, name: str, rows: list[Any], asked: Mapping[str, Any]) -> list[Any]:
        [field], k1, b = (
            asked["properties"],
            *(self._layouts[name]["invertedIndexConfig"]["bm25"][k] for k in ("k1", "b")),
        )
        everything = [self._tokens(name, field, each) for each in self._objects[name].values()]
        average = sum(map(len, everything)) / max(1, len(everything))
        scored = []
        for each in rows:
            held, score = self._tokens(name, field, each), 0.0
            for word in set(asked["query"].split()) & set(held):
                holding = sum(word in tokens for tokens in everything)
                times, rarity = held.count(word), math.log(1 + (len(everything) - holding + 0.5) / (holding + 0.5))
                score += rarity * times * (k1 + 1) / (times + k1 * (1 - b + b * len(held) / average))
            if score:
                scored.append((score, each, {"id": each["id"], "score": str(score)}))
        return scored

    def _collection(self, name: str) -> dict[str, dict[str, Any]]:
        if name not in self._objects:
            raise RefusedError(f"class {name} not found in schema")
        return self._objects[name]

    def _property(self, name: str, called: str) -> dict[str, Any]:
        for each in self._layouts[name]["properties"]:
            if each["name"] == called:
                return dict(each)
        raise RefusedError(f"no such prop with name '{called}' found in class '{name}'")

    def _tokens(self, name: str, field: str, each: Mapping[str, Any]) -> list[str]:
        value = each["properties"].get(field)
        if self._property(name, field).get("tokenization") == "whitespace":
            return str(value or "").split()
        return list(value) if isinstance(value, list) else [value]

    def _admits(self, name: str, each: Mapping[str, Any], where: Mapping[str, Any]) -> bool:
        operator = where["operator"]
        if operator == "And":
            return all(self._admits(name, each, operand) for operand in where["operands"])
        [field], [value] = where["path"], [where[key] for key in where if key.startswith("value")]
        if field != "id" and not self._property(name, field).get("indexFilterable"):
            raise RefusedError(f"Filtering by property '{field}' requires inverted index")
        held = [each["id"]] if field == "id" else self._tokens(name, field, each)
        return bool(OPERATORS[operator](held, value))


OPERATORS: Final[dict[str, Callable[[list[Any], Any], bool]]] = {
    "ContainsAny": lambda held, value: bool(set(held) & set(value)),
    "ContainsAll": lambda held, value: set(value) <= set(held),
    "NotEqual": lambda held, value: value not in held,
    "GreaterThanEqual": lambda held, value: held[0] >= value,
    "LessThan": lambda held, value: held[0] < value,
}

Answer = Callable[[WeaviateDouble, str, Any], ServerReply]
ROUTES: Final[tuple[tuple[str, str, Answer], ...]] = (
    ("GET", "/v1/meta", lambda double, name, body: json_reply({"version": "1.39.7", "modules": {}})),
    ("GET", "/v1/schema/([^/]+)", WeaviateDouble.layout),
    ("POST", "/v1/schema", WeaviateDouble.make),
    ("DELETE", "/v1/schema/([^/]+)", WeaviateDouble.drop),
    ("POST", "/v1/batch/objects", WeaviateDouble.put),
    ("DELETE", "/v1/batch/objects", WeaviateDouble.delete),
    ("GET", "/v1/objects", WeaviateDouble.listing),
    ("POST", "/v1/graphql", WeaviateDouble.graphql),
)


class Query:
    """What is needed of GraphQL's syntax: nested fields with arguments."""

    def __init__(self, text: str) -> None:
        self._tokens: list[str] = re.findall(r'"(?:[^"\\\x00-\x1f]|\\.)*"|[{}()\[\]:]|[^\s,{}()\[\]:"]+|"', text)
        self._at = 0

    def fields(self) -> list[tuple[str, dict[str, Any], Any]]:
        """Name, arguments and fields of each field between braces."""
        self._take("{")
        found: list[tuple[str, dict[str, Any], Any]] = []
        while not self._is("}"):
            name = self._next()
            arguments = self._pairs("(", ")") if self._is("(") else {}
            found.append((name, arguments, self.fields() if self._is("{") else []))
        self._take("}")
        return found

    def _pairs(self, opening: str, closing: str) -> dict[str, Any]:
        self._take(opening)
        found: dict[str, Any] = {}
        while not self._is(closing):
            name = self._next()
            self._take(":")
            found[name] = self._value()
        self._take(closing)
        return found

    def _value(self) -> Any:
        if self._is("{"):
            return self._pairs("{", "}")
        if not self._is("["):
            token = self._next()
            return token if re.fullmatch("[A-Z][A-Za-z]+", token) else json.loads(token)
        self._take("[")
        found = []
        while not self._is("]"):
            found.append(self._value())
        self._take("]")
        return found

    def _is(self, token: str) -> bool:
        return self._at < len(self._tokens) and self._tokens[self._at] == token

    def _take(self, token: str) -> None:
        if not self._is(token):
            raise RefusedError(f'Syntax Error GraphQL: Expected "{token}"')
        self._at += 1

    def _next(self) -> str:
        if self._at >= len(self._tokens):
            raise RefusedError("Syntax Error GraphQL: Unexpected EOF")
        self._at += 1
        return self._tokens[self._at - 1]


def _nearest(rows: list[Any], query: list[float]) -> list[Any]:
    scored = []
    for each in rows:
        _check_dimensions(query, each["vector"])
        cosine = float(np.dot(query, each["vector"]) / (np.linalg.norm(query) * np.linalg.norm(each["vector"])))
        scored.append((cosine, each, {"id": each["id"], "distance": 1 - cosine}))
    return scored


def _check_dimensions(given: list[float], held: list[float]) -> None:
    if len(given) != len(held):
        raise RefusedError(f"vector lengths don't match: {len(held)} vs {len(given)}")


def _shown(properties: Mapping[str, Any], more: Mapping[str, Any], fields: Any) -> dict[str, Any]:
    return {
        name: {called: more.get(called) for called, _, _ in inner} if name == "_additional" else properties[name]
        for name, _, inner in fields
    }
