"""txtai with its hybrid index (BM25 and vectors) and content storage; its filter is SQL over the best candidates."""

from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice
from typing import Any

import numpy as np
import torch  # type: ignore[import-not-found, unused-ignore]
from protocol import tell
from search_protocol import GROUP, LIMIT, Search, SearchJob, read_search_job, time_kinds
from txtai import Embeddings  # type: ignore[import-not-found, unused-ignore]


def given(job: SearchJob) -> Callable[[Sequence[str]], Any]:
    """Gives vectors of texts in their order when building, of questions when searching."""
    vectors, asked, rows = job.vectors(), dict(job.asked()), count()

    def transform(texts: Sequence[str]) -> Any:
        if job.building:
            return vectors[list(islice(rows, len(texts)))]
        return np.array([asked[text] for text in texts])

    return transform


def main() -> None:
    job = read_search_job()
    torch.set_num_threads(job.threads)
    if job.building:
        build(job)
        return
    embeddings = Embeddings()
    embeddings.load(job.state, config={"transform": given(job)})
    tell("ready")
    filtered = f"select id from txtai where similar(:question) and group_number = {GROUP}"  # noqa: S608

    def both(weight: float) -> Search:
        return lambda question, _: [row["id"] for row in embeddings.search(question, LIMIT, weights=weight)]

    def rare(question: str, _: Any) -> list[str]:
        return [row["id"] for row in embeddings.search(filtered, LIMIT, parameters={"question": question})]

    time_kinds(job, {"lexical": both(0.0), "vector": both(1.0), "hybrid": both(0.5), "hybrid filtered": rare})


def build(job: SearchJob) -> None:
    embeddings = Embeddings(method="external", transform=given(job), content=True, hybrid=True)
    tell("ready")
    embeddings.index(_rows(job))
    tell("added")
    embeddings.config["transform"] = None  # it is given again when the index is opened
    embeddings.save(job.state)
    tell("built")


def _rows(job: SearchJob) -> Iterator[dict[str, object]]:
    for rows, _ in job.batches():
        for row in rows:
            yield {"id": row["id"], "text": row["text"], "group_number": row["group"]}


if __name__ == "__main__":
    main()
