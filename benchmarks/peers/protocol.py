"""What every measured program is given and what it says: one job as JSON, one line of JSON for every event.

Only the standard library: this runs in the environment of each peer.
"""

import json
import sys
import time
from collections.abc import Callable, Sized
from dataclasses import dataclass
from pathlib import Path

WARM_UP = 3
"""searches before those that are timed"""
LIMIT = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Index these files, then search."""

    folder: str
    files: tuple[str, ...]
    """relative to the folder"""
    state: str
    """an empty folder to keep the index in"""
    model: str
    """the folder of the MiniLM weights, in the form of sentence-transformers"""
    threads: int
    questions: tuple[str, ...]
    searches: int
    chunk_tokens: int
    embed_chunks: int | None = None
    """stop after about so many, where embedding is apart from indexing"""

    def texts(self) -> list[tuple[str, str]]:
        """Each file's name and text."""
        return [(file, Path(self.folder, file).read_text(encoding="utf-8", errors="replace")) for file in self.files]


def read_job() -> Job:
    """The job in the file that the first argument names."""
    return Job(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))


def tell(event: str, **values: object) -> None:
    """Says that something has happened now: ready, searchable, embedding, embedded or searched."""
    print(json.dumps({"event": event, **values}), flush=True)


def time_searches(job: Job, search: Callable[[str, int], Sized]) -> None:
    """Searches for the questions in turn, and tells how long each search took and how much was found."""
    seconds: list[float] = []
    found = 0
    for number in range(WARM_UP):
        search(job.questions[number % len(job.questions)], LIMIT)
    for number in range(job.searches):
        began = time.perf_counter()
        hits = search(job.questions[number % len(job.questions)], LIMIT)
        seconds.append(time.perf_counter() - began)
        found += len(hits)
    tell("searched", seconds=seconds, found=found)
