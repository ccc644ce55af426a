import shlex
from pathlib import Path

import pytest

from intelforge.core.errors import ConfigError, NotFoundError
from intelforge.core.settings_file import FILE_NAME, describe_settings, find_workspace, load_settings, write_setting


def test_flags_win_over_the_environment_and_that_over_the_file_and_each_tells_its_origin(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text('workers = 3\nllm = "none:"\nbatch_items = 7\n', encoding="utf-8")
    environment = {"INTELFORGE_WORKERS": "4", "INTELFORGE_LLM": "auto"}
    settings, origins = load_settings(tmp_path, flags={"llm": "ollama:x", "index": None}, environment=environment)
    assert (settings.batch_items, settings.workers, settings.llm) == (7, 4, "ollama:x")
    assert origins["batch_items"] == str(tmp_path / FILE_NAME)
    assert (origins["workers"], origins["llm"]) == ("environment INTELFORGE_WORKERS", "flag")
    assert "index" not in origins


@pytest.mark.parametrize(
    ("line", "words"),
    [("workers = 'x'", "workers"), ("wrokers = 1", "no setting 'wrokers'"), ("workers = ", "not valid TOML")],
)
def test_a_corrupt_value_names_the_setting_and_the_file(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / FILE_NAME).write_text(line, encoding="utf-8")
    with pytest.raises(ConfigError, match=words) as caught:
        load_settings(tmp_path, environment={})
    assert str(tmp_path / FILE_NAME) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_password_is_never_shown(tmp_path: Path) -> None:
    settings, origins = load_settings(tmp_path, flags={"database": "postgresql://me:hush@host/db"}, environment={})
    assert "hush" not in str(describe_settings(settings, origins))
    with pytest.raises(ConfigError) as caught:
        write_setting(tmp_path, "database", "mongodb://me:hush@host/db")
    assert "hush" not in str(caught.value)
    settings, origins = load_settings(tmp_path, flags={"llm": "https://h/v1?api_key=hush&x=1#m"}, environment={})
    [shown] = [entry for entry in describe_settings(settings, origins) if entry.name == "llm"]
    assert shown.value == "https://h/v1?api_key=***&x=1#m"
    settings, origins = load_settings(
        tmp_path, environment={"INTELFORGE_LLM_MODELS": "http://me:hush@h/v1#m, http://me:hush@h/v1#n"}
    )
    [shown] = [entry for entry in describe_settings(settings, origins) if entry.name == "llm_models"]
    assert shown.value == "http://me:***@h/v1#m, http://me:***@h/v1#n"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("database", "mongodb://x"),
        ("index", "nowhere:"),
        ("embedder", "word2vec:x"),
        ("reranker", "bert:x"),
        ("jobs", "cron:"),
        ("secrets", "vault:x"),
        ("llm", "gpt:x"),
        ("llm", "openai:x, gpt:y"),
    ],
)
def test_a_backend_that_is_not_there_is_refused_before_it_locks_the_workspace(
    tmp_path: Path, name: str, value: str
) -> None:
    with pytest.raises(ConfigError, match="no backend"):
        write_setting(tmp_path, name, value)
    assert not (tmp_path / FILE_NAME).exists()


def test_writing_keeps_comments_and_takes_lists(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("# mine\nworkers = 2  # few\n", encoding="utf-8")
    write_setting(tmp_path, "ignore", "a/, b/")
    write_setting(tmp_path, "embedder", "none:")
    write_setting(tmp_path, "reranker", "none:")
    text = (tmp_path / FILE_NAME).read_text(encoding="utf-8")
    assert text.startswith("# mine\nworkers = 2  # few\n")
    assert load_settings(tmp_path, environment={})[0].ignore == ("a/", "b/")


def test_the_nearest_workspace_upward_is_found(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).touch()
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert find_workspace(tmp_path / "a" / "b") == tmp_path
    with pytest.raises(NotFoundError, match="no workspace"):
        find_workspace(Path("/"))


@pytest.mark.parametrize(
    "value",
    [
        "auto",
        "none",
        "none:",
        "ollama:qwen3:8b",
        "http://localhost:1234/v1#m",
        "openai:gpt-x, anthropic:y, auto",
        "portkey:@team/gpt-x",
        "mock:script=rules.json",
    ],
)
def test_a_language_model_is_set_as_it_is_documented(tmp_path: Path, value: str) -> None:
    write_setting(tmp_path, "llm", value)
    assert load_settings(tmp_path, environment={})[0].llm == value


@pytest.mark.parametrize("line", ["llm = 5", "ignore = 'x'", "workers = 'many'"])
def test_the_fix_that_is_offered_mends_the_file(tmp_path: Path, line: str) -> None:
    (tmp_path / FILE_NAME).write_text(f"{line}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path, environment={})
    words = shlex.split(caught.value.hint.removeprefix("run: intelforge config set "))
    write_setting(tmp_path, *words)
    load_settings(tmp_path, environment={})


def test_an_unknown_name_is_placed_in_its_file_and_may_be_deleted(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("nope = 1\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"'nope' \(in {tmp_path}.*delete that line"):
        write_setting(tmp_path, "workers", "2")
