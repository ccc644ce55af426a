"""The benchmark of the gateway: its own arithmetic, and one short run on a real server and provider."""

import argparse
import importlib
import json
from pathlib import Path
from typing import Any

import pytest


def module(name: str) -> Any:
    return importlib.import_module(name)


def row(system: str, *, per_second: float, memory_mb: float) -> Any:
    return module("gateway").Measured(
        system=system,
        kind="chat",
        connections=4,
        per_second=per_second,
        p50_ms=1.0,
        p95_ms=2.0,
        p99_ms=3.0,
        memory_mb=memory_mb,
    )


def test_goals_are_held_against_the_peer_in_the_same_run() -> None:
    gateway = module("gateway")
    spent = gateway.Overhead(direct_p50=1.0, gateway_p50=3.5)
    rows = [row("intelforge", per_second=600, memory_mb=200), row("litellm", per_second=150, memory_mb=300)]
    goals = {goal.what: (goal.value, goal.met) for goal in gateway.goals(rows, spent)}
    assert goals == {
        "overhead of a call in process, p50": (2.5, True),
        "times LiteLLM's requests a second: chat, 4 connections": (4.0, True),
        "memory: chat, 4 connections": (200, True),
    }
    slower = [row("intelforge", per_second=400, memory_mb=301), rows[1]]
    assert [goal.met for goal in gateway.goals(slower, spent)] == [True, False, False]
    assert [goal.what for goal in gateway.goals(rows[:1], spent)] == ["overhead of a call in process, p50"]


def test_quantiles_are_in_milliseconds() -> None:
    told = {"seconds": [number / 1000 for number in range(1, 102)], "per_second": 7.0}
    found = module("gateway")._measured("intelforge", "chat", 4, told, 3_000_000)
    assert (found.p50_ms, found.p95_ms, found.p99_ms, found.memory_mb) == pytest.approx((51.0, 96.0, 100.0, 3.0))


def test_one_run_measures_every_kind_and_says_it_as_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module("gateway"), "CALLS", 5)
    module("gateway").main(["--connections", "2", "--seconds", "0.5", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert [(found["system"], found["kind"], found["connections"]) for found in told["rows"]] == [
        ("intelforge", kind, 2) for kind in ("chat", "stream", "embeddings")
    ]
    assert all(found["per_second"] > 0 and found["memory_mb"] > 10 for found in told["rows"])
    assert told["overhead_ms_p50"] > 0


def test_a_wrong_reply_ends_the_run(tmp_path: Path) -> None:
    gateway = module("gateway")
    with gateway.provider() as port, pytest.raises(RuntimeError, match="a wrong reply"):
        gateway._asked(f"http://127.0.0.1:{port}/embeddings", "chat", "test", 1, 0.2)


def test_a_program_that_does_not_start_is_said_with_what_it_wrote() -> None:
    gateway = module("gateway")
    with (
        pytest.raises(RuntimeError, match=r"did not start.*no-such-option"),
        gateway.started(["python", "--no-such-option"], ready=lambda: False),
    ):
        pass


def test_numbers_are_read_from_one_argument() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--connections", type=module("gateway")._numbers)
    assert parser.parse_args(["--connections", "1,32"]).connections == [1, 32]
