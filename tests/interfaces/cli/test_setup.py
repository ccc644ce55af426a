from pathlib import Path

from intelforge.testing.terminal import Terminal


def test_init_takes_the_path_or_the_global_option(terminal: Terminal) -> None:
    assert terminal.json("init", "/a")["path"] == "/a"
    assert terminal.json("-w", "/b", "init")["path"] == "/b"
    assert terminal.json("init")["path"] == str(Path.cwd())
    assert terminal.run("-w", "/b", "init", "/a") == 2
    assert terminal.err == "error: two folders are named; give PATH or --workspace, not both\n"


def test_init_says_what_comes_next(terminal: Terminal) -> None:
    terminal.run("init", "/a")
    assert terminal.out == "Workspace ready: /a\nNext: intelforge add PATH_OR_URL\n"


def test_config_set_writes_and_shows_the_new_value(terminal: Terminal) -> None:
    assert terminal.run("-w", "/here", "config", "set", "embedder", "none:") == 0
    assert terminal.written == [(Path("/here"), "embedder", "none:")]
    assert "embedder  none:" in terminal.out
    assert "jobs" not in terminal.out


def test_config_show_does_not_need_the_database(terminal: Terminal) -> None:
    assert terminal.run("config", "show") == 0
    assert terminal.workspace.closed == 0


def test_config_set_without_a_workspace_says_so(terminal: Terminal) -> None:
    assert terminal.run("-w", "/nowhere", "config", "set", "embedder", "none:") == 4
    assert "run: intelforge init" in terminal.err


def test_models_pull_fetches_the_default_model(terminal: Terminal) -> None:
    (model,) = terminal.json("models", "pull")["models"]
    assert model["present"] is True
    assert model["size_bytes"] == 90_000_000


def test_unknown_model_is_refused_with_the_known_ones(terminal: Terminal) -> None:
    assert terminal.run("models", "pull", "moon") == 4
    assert terminal.err == "error: there is no model 'moon'; known: all-MiniLM-L6-v2\n"


def test_settings_that_are_named_are_shown_with_what_they_mean(terminal: Terminal) -> None:
    assert terminal.run("config", "show", "embedder", "jobs") == 0
    assert terminal.out.splitlines() == [
        "embedder = none:  from /data/intelforge.toml",
        "Jobs. Default: dbos:.",
        "",
        "jobs = dbos:",
        "Jobs. Default: dbos:.",
    ]
    assert [one["name"] for one in terminal.json("config", "show", "jobs")["settings"]] == ["jobs"]
    assert terminal.run("config", "show", "wrokers") == 4
    assert terminal.err == "error: there is no setting 'wrokers'; see: intelforge config show\n"
