"""Chunks and vectors as rows of the two tables."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from intelforge.core.values import Attributes, Chunk
from intelforge.index.analysis import terms_text
from intelforge.index.protocol import About, Vectors
from intelforge.index.store_rules import document_of
from intelforge.index.words import label_key

if TYPE_CHECKING:
    import pyarrow as pa


def chunk_rows(chunks: Sequence[Chunk], about: About) -> "pa.Table":
    import pyarrow as pa

    last = {chunk.id: chunk for chunk in chunks}
    document_ids = [chunk.document_id for chunk in last.values()]
    columns = {
        "id": pa.array(list(last), pa.string()),
        "document_id": pa.array(document_ids, pa.string()),
        "terms": pa.array([terms_text(chunk.embedding_text) for chunk in last.values()], pa.string()),
    }
    return pa.table(columns | _attribute_columns(document_ids, about))


def _attribute_columns(document_ids: Sequence[str], about: About) -> dict[str, "pa.Array"]:
    import pyarrow as pa

    found = [about.get(document_id, Attributes()) for document_id in document_ids]
    labels = {attributes: sorted(map(label_key, attributes.labels)) for attributes in set(found)}
    return {
        "labels": pa.array([labels[attributes] for attributes in found], pa.list_(pa.string())),
        "modified": pa.array([attributes.modified for attributes in found], pa.float64()),
        "quality": pa.array([attributes.quality for attributes in found], pa.float64()),
    }


def vector_rows(chunk_ids: Sequence[str], vectors: Vectors, about: About) -> "pa.Table":
    """Vectors are kept in float16: half the disk and the reading, with the same ranking."""
    import pyarrow as pa

    last = {chunk_id: row for row, chunk_id in enumerate(chunk_ids)}
    kept = np.ascontiguousarray(vectors[list(last.values())], np.float16)
    document_ids = [document_of(chunk_id) for chunk_id in last]
    columns = {
        "id": pa.array(list(last), pa.string()),
        "document_id": pa.array(document_ids, pa.string()),
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(kept.ravel()), kept.shape[1]),
    }
    return pa.table(columns | _attribute_columns(document_ids, about))
