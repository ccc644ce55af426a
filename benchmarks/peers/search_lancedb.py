"""Plain LanceDB as its documentation shows it: a full-text index, its default vector index, and both fused by rank."""

from datetime import timedelta
from typing import Any

import lancedb
import pyarrow as pa
from lancedb.index import FTS, IvfPq
from protocol import tell
from search_protocol import GROUP, LIMIT, SearchJob, read_search_job, time_kinds


def main() -> None:
    job = read_search_job()
    database = lancedb.connect(job.state)
    if job.building:
        build(database, job)
        return
    table: Any = database.open_table("chunks")
    tell("ready")
    where = f"group_number = {GROUP}"

    def both(question: str, vector: Any) -> Any:
        return table.search(query_type="hybrid").vector(vector).text(question).limit(LIMIT)

    time_kinds(
        job,
        {
            "lexical": lambda question, _: ids(table.search(question, query_type="fts").limit(LIMIT)),
            "vector": lambda _, vector: ids(table.search(vector).distance_type("cosine").limit(LIMIT)),
            "vector filtered": lambda _, vector: ids(
                table.search(vector).distance_type("cosine").where(where).limit(LIMIT)
            ),
            "hybrid": lambda question, vector: ids(both(question, vector)),
            "hybrid filtered": lambda question, vector: ids(both(question, vector).where(where)),
        },
    )


def build(database: lancedb.DBConnection, job: SearchJob) -> None:
    tell("ready")
    table: Any = None
    for rows, vectors in job.batches():
        data = pa.table(
            {
                "id": [row["id"] for row in rows],
                "text": [row["text"] for row in rows],
                "group_number": [row["group"] for row in rows],
                "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1]),
            }
        )
        if table is None:
            table = database.create_table("chunks", data)
        else:
            table.add(data)
    tell("added")
    table.create_index("vector", config=IvfPq(distance_type="cosine"))
    table.create_index("text", config=FTS())
    table.optimize(cleanup_older_than=timedelta(days=7))
    tell("built")


def ids(query: Any) -> list[str]:
    return [row["id"] for row in query.select(["id"]).to_list()]


if __name__ == "__main__":
    main()
