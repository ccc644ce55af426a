from intelforge.core.model_reports import ModelCheck
from intelforge.testing.terminal import Terminal

FINE = ModelCheck(name="ollama:qwen3:8b", reachable=True, authorised=True, present=True, local=True, tools=True)
WRONG = ModelCheck(
    name="openai:gpt-x", authorised=False, problem="openai:gpt-x refused the key", hint="check OPENAI_API_KEY"
)


def test_check_takes_names_or_the_setting(terminal: Terminal) -> None:
    terminal.workspace.model_checks = [FINE]
    assert terminal.json("models", "check")["ok"] is True
    assert terminal.json("models", "check", "openai:gpt-x", "mock:")["checks"][0]["name"] == "ollama:qwen3:8b"
    assert terminal.workspace.calls == [("check_models",), ("check_models", "openai:gpt-x", "mock:")]


def test_check_shows_what_is_wrong_and_how_to_mend_it(terminal: Terminal) -> None:
    terminal.workspace.model_checks = [FINE, WRONG]
    assert terminal.run("models", "check") == 1
    assert "openai:gpt-x refused the key; check OPENAI_API_KEY" in terminal.out
    assert "ollama:qwen3:8b" in terminal.out


def test_check_without_a_model_says_how_to_name_one(terminal: Terminal) -> None:
    assert terminal.run("models", "check") == 0
    assert "config set llm" in terminal.out
