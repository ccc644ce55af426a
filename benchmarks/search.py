"""How fast the index answers, at what size and with what recall, beside other systems on the same chunks and vectors.

    python benchmarks/search.py FOLDER --chunks 100000,1000000 [--peers lancedb,chroma,txtai] [--json]

FOLDER holds source files (`ingest.py --collect` makes one). They are cut into chunks as the product does; some are
embedded with MiniLM, and the others get vectors made from their words (`search_corpus.py`). Each system builds its
index in one process, and is searched in another: the memory is that of a process that only opens and searches.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import peer_environments
import search_corpus

import ingest
from intelforge.core.registry import load_backend
from intelforge.index.protocol import Embedder

HERE = Path(__file__).parent
sys.path.append(str(HERE / "peers"))
from search_protocol import GROUP, LIMIT, SearchJob  # noqa: E402 - beside the peers' programs, which share it

OWN = "intelforge"
PREFIX = "search"
MODEL = "onnx:all-MiniLM-L6-v2"
ROUNDS = 4
KINDS = ("lexical", "vector", "vector filtered", "hybrid", "hybrid filtered", "whole")
HYBRID_MS = {100_000: 50.0, 1_000_000: 100.0}
RECALL = 0.97
MEMORY_MB = 1500.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Of one kind of search, in milliseconds."""

    p50: float
    p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One system at one size."""

    system: str
    chunks: int
    add_seconds: float
    """text and vectors written"""
    index_seconds: float
    """made fast, where that is apart from adding"""
    index_mb: float
    """the most memory while building"""
    disk_mb: float
    memory_mb: float
    """the most of a new process that opens the index and searches, its libraries included"""
    recall: float | None
    """at 10, of the vector search against an exact one"""
    filtered_recall: float | None
    """the same where one document in twenty is admitted"""
    latency: Mapping[str, Latency]
    """by kind of search; what a system does not offer is left out"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exact:
    """The ids of the nearest chunks of each question, of all and of the group that the filter admits."""

    every: Sequence[frozenset[str]]
    filtered: Sequence[frozenset[str]]


def exact(job: SearchJob) -> Exact:
    """By one pass over all vectors."""
    queries = np.array([vector for _, vector in job.asked()])
    every, filtered = _Nearest(queries), _Nearest(queries)
    for rows, vectors in job.batches():
        ids = np.array([row["id"] for row in rows], object)
        chosen = np.array([row["group"] == GROUP for row in rows])
        every.look_at(ids, vectors)
        filtered.look_at(ids[chosen], vectors[chosen])
    return Exact(every=every.found(), filtered=filtered.found())


class _Nearest:
    """The best of each query among what it was shown."""

    def __init__(self, queries: Any) -> None:
        self._queries = queries
        self._scores = np.full((len(queries), LIMIT), -np.inf)
        self._ids = np.full((len(queries), LIMIT), "", object)

    def look_at(self, ids: Any, vectors: Any) -> None:
        found = self._queries @ vectors.T
        scores = np.concatenate([self._scores, found], axis=1)
        names = np.concatenate([self._ids, np.broadcast_to(ids, found.shape)], axis=1)
        best = np.argpartition(-scores, LIMIT - 1, axis=1)[:, :LIMIT]
        self._scores, self._ids = np.take_along_axis(scores, best, axis=1), np.take_along_axis(names, best, axis=1)

    def found(self) -> list[frozenset[str]]:
        return [frozenset(filter(None, row)) for row in self._ids.tolist()]


def measure(system: str, python: Path, job: SearchJob, nearest: Exact) -> Measured:
    """Builds, then searches, each in a process of its own."""
    script = HERE / "peers" / f"{PREFIX}_{system}.py"
    with tempfile.TemporaryDirectory() as name:
        state = Path(name, "index")
        state.mkdir()
        building, searching = [
            _run(python, script, replace(job, state=str(state), building=now), Path(name)) for now in (True, False)
        ]
        disk = sum(path.stat().st_size for path in state.rglob("*") if path.is_file()) / 1e6
    told = {
        kind: searching.events[f"searched {kind}"].values for kind in KINDS if f"searched {kind}" in searching.events
    }
    if empty := [kind for kind, values in told.items() if not any(values["found"])]:
        raise RuntimeError(f"{system} found nothing for any question: {', '.join(empty)}")
    return Measured(
        system=f"{system} {job.index}".strip() if system == OWN else system,
        chunks=job.chunks,
        add_seconds=building.seconds("added") - building.seconds("ready"),
        index_seconds=building.seconds("built") - building.seconds("added"),
        index_mb=building.peak_bytes / 1e6,
        disk_mb=disk,
        memory_mb=searching.peak_bytes / 1e6,
        recall=recall(nearest.every, told.get("vector")),
        filtered_recall=recall(nearest.filtered, told.get("vector filtered")),
        latency={kind: latency(values["seconds"]) for kind, values in told.items()},
    )


def _run(python: Path, script: Path, job: SearchJob, folder: Path) -> measuring.Measured:
    written = folder / "job.json"
    written.write_text(json.dumps(asdict(job)), encoding="utf-8")
    return measuring.run([str(python), str(script), str(written)], threads=job.threads)


def recall(nearest: Sequence[frozenset[str]], told: Mapping[str, Any] | None) -> float | None:
    """The mean share of the nearest that was found; None for a kind of search that a system does not offer."""
    if told is None:
        return None
    return statistics.fmean(len(near & set(ids)) / len(near) for near, ids in zip(nearest, told["found"], strict=True))


def latency(seconds: Sequence[float]) -> Latency:
    cuts = statistics.quantiles(seconds, n=20, method="inclusive")
    return Latency(p50=cuts[9] * 1000, p95=cuts[18] * 1000)


def goals(measured: Sequence[Measured]) -> Iterator[ingest.Goal]:
    """What was promised, of IntelForge's own rows."""
    for one in (one for one in measured if one.system.startswith(OWN)):
        name = f"{one.system} at {one.chunks:,} chunks"
        if one.chunks in HYBRID_MS:
            yield ingest.Goal(
                what=f"hybrid p95, {name}", value=one.latency["whole"].p95, bound=HYBRID_MS[one.chunks], unit="ms"
            )
        for what, value in (("recall@10", one.recall), ("filtered recall@10", one.filtered_recall)):
            if value is not None:
                yield ingest.Goal(what=f"{what}, {name}", value=value, bound=RECALL, unit="", at_least=True)
        yield ingest.Goal(what=f"memory, {name}", value=one.memory_mb, bound=MEMORY_MB, unit="MB")


def table(measured: Sequence[Measured]) -> str:
    """The rows as a Markdown table; latencies are p50 / p95 in milliseconds."""
    kinds = [kind for kind in KINDS if any(kind in one.latency for one in measured)]
    sizes = ("add s", "index s", "build MB", "disk MB", "memory MB", "recall@10", "filtered")
    headings = ["system", "chunks", *sizes, *kinds]
    lines = ["| " + " | ".join(headings) + " |", "|---" + "|---:" * (len(headings) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(_cells(one, kinds)) + " |" for one in measured])


def _cells(one: Measured, kinds: Sequence[str]) -> Iterator[str]:
    yield from (one.system, f"{one.chunks:,}", f"{one.add_seconds:.1f}", f"{one.index_seconds:.1f}")
    yield from (f"{one.index_mb:,.0f}", f"{one.disk_mb:,.0f}", f"{one.memory_mb:,.0f}")
    yield from ("–" if value is None else f"{value:.3f}" for value in (one.recall, one.filtered_recall))
    for kind in kinds:
        found = one.latency.get(kind)
        yield f"{found.p50:.1f} / {found.p95:.1f}" if found else "–"


def report(measured: Sequence[Measured], about: Mapping[str, object]) -> str:
    """All results, for people."""
    verdicts = [str(goal) for goal in goals(measured)]
    parts = [", ".join(f"{name} {value}" for name, value in about.items()), table(measured), "\n".join(verdicts)]
    return "\n\n".join(parts)


def as_json(measured: Sequence[Measured], about: Mapping[str, object]) -> str:
    """All results, for programs."""
    held = [asdict(goal) | {"met": goal.met} for goal in goals(measured)]
    return json.dumps({"machine": about, "rows": [asdict(one) for one in measured], "goals": held})


def run(options: argparse.Namespace, *, say: Callable[[str], None]) -> list[Measured]:
    embedder: Embedder = load_backend("embedders", MODEL)(MODEL)
    asked = ingest.questions()
    say(f"preparing {max(options.chunks):,} chunks in {options.work}")
    asyncio.run(
        search_corpus.prepare(
            options.folder, options.work, max(options.chunks), embedder, embedded=options.embedded, questions=asked
        )
    )
    systems = [(OWN, Path(sys.executable), url) for url in options.index]
    for peer in options.peers:
        say(f"preparing the environment of {peer}")
        systems.append((peer, peer_environments.prepared(peer, ingest.ENVIRONMENTS), ""))
    measured = []
    for chunks in options.chunks:
        job = SearchJob(
            building=True,
            corpus=str(options.work),
            chunks=chunks,
            state="",
            questions=tuple(asked),
            rounds=ROUNDS,
            threads=os.cpu_count() or 1,
        )
        say(f"the nearest among {chunks:,} chunks, exactly")
        nearest = exact(job)
        for system, python, url in systems:
            say(f"{system} {url}: {chunks:,} chunks")
            measured.append(measure(system, python, replace(job, index=url), nearest))
            say(table(measured[-1:]))
    return measured


def main(arguments: Sequence[str] | None = None) -> None:
    known = peer_environments.known(PREFIX)
    parser = argparse.ArgumentParser(description="Latency, size and recall of the index, beside other systems.")
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    parser.add_argument("--chunks", type=_numbers, default=[100_000], help="how many; several with commas")
    parser.add_argument("--embedded", type=int, default=8000, help="chunks embedded; vectors of the others are made")
    parser.add_argument("--index", action="append", default=[], help="URL of a vector store; may be given again")
    parser.add_argument("--peers", type=_names, default=[], help=f"which to measure as well: {','.join(known)}")
    parser.add_argument(
        "--work", type=Path, default=ingest.ENVIRONMENTS / "search", help="where chunks and vectors are kept"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args(arguments)
    options.index = options.index or ["lancedb:index"]
    about = ingest.machine()
    measured = run(options, say=lambda line: print(line, file=sys.stderr))
    print(as_json(measured, about) if options.json else report(measured, about))


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _names(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


if __name__ == "__main__":
    main()
