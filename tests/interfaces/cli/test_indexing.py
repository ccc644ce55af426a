from dataclasses import replace

import pytest

from intelforge.testing.terminal import Terminal


def test_versions_are_listed_with_their_state_and_place(terminal: Terminal) -> None:
    for words in (("index",), ("index", "versions")):
        assert terminal.run(*words) == 0
        lines = terminal.out.splitlines()
        first, second = (next(line for line in lines if line.startswith(number)).split() for number in "12")
        assert first[:2] == ["1", "previous"]
        assert second[:2] == ["2", "live"]
        assert {"40", "30"} <= set(second)
    assert [one["version"]["number"] for one in terminal.json("index")["versions"]] == [1, 2]


def test_a_move_says_where_the_index_is_and_how_to_go_back(terminal: Terminal) -> None:
    assert terminal.run("index", "migrate", "--to", "faiss:other") == 0
    assert terminal.workspace.index.calls == [("migrate", "faiss:other")]
    assert "Version 2 answers now: 40 chunks, 30 with vectors, 30 vectors held" in terminal.out
    assert terminal.out.endswith("Back to the one before: intelforge index rollback\n")


def test_a_move_needs_a_place(terminal: Terminal) -> None:
    assert terminal.run("index", "migrate") == 2
    assert "--to" in terminal.err


def test_what_is_not_complete_says_so(terminal: Terminal) -> None:
    terminal.workspace.index.built = replace(terminal.workspace.index.built, complete=False)
    assert terminal.run("index", "rebuild") == 0
    assert "Version 2 is not complete yet: 30 of 40 chunks have a vector." in terminal.out


def test_a_difference_that_is_only_looked_at_ends_with_another_code(terminal: Terminal) -> None:
    assert terminal.run("index", "verify", "--dry-run") == 1
    assert "Documents that differ: 1 missing, 2 superfluous. Nothing was changed" in terminal.out
    assert terminal.run("index", "verify") == 0
    assert "Mended." in terminal.out
    terminal.workspace.index.verification = replace(terminal.workspace.index.verification, missing=0, superfluous=0)
    assert terminal.run("index", "verify", "--dry-run") == 0
    assert terminal.out == "The index agrees with the database: 40 of 40 chunks.\n"


def test_dropping_asks_and_a_dry_run_drops_nothing(terminal: Terminal) -> None:
    assert terminal.run("index", "drop", "1") == 2
    assert "add --yes or --dry-run" in terminal.err
    assert terminal.run("index", "drop", "1", "--dry-run") == 0
    assert terminal.out == "Would delete version 1 at lancedb:.intelforge/index.\n"
    assert terminal.json("index", "drop", "1", "--yes")["dropped"] is True
    assert terminal.workspace.index.calls == [("drop", 1, True)] * 3 + [("drop", 1, False)]


def test_going_back_says_what_answers_again(terminal: Terminal) -> None:
    assert terminal.run("index", "rollback") == 0
    assert "Version 2 answers again" in terminal.out
    assert terminal.out.endswith("comes in with: intelforge sync\n")


def test_tuning_shows_what_was_tried_and_why(terminal: Terminal) -> None:
    assert terminal.run("index", "tune", "--dry-run") == 0
    assert "IVF_FLAT, 10 probes  0.950" in terminal.out
    assert "20 probes reach a recall of 0.982. Nothing was changed." in terminal.out
    assert terminal.json("index", "tune")["applied"] is True


def test_stats_show_share_freshness_and_latencies(terminal: Terminal) -> None:
    assert terminal.run("index", "stats") == 0
    for words in ("30 (75%)", "2 documents have old labels; last complete sync 2026-05-04", "0.01 s", "100"):
        assert words in terminal.out
    assert "graceful shutdown" in " ".join(terminal.out.split())
    assert terminal.json("index", "stats")["slow"][0]["plan"]["where"] == "principal:*"
    assert terminal.json("index", "stats")["latencies"]["all"]["p95"] == pytest.approx(0.03)


def test_transfers_say_what_was_taken_and_what_not(terminal: Terminal) -> None:
    assert terminal.run("index", "export", "x.parquet") == 0
    assert terminal.out == "Wrote 40 chunks, 30 with vectors, to x.parquet.\n"
    assert terminal.run("index", "import", "x.parquet", "--dry-run") == 0
    assert terminal.out.startswith("Would take 30 vectors from x.parquet.")
    assert "6 have a vector already, 4 are of texts that are not here" in " ".join(terminal.out.split())
