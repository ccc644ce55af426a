"""Chroma in a folder, with its default index (HNSW) on cosine distance. It does not rank by words."""

from typing import Any

from chromadb import PersistentClient
from chromadb.config import Settings
from protocol import tell
from search_protocol import GROUP, LIMIT, read_search_job, time_kinds


def main() -> None:
    job = read_search_job()
    client = PersistentClient(job.state, settings=Settings(anonymized_telemetry=False))
    if job.building:
        tell("ready")
        collection = client.create_collection("chunks", configuration={"hnsw": {"space": "cosine"}})
        for rows, vectors in job.batches():
            collection.add(
                ids=[row["id"] for row in rows],
                embeddings=vectors,
                documents=[row["text"] for row in rows],
                metadatas=[{"group": row["group"]} for row in rows],
            )
        tell("added")
        tell("built")
        return
    collection = client.get_collection("chunks")
    tell("ready")

    def found(vector: Any, where: Any = None) -> list[str]:
        answer = collection.query(query_embeddings=[vector], n_results=LIMIT, where=where, include=[])
        return list(answer["ids"][0])

    time_kinds(
        job,
        {
            "vector": lambda _, vector: found(vector),
            "vector filtered": lambda _, vector: found(vector, {"group": GROUP}),
        },
    )


if __name__ == "__main__":
    main()
