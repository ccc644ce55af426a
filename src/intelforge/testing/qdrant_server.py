"""Answers as a Qdrant server does over HTTP, by the local mode of Qdrant's own client, in memory."""

import json
import re
from collections.abc import Callable
from typing import Any

from qdrant_client import models
from qdrant_client.local.qdrant_local import QdrantLocal

from intelforge.testing.model_server import ServerReply, ServerRequest, json_reply


class QdrantDouble:
    """Give it to `ModelServer`. With a key, requests without it are refused."""

    def __init__(self, *, key: str = "") -> None:
        self._key = key
        self._local = QdrantLocal(":memory:")

    def __call__(self, request: ServerRequest) -> ServerReply:
        if self._key and request.headers.get("api-key") != self._key:
            return json_reply({"status": {"error": "forbidden"}}, status=403)
        path = request.path.partition("?")[0]
        for method, pattern, answer in ROUTES:
            if request.method == method and (found := re.fullmatch(f"/collections/([^/]+){pattern}", path)):
                try:
                    result = answer(self._local, found[1], json.loads(request.body or b"{}"))
                except (KeyError, ValueError) as error:
                    there = self._local.collection_exists(found[1])
                    return json_reply({"status": {"error": str(error)}}, status=400 if there else 404)
                return json_reply({"result": result, "status": "ok", "time": 0.0})
        return json_reply({"status": {"error": f"no such path: {path}"}}, status=404)


def _create(local: QdrantLocal, name: str, body: Any) -> Any:
    asked = models.CreateCollection(**body)
    return local.create_collection(name, vectors_config=asked.vectors, sparse_vectors_config=asked.sparse_vectors)


def _upsert(local: QdrantLocal, name: str, body: Any) -> Any:
    local.upsert(name, models.PointsList(**body).points)
    return COMPLETED


def _describe(local: QdrantLocal, name: str, body: Any) -> Any:
    asked = models.SetPayload(**body)
    local.set_payload(name, asked.payload, asked.filter or [])
    return COMPLETED


def _delete(local: QdrantLocal, name: str, body: Any) -> Any:
    local.delete(name, models.FilterSelector(**body).filter)
    return COMPLETED


def _retrieve(local: QdrantLocal, name: str, body: Any) -> Any:
    asked = models.PointRequest(**body)
    found = local.retrieve(
        name, asked.ids, with_payload=asked.with_payload or False, with_vectors=asked.with_vector or False
    )
    return [each.model_dump(mode="json") for each in found]


def _query(local: QdrantLocal, name: str, body: Any) -> Any:
    asked = models.QueryRequest(**body)
    query: Any = asked.query
    answer = local.query_points(
        name,
        query=query if isinstance(query, models.NearestQuery) else models.NearestQuery(nearest=query),
        using=asked.using,
        query_filter=asked.filter,
        limit=asked.limit or 10,
        with_payload=asked.with_payload or False,
    )
    return answer.model_dump(mode="json")


def _count(local: QdrantLocal, name: str, body: Any) -> Any:
    return local.count(name, models.CountRequest(**body).filter).model_dump(mode="json")


def _facet(local: QdrantLocal, name: str, body: Any) -> Any:
    asked = models.FacetRequest(**body)
    return local.facet(name, asked.key, limit=asked.limit or 10).model_dump(mode="json")


COMPLETED = {"operation_id": 0, "status": "completed"}
Answer = Callable[[QdrantLocal, str, Any], Any]
ROUTES: tuple[tuple[str, str, Answer], ...] = (
    ("GET", "/exists", lambda local, name, body: {"exists": local.collection_exists(name)}),
    ("GET", "", lambda local, name, body: local.get_collection(name).model_dump(mode="json")),
    ("PUT", "", _create),
    ("DELETE", "", lambda local, name, body: local.delete_collection(name)),
    ("PUT", "/index", lambda local, name, body: COMPLETED),
    ("PUT", "/points", _upsert),
    ("POST", "/points", _retrieve),
    ("POST", "/points/payload", _describe),
    ("POST", "/points/delete", _delete),
    ("POST", "/points/query", _query),
    ("POST", "/points/count", _count),
    ("POST", "/facet", _facet),
)
