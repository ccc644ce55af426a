"""The index as a file in an open format: Parquet, one row a chunk, with its text and its vector.

A file says whose vectors it holds. What it brings is held against the database, chunk by chunk: a vector is taken only
where the text it was made from is here, character for character.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from intelforge.core.errors import ErrorCode, InvalidInputError, NotFoundError, StorageError
from intelforge.core.index_reports import Transfer
from intelforge.core.reports import Progress, Stage
from intelforge.core.values import Chunk
from intelforge.index.protocol import Vectors, VectorStore
from intelforge.ingest.index import LEASE
from intelforge.jobs.leases import LeaseHolder
from intelforge.store.documents import Documents
from intelforge.store.standings import Standings

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

FORMAT: Final = "1"
PREFIX: Final = b"intelforge."
DOCUMENTS: Final = 64
"""read at once"""
UNIT: Final = 1e-2
"""by which the length of a vector may differ from one"""
ROWS: Final = 1024
"""read of a file at once"""
KEYS: Final = ("chunk_id", "document_id", "ordinal")
NEEDED: Final = (*KEYS, "text", "heading", "vector")

Report = Callable[[Progress], None]
Stopped = Callable[[], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A version of the index as it is carried to a file and back."""

    documents: Documents
    standings: Standings
    store: VectorStore
    model: str
    """whose vectors it has, or is to have; empty for none"""


async def export_index(path: Path, held: Held, *, report: Report, stopped: Stopped) -> Transfer:
    """Writes every current chunk with its vector, if it has one. The file is there only when it is complete."""
    from pyarrow.parquet import ParquetWriter

    total, written = (await held.standings.counts()).indexed, Transfer(path=str(path), model=held.model)
    schema, temporary = _schema(held.model), path.with_name(f".{path.name}.part")
    try:
        with ParquetWriter(temporary, schema, compression="zstd") as writer:
            async for rows in _rows(held):
                if stopped():
                    raise StorageError("the export was stopped", hint="run it again", code=ErrorCode.INTERRUPTED)
                writer.write_table(_table(rows, schema))
                written = _added(written, rows)
                report(Progress(stage=Stage.COPYING, done=written.chunks, total=total, unit="chunks"))
        temporary.replace(path)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror or error}", hint="choose another place, or free some space"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return written


async def import_index(
    path: Path, held: Held, leases: LeaseHolder, *, dry_run: bool, report: Report, stopped: Stopped
) -> Transfer:
    """Takes the vectors of a file for chunks that are here and have none yet.

    Raises NotFoundError, InvalidInputError for what is no such file, holds what no export writes, or has vectors of
    another embedder; nothing of it is taken then.
    """
    file = _opened(path)
    model = _of(file, "model")
    if model != held.model:
        raise InvalidInputError(
            f"{path} has vectors of {model or 'no embedder'}, the index is for those of {held.model or 'none'}",
            hint="set the embedder it was made with: intelforge config set embedder URL, then: intelforge sync",
        )
    await asyncio.to_thread(_check, file, path, await _dimensions(held))
    done, total = Transfer(path=str(path), model=model), file.metadata.num_rows
    async with leases.hold(LEASE, detail="importing vectors", stopped=stopped):
        for rows in _read(file, path):
            if stopped():
                raise StorageError("the import was stopped", hint="run it again", code=ErrorCode.INTERRUPTED)
            done = await _take(rows, held, done, dry_run=dry_run)
            report(Progress(stage=Stage.COPYING, done=done.chunks, total=total, unit="chunks"))
        if not dry_run:
            await held.store.maintain()
    return done


async def _take(rows: Sequence[dict[str, Any]], held: Held, done: Transfer, *, dry_run: bool) -> Transfer:
    """Adds the vectors of some rows: of each document those that go on where what it has ends."""
    document_ids = list(dict.fromkeys(row["document_id"] for row in rows))
    known = {document.id: document for document in await held.documents.load(document_ids)}
    standings = await held.standings.of(document_ids)
    ids: list[str] = []
    vectors: list[Vectors] = []
    reached: dict[str, int] = {}
    unknown = present = refused = 0
    for row in rows:
        document, standing = known.get(row["document_id"]), standings.get(row["document_id"])
        chunk = document.chunks[row["ordinal"]] if document and 0 <= row["ordinal"] < len(document.chunks) else None
        if chunk is None or standing is None or not _same(chunk, row):
            unknown += 1
        elif chunk.ordinal < standing.vectors:
            present += 1
        elif row["vector"] is None:
            continue
        elif (vector := _unit(row["vector"])) is None:
            refused += 1
        elif chunk.ordinal == reached.get(chunk.document_id, standing.vectors):
            ids.append(chunk.id)
            vectors.append(vector)
            reached[chunk.document_id] = chunk.ordinal + 1
    if ids and not dry_run:
        await held.store.add_vectors(ids, np.stack(vectors), await held.documents.attributes(reached))
        await held.standings.set_embedded(reached)
    return Transfer(
        path=done.path,
        model=done.model,
        chunks=done.chunks + len(rows),
        vectors=done.vectors + len(ids),
        unknown=done.unknown + unknown,
        present=done.present + present,
        refused=done.refused + refused,
    )


def _unit(values: Sequence[float | None]) -> Vectors | None:
    """As a vector of length one; None for what is none."""
    vector = np.asarray(values, np.float64)
    with np.errstate(all="ignore"):
        length = np.linalg.norm(vector)
    return vector.astype(np.float32) if abs(length - 1) <= UNIT else None


async def _dimensions(held: Held) -> int:
    """Of the vectors the store has; 0 when it has none."""
    standings = await held.standings.all()
    embedded = next((document_id for document_id, standing in standings.items() if standing.vectors), None)
    found = await held.store.vectors([f"{embedded}:0"]) if embedded else {}
    return next((len(vector) for vector in found.values()), 0)


def _same(chunk: Chunk, row: dict[str, Any]) -> bool:
    return chunk.id == row["chunk_id"] and (chunk.text, chunk.heading) == (row["text"], row["heading"])


async def _rows(held: Held) -> AsyncIterator[list[dict[str, Any]]]:
    standings = await held.standings.all()
    document_ids = sorted(standings)
    for start in range(0, len(document_ids), DOCUMENTS):
        documents = await held.documents.load(document_ids[start : start + DOCUMENTS])
        chunks = [(document, chunk) for document in documents for chunk in document.chunks]
        embedded = [chunk.id for document, chunk in chunks if chunk.ordinal < standings[document.id].vectors]
        vectors = await held.store.vectors(embedded)
        yield [
            {
                "chunk_id": chunk.id,
                "document_id": chunk.document_id,
                "ordinal": chunk.ordinal,
                "start": chunk.start,
                "end": chunk.end,
                "title": document.title,
                "heading": chunk.heading,
                "kind": chunk.kind,
                "text": chunk.text,
                "tokens": chunk.tokens,
                "vector": vectors.get(chunk.id),
            }
            for document, chunk in chunks
        ]


def _schema(model: str) -> "pa.Schema":
    import pyarrow as pa

    return pa.schema(
        [
            ("chunk_id", pa.string()),
            ("document_id", pa.string()),
            ("ordinal", pa.int32()),
            ("start", pa.int64()),
            ("end", pa.int64()),
            ("title", pa.string()),
            ("heading", pa.string()),
            ("kind", pa.string()),
            ("text", pa.string()),
            ("tokens", pa.int32()),
            ("vector", pa.list_(pa.float32())),
        ],
        metadata={PREFIX + b"format": FORMAT.encode(), PREFIX + b"model": model.encode()},
    )


def _table(rows: Sequence[dict[str, Any]], schema: "pa.Schema") -> "pa.Table":
    import pyarrow as pa

    return pa.Table.from_pylist([_writable(row) for row in rows], schema=schema)


def _writable(row: dict[str, Any]) -> dict[str, Any]:
    """Parquet holds UTF-8 alone: half a surrogate pair, which some sources have, is written as a question mark."""
    return {
        name: value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
        for name, value in row.items()
    }


def _added(done: Transfer, rows: Sequence[dict[str, Any]]) -> Transfer:
    vectors = sum(row["vector"] is not None for row in rows)
    return Transfer(path=done.path, model=done.model, chunks=done.chunks + len(rows), vectors=done.vectors + vectors)


def _opened(path: Path) -> "ParquetFile":
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    if not path.is_file():
        raise NotFoundError(f"there is no file {path}", hint="make one with: intelforge index export FILE.parquet")
    try:
        file = ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise _not_ours(path, "it is no Parquet file") from error
    missing = [name for name in NEEDED if name not in file.schema_arrow.names]
    if missing:
        raise _not_ours(path, f"it has no column {missing[0]!r}")
    if _of(file, "format") != FORMAT:
        raise _not_ours(path, f"its format is {_of(file, 'format') or 'not named'}, this version reads {FORMAT}")
    return file


def _check(file: "ParquetFile", path: Path, dimensions: int) -> None:
    """Raises InvalidInputError for values that no export writes, and for vectors of other dimensions than those held.

    All of the file is looked at, so that nothing of a bad one is taken.
    """
    import pyarrow as pa
    from pyarrow import compute

    types = {name: file.schema_arrow.field(name).type for name in NEEDED}
    for name, kind in types.items():
        if not _fits(name, kind):
            raise _not_ours(path, f"its column {name!r} is of type {kind}")
    lengths: set[int] = set()
    try:
        for batch in file.iter_batches(batch_size=ROWS, columns=[*KEYS, "vector"]):
            for name in KEYS:
                if batch.column(name).null_count:
                    raise _not_ours(path, f"its column {name!r} has empty values")
            if (compute.min(batch.column("ordinal")).as_py() or 0) < 0:
                raise _not_ours(path, "its column 'ordinal' has negative values")
            lengths |= set(compute.list_value_length(batch.column("vector")).drop_null().to_pylist())
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error
    if len(lengths) > 1 or 0 in lengths:
        raise _not_ours(path, f"it has vectors of {' and '.join(map(str, sorted(lengths)))} dimensions")
    if dimensions and lengths - {dimensions}:
        raise _not_ours(path, f"its vectors are of {lengths.pop()} dimensions, those of the index of {dimensions}")


def _fits(name: str, kind: "pa.DataType") -> bool:
    from pyarrow import types

    if name == "ordinal":
        return bool(types.is_integer(kind))
    if name != "vector":
        return bool(types.is_string(kind) or types.is_large_string(kind))
    listed = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(listed and types.is_floating(kind.value_type))


def _damaged(path: Path, error: Exception) -> StorageError:
    return StorageError(f"{path} is damaged ({error})", hint="export it again", code=ErrorCode.DAMAGED)


def _not_ours(path: Path, why: str) -> InvalidInputError:
    return InvalidInputError(
        f"{path} cannot be imported: {why}", hint="give a file made with: intelforge index export FILE.parquet"
    )


def _of(file: "ParquetFile", name: str) -> str:
    said: dict[bytes, bytes] = file.schema_arrow.metadata or {}
    return said.get(PREFIX + name.encode(), b"").decode("utf-8", "replace")


def _read(file: "ParquetFile", path: Path) -> Iterator[list[dict[str, Any]]]:
    import pyarrow as pa

    try:
        for batch in file.iter_batches(batch_size=ROWS, columns=list(NEEDED)):
            yield batch.to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _damaged(path, error) from error
