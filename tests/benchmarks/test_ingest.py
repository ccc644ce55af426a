"""The benchmark's own arithmetic, and that it measures what it says."""

import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

PROGRAM = """
import json, os
print("a library says hello")
for event in ("ready", "searchable", "embedding"):
    print(json.dumps({"event": event}))
print(json.dumps({"event": "embedded", "chunks": 4, "embedded": 4, "offline": os.environ["HF_HUB_OFFLINE"]}))
print(json.dumps({"event": "searched", "seconds": [0.001, 0.002, 0.003], "found": 3}))
"""
ALLOCATING = "import sys; held = bytearray(64 << 20); print('ready', flush=True); sys.stdin.read()"


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS / "peers"))
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def module(name: str) -> Any:
    return importlib.import_module(name)


def row(system: str = "intelforge", **values: Any) -> Any:
    return module("ingest").Run(
        **{
            "system": system,
            "files": 100,
            "size": 1_000_000,
            "chunks": 2000,
            "embedded": 2000,
            "ready": 1.0,
            "searchable": 3.0,
            "embedding_seconds": 40.0,
            "searchable_cpu": 4.0,
            "embedding_cpu": 50.0,
            "peak_bytes": 500_000_000,
            "p50_ms": 10.0,
            "p95_ms": 20.0,
            **values,
        }
    )


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def test_a_corpus_holds_text_files_that_are_not_hidden(tmp_path: Path) -> None:
    files = {"a.py": b"a", "b/c.md": b"c", "b/.hidden": b"h", ".git/d": b"d", "e.png": b"\x89\0", "empty.py": b""}
    found = module("corpus").read(write(tmp_path, files))
    assert (found.files, found.size) == ((Path("a.py"), Path("b/c.md")), 2)


def test_a_sample_is_spread_over_the_whole_corpus(tmp_path: Path) -> None:
    write(tmp_path, {f"{number:02}.py": b"x" for number in range(20)})
    sample = module("corpus").read(tmp_path, limit=4)
    assert [file.stem for file in sample.files] == ["00", "05", "10", "15"]


def test_a_copied_corpus_has_the_same_files(tmp_path: Path) -> None:
    corpus = module("corpus")
    first = corpus.read(write(tmp_path / "from", {"a.py": b"1", "b/c.py": b"22"}))
    copied = corpus.copy(first, tmp_path / "to")
    assert corpus.read(tmp_path / "to") == copied
    assert (tmp_path / "to" / "b" / "c.py").read_bytes() == b"22"


def test_collecting_takes_each_content_once_and_the_same_files_each_time(tmp_path: Path) -> None:
    files = {"a.py": b"one", "b.py": b"one", "c.js": b"two", "d.txt": b"no source", "sub/e.c": b"three"}
    roots = {"first": write(tmp_path / "r1", files), "second": write(tmp_path / "r2", {"f.md": b"two", "g.md": b"4"})}
    corpus = module("corpus")
    assert corpus.collect(10, tmp_path / "all", roots=roots) == 4
    assert [str(file) for file in corpus.read(tmp_path / "all").files] == [
        "first/a.py",
        "first/c.js",
        "first/sub/e.c",
        "second/g.md",
    ]
    for name in ("once", "again"):
        assert corpus.collect(2, tmp_path / name, roots=roots) == 2
    assert corpus.read(tmp_path / "once").files == corpus.read(tmp_path / "again").files


def test_collecting_leaves_out_generated_giants(tmp_path: Path) -> None:
    corpus = module("corpus")
    write(tmp_path / "root", {"giant.py": b"x" * (corpus.LARGEST + 1), "small.py": b"x"})
    assert corpus.collect(2, tmp_path / "to", roots={"root": tmp_path / "root"}) == 1


def test_source_files_are_looked_for_in_the_standard_library_and_the_peers(tmp_path: Path) -> None:
    packages = tmp_path / "txtai" / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    roots = module("corpus").installed(tmp_path)
    assert list(roots) == ["stdlib", "txtai", "packages"]
    assert (roots["stdlib"] / "os.py").is_file()


def test_events_are_told_apart_from_what_libraries_print() -> None:
    read = module("measuring").read_event
    assert read("loading...\n", 1.0, 0.5) is None
    event = read('{"event": "ready", "chunks": 3}\n', 1.5, 0.5)
    assert (event.name, event.seconds, event.cpu_seconds, event.values) == ("ready", 1.5, 0.5, {"chunks": 3})


def test_a_program_is_measured_from_outside_and_offline() -> None:
    ticks = iter(range(100))
    measured = module("measuring").run([sys.executable, "-c", PROGRAM], threads=1, clock=lambda: next(ticks))
    assert [measured.seconds(name) for name in ("ready", "searchable", "embedded")] == [2, 3, 5]
    assert measured.events["embedded"].values["offline"] == "1"


def test_a_program_that_fails_is_an_error_with_its_last_words() -> None:
    with pytest.raises(RuntimeError, match="no such index"):
        module("measuring").run([sys.executable, "-c", "raise SystemExit('no such index')"], threads=1)


def test_an_event_that_was_not_told_is_an_error() -> None:
    measured = module("measuring").run([sys.executable, "-c", "pass"], threads=1)
    with pytest.raises(RuntimeError, match="never said 'ready'"):
        measured.seconds("ready")


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="proportional set sizes are Linux's")
def test_memory_is_that_of_the_whole_process_tree() -> None:
    measuring = module("measuring")
    before = measuring.tree_bytes(os.getpid())
    with subprocess.Popen(
        [sys.executable, "-c", ALLOCATING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        with measuring.MemorySampler(child.pid, seconds=60) as sampler:
            sampler.sample()
        assert sampler.peak_bytes > 64 << 20
        assert measuring.tree_bytes(os.getpid()) > before + (60 << 20)
        child.communicate("")
    assert measuring.tree_bytes(child.pid) == 0


def test_processor_time_is_that_of_the_whole_process_tree() -> None:
    busy = "sum(range(10**7))"
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{busy}'])"
    waiting = f"{nested}; print('done', flush=True); sys.stdin.read()"
    measuring = module("measuring")
    with subprocess.Popen(
        [sys.executable, "-c", waiting], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert measuring.tree_cpu_seconds(child.pid) > 0.05
        child.communicate("")
    assert measuring.tree_cpu_seconds(child.pid) == 0.0


def test_time_to_searchable_grows_with_the_size_but_the_start_of_the_process_does_not() -> None:
    assert row(ready=1.0, searchable=3.0, size=1_000_000).searchable_at(10_000_000) == 21.0


def test_rates_are_of_the_embedding_stage_alone() -> None:
    run = row(embedded=1000, embedding_seconds=20.0)
    assert (run.chunks_per_second, run.chunks_per_cpu_second, run.bytes_per_second) == (50.0, 20.0, 25_000.0)


def test_the_rest_of_the_embedding_is_extrapolated_at_the_measured_rate() -> None:
    assert row(embedded=1000, embedding_seconds=20.0).embedded_seconds == 3.0 + 20.0 + 20.0


def test_what_is_embedded_before_it_is_searchable_is_not_embedded_twice() -> None:
    assert row("txtai", searchable=50.0, embedding_seconds=40.0).embedded_seconds == 50.0


def test_a_result_is_taken_from_the_events() -> None:
    measured = module("measuring").run([sys.executable, "-c", PROGRAM], threads=1)
    files = module("corpus").Corpus(folder=Path(), files=(Path("a"), Path("b")), size=10)
    run = module("ingest").result("txtai", files, measured, cold_search=None)
    assert (run.files, run.size, run.chunks, run.embedded) == (2, 10, 4, 4)
    assert run.p50_ms == pytest.approx(2.0)
    assert run.p95_ms == pytest.approx(2.9)


def test_searches_that_found_nothing_are_no_result() -> None:
    measured = module("measuring").run([sys.executable, "-c", PROGRAM.replace('"found": 3', '"found": 0')], threads=1)
    files = module("corpus").Corpus(folder=Path(), files=(), size=0)
    with pytest.raises(RuntimeError, match="found nothing"):
        module("ingest").result("txtai", files, measured, cold_search=None)


def verdicts(whole: Any, samples: Sequence[Any]) -> dict[str, tuple[float, bool]]:
    return {goal.what: (goal.value, goal.met) for goal in module("ingest").goals(whole, samples)}


def test_goals_compare_on_the_sample_and_extrapolate_to_the_whole() -> None:
    whole = row(files=10_000, size=100_000_000, searchable=50.0, cold_search=1.5, chunks=200_000)
    own, peer = row(embedding_seconds=40.0), row("txtai", ready=5.0, searchable=95.0, embedding_seconds=80.0)
    found = verdicts(whole, [own, peer])
    assert found == {
        "10000 files searchable": (50.0, True),
        "peak memory": (500.0, True),
        "cold search on the command line, 200000 chunks": (1.5, True),
        "searchable sooner than txtai, extrapolated": (9005.0 / 50.0, True),
        "chunks a second of embedding against txtai": (2.0, True),
    }


def test_goals_that_are_missed_say_so() -> None:
    whole = row(files=10_000, searchable=61.0, cold_search=2.1, peak_bytes=10**9 + 1)
    peer = row("txtai", files=10_000, searchable=61.0, embedding_seconds=40.0)
    assert not any(met for _, met in verdicts(whole, [whole, peer]).values())


def test_a_folder_of_another_size_is_scaled_and_says_so() -> None:
    assert verdicts(row(), [])["10000 files searchable (scaled from 100)"] == (201.0, False)


def test_the_report_marks_what_is_extrapolated() -> None:
    whole = row(files=1000, size=10_000_000, embedded=1000, searchable=10.0)
    text = module("ingest").report(whole, [row(), row("txtai", searchable=60.0)], {"cores": 2})
    assert "(extrapolated)" in text
    assert "txtai: all 1000 files searchable after 591 s (extrapolated from 100 files by size)" in text
    assert "MISSED  10000 files searchable (scaled from 1000)" in text


def test_json_has_every_run_and_every_goal() -> None:
    found = json.loads(module("ingest").as_json(row(cold_search=1.0), [row(), row("txtai")], {"cores": 2}))
    assert found["whole"]["chunks_per_second"] == 50.0
    assert [run["system"] for run in found["sample"]] == ["intelforge", "txtai"]
    assert {goal["met"] for goal in found["goals"]} == {True, False}


def test_the_command_collects_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write(tmp_path / "root", {"a.py": b"1", "b.py": b"2"})
    monkeypatch.setattr(module("corpus"), "installed", lambda environments: {"root": root})
    module("ingest").main(["--collect", "2", str(tmp_path / "to")])
    assert capsys.readouterr().out == f"2 files in {tmp_path / 'to'}\n"
    also = write(tmp_path / "more", {"a.py": b"1", "c.py": b"3"})
    module("ingest").main([str(tmp_path / "all"), "--collect", "9", "--also", str(also)])
    assert capsys.readouterr().out == f"3 files in {tmp_path / 'all'}\n"


def test_the_machine_is_named() -> None:
    about = module("ingest").machine()
    assert about["processor"]
    assert about["cores"] == os.cpu_count()


def test_an_environment_is_made_with_torch_first(tmp_path: Path) -> None:
    commands = environment_commands(tmp_path)
    assert [command[3:] for command in commands[:1]] == [[str(tmp_path / "txtai")]]
    assert commands[1][-1].startswith("torch==")
    assert commands[2][-1].endswith("txtai.txt")


def test_an_environment_is_used_again_until_its_pins_change(tmp_path: Path) -> None:
    assert environment_commands(tmp_path)
    assert environment_commands(tmp_path) == []
    (tmp_path / "txtai" / "installed.txt").write_text("torch==1.0\n", encoding="utf-8")
    assert environment_commands(tmp_path)


def environment_commands(cache: Path) -> list[list[str]]:
    """What is run to prepare txtai's environment."""
    commands: list[list[str]] = []

    def run(command: list[str]) -> None:
        (cache / "txtai").mkdir(exist_ok=True)
        commands.append(command)

    module("peer_environments").prepared("txtai", cache, run=run)
    return commands


def test_every_peer_has_a_program_and_exact_versions_without_addresses() -> None:
    environments = module("peer_environments")
    assert environments.known("run") == ["llamaindex", "txtai"]
    assert environments.known("search") == ["chroma", "lancedb", "txtai"]
    for name in {*environments.known("run"), *environments.known("search")}:
        lines = (environments.PEERS / f"{name}.txt").read_text(encoding="utf-8").splitlines()
        assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines)
        assert {line for line in lines if line.startswith(("torch==", "nvidia", "triton"))} <= {"torch==2.13.0"}


def test_there_are_fifty_different_questions() -> None:
    questions = module("ingest").questions()
    assert len(questions) == len({question for question in questions if question.strip()}) == 50


def test_searches_take_the_questions_in_turn(capsys: pytest.CaptureFixture[str]) -> None:
    protocol = module("protocol")
    job = protocol.Job(
        folder="", files=(), state="", model="", threads=1, questions=("a", "b"), searches=3, chunk_tokens=220
    )
    asked: list[str] = []

    def search(question: str, limit: int) -> list[int]:
        asked.append(question)
        return list(range(limit))

    protocol.time_searches(job, search)
    told = json.loads(capsys.readouterr().out)
    assert asked[protocol.WARM_UP :] == ["a", "b", "a"]
    assert (len(told["seconds"]), told["found"]) == (3, 3 * protocol.LIMIT)


def test_peers_get_the_texts_with_whatever_is_not_utf_8_replaced(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": b"caf\xe9"})
    job = module("protocol").Job(
        folder=str(tmp_path), files=("a.py",), state="", model="", threads=1, questions=(), searches=0, chunk_tokens=220
    )
    assert job.texts() == [("a.py", "caf\ufffd")]


def test_each_system_starts_once_uncounted_then_all_get_the_same_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest, calls = module("ingest"), []

    def run_system(system: str, python: Path, files: Any, state: Path, options: Any, **more: Any) -> Any:
        assert all((files.folder / file).is_file() for file in files.files)
        calls.append((system, len(files.files), more.get("partly", False)))
        return row(system)

    monkeypatch.setattr(ingest, "run_system", run_system)
    monkeypatch.setattr(module("peer_environments"), "prepared", lambda name, cache: Path(name))
    options = ingest.Options(
        folder=write(tmp_path, {f"{number}.py": b"x" for number in range(9)}),
        peers=("txtai",),
        limit_files=6,
        peer_limit_files=3,
        embed_chunks=None,
        threads=2,
    )
    _, samples = ingest.measure(options, say=lambda line: None)
    assert [run.system for run in samples] == ["intelforge", "txtai"]
    assert calls == [
        ("intelforge", 1, False),
        ("txtai", 1, False),
        ("intelforge", 3, False),
        ("txtai", 3, False),
        ("intelforge", 6, True),
    ]


@pytest.mark.slow
def test_intelforge_is_run_through_its_public_interface(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTELFORGE_EMBEDDER", "none:")
    folder = write(tmp_path / "files", {"a.py": b"def cancel():\n    return 1\n"})
    job = {
        "folder": str(folder),
        "files": ["a.py"],
        "state": str(tmp_path / "workspace"),
        "model": "",
        "threads": 1,
        "questions": ["cancel"],
        "searches": 2,
        "chunk_tokens": 220,
    }
    (tmp_path / "job.json").write_text(json.dumps(job), encoding="utf-8")
    program = BENCHMARKS / "peers" / "run_intelforge.py"
    measured = module("measuring").run([sys.executable, str(program), str(tmp_path / "job.json")], threads=1)
    assert measured.seconds("ready") < measured.seconds("searchable") <= measured.seconds("embedded")
    assert measured.events["embedded"].values == {"chunks": 1, "embedded": 0, "failed": 0}
    assert measured.events["searched"].values["found"] == 2
