"""What every program that is measured at searching is given and what it says, beside what `protocol.py` has.

A program runs twice for each size: to build an index, and in a new process to open it and search. Only the standard
library and numpy: this runs in the environment of each peer.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from protocol import tell

LIMIT = 10
BATCH = 4000
"""chunks written at once"""
GROUPS = 20
"""a document is in one of so many groups, and a filter asks for one of them"""
GROUP = 7

Search = Callable[[str, Any], Sequence[str]]
"""From a question and its vector to ids, best first"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchJob:
    """Build an index of these chunks, or search it."""

    building: bool
    corpus: str
    """the folder of `search_corpus.py`"""
    chunks: int
    """how many of it"""
    state: str
    """the folder to keep the index in"""
    questions: tuple[str, ...]
    rounds: int
    """times every question is asked, after once that is not counted"""
    threads: int
    index: str = ""
    """the URL of IntelForge's vector store"""

    def batches(self) -> Iterator[tuple[list[dict[str, Any]], Any]]:
        """Chunks, as they stand in the file and with their group, and their vectors."""
        vectors = self.vectors()
        numbers: dict[str, int] = {}
        with Path(self.corpus, "chunks.jsonl").open(encoding="utf-8") as file:
            for start in range(0, self.chunks, BATCH):
                rows = [json.loads(line) for line in islice(file, min(BATCH, self.chunks - start))]
                for row in rows:
                    row["group"] = numbers.setdefault(row["document_id"], len(numbers)) % GROUPS
                yield rows, np.array(vectors[start : start + len(rows)])

    def vectors(self) -> Any:
        """Of all chunks, shape (chunks, dimensions), read from disk as they are used."""
        return np.load(Path(self.corpus, "vectors.npy"), mmap_mode="r")[: self.chunks]

    def asked(self) -> list[tuple[str, Any]]:
        """The questions and their vectors."""
        return list(zip(self.questions, np.load(Path(self.corpus, "queries.npy")), strict=True))


def read_search_job() -> SearchJob:
    """The job in the file that the first argument names."""
    given = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    return SearchJob(**{**given, "questions": tuple(given["questions"])})


def time_kinds(job: SearchJob, kinds: Mapping[str, Search]) -> None:
    """Asks every question of every kind of search, and tells how long each took and what was found."""
    for kind, search in kinds.items():
        found = [list(search(question, vector)) for question, vector in job.asked()]
        seconds: list[float] = []
        for _ in range(job.rounds):
            for question, vector in job.asked():
                began = time.perf_counter()
                search(question, vector)
                seconds.append(time.perf_counter() - began)
        tell(f"searched {kind}", seconds=seconds, found=found)
