from dataclasses import replace
from pathlib import Path

from intelforge.testing.terminal import Terminal


def test_it_shows_what_it_knows_best_first(terminal: Terminal) -> None:
    for words in (("router",), ("router", "show")):
        assert terminal.run(*words) == 0
        lines = terminal.out.splitlines()
        assert lines[1].startswith("openai:gpt-5-mini")
        assert "0.72" in lines[1]
        assert "-0.20" in lines[1]
        assert "0.25, 2" in lines[1]
        assert "free" in lines[2]
        assert "Preference balanced; 120 requests remembered; $0.0100 of $0.5000" in terminal.out
    assert [one["model"] for one in terminal.json("router", "show")["models"]] == [
        "ollama:qwen3:8b",
        "openai:gpt-5-mini",
    ]


def test_freezing_says_how_to_go_on(terminal: Terminal) -> None:
    assert terminal.run("router", "freeze") == 0
    assert "To go on: intelforge router unfreeze" in terminal.out
    assert terminal.json("router", "unfreeze")["frozen"] is False
    assert terminal.run("router") == 0
    assert "may give 3% of the calls" in terminal.out


def test_it_is_carried_away_and_back(terminal: Terminal) -> None:
    assert terminal.run("router", "export", "router.npz") == 0
    assert terminal.out == "Wrote what the router learned from 120 requests to router.npz.\n"
    assert terminal.run("router", "import", "router.npz", "--yes") == 0
    file = Path("router.npz")
    assert terminal.workspace.routing.calls == [("export", file), ("load", file, True), ("load", file, False)]


def test_importing_asks_and_a_dry_run_replaces_nothing(terminal: Terminal) -> None:
    assert terminal.run("router", "import", "router.npz") == 2
    assert "add --yes or --dry-run" in terminal.err
    assert terminal.run("router", "import", "router.npz", "--dry-run") == 0
    assert terminal.out == "Would replace what the router learned from 120 requests with router.npz.\n"
    assert {call[-1] for call in terminal.workspace.routing.calls} == {True}


def test_before_the_first_request_it_says_how_to_use_it(terminal: Terminal) -> None:
    terminal.workspace.routing.found = replace(terminal.workspace.routing.found, models=())
    assert terminal.run("router") == 0
    assert "config set llm router:" in terminal.out


def test_a_replay_shows_each_policy_with_its_interval_best_first(terminal: Terminal) -> None:
    assert terminal.run("router", "replay", "calls.jsonl", "--preference", "cheap", "--preference", "cost=0.2") == 0
    assert terminal.workspace.routing.calls == [("replay", Path("calls.jsonl"), ("cheap", "cost=0.2"))]
    assert "120 judged calls scored 0.650 [0.600, 0.700] at $0.002 each." in terminal.out
    assert terminal.out.index("always") < terminal.out.index("cheap")
    assert terminal.json("router", "replay")["policies"][0]["doubly_robust"]["value"] == 0.62
    assert terminal.workspace.routing.calls[-1] == ("replay", None, ())


def test_a_reply_is_rated_or_was_measured(terminal: Terminal) -> None:
    assert terminal.run("router", "rate", "c1", "0.9") == 0
    assert terminal.run("router", "rate", "c1", "0.25", "--evaluation") == 0
    assert terminal.workspace.routing.calls == [("rate", "c1", 0.9, False), ("rate", "c1", 0.25, True)]
    assert terminal.run("router", "rate", "c1", "7") == 2
