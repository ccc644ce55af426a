import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intelforge.models.window import families
from intelforge.models.window.families import Family, family_of
from intelforge.models.window.features import Features, features_of

FAMILIES = [value for value in vars(families).values() if isinstance(value, Family)]


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("openai:gpt-5-mini", "openai"),
        ("openai:o3", "openai"),
        ("openrouter:openai/gpt-4o-mini", "gpt-4o-mini"),
        ("openrouter:openai/gpt-4o", "openai"),
        ("ollama:gpt-oss:20b", "openai"),
        ("ollama:qwen3:8b", "qwen"),
        ("ollama:deepseek-r1:8b", "llama"),
        ("ollama:deepseek-r1:14b", "qwen"),
        ("deepseek:deepseek-chat", "deepseek"),
        ("openai:gpt-4-turbo", "llama"),
        ("ollama:llama3.2:3b", "llama"),
        ("gemini:gemini-2.5-flash", "gemma"),
        ("anthropic:claude-sonnet-4-5", "claude"),
        ("openrouter:anthropic/claude-opus-4.1", "claude"),
        ("mistral:mistral-small-latest", "mistral"),
        ("cohere:command-a-03-2025", "command"),
        ("anthropic:something-new", "claude"),
        ("compatible:my-own-model", "unknown"),
        ("my-own-model", "unknown"),
    ],
)
def test_the_family_is_found_by_name_then_by_provider(model: str, family: str) -> None:
    assert family_of(model).name == family


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_family_states_its_error(family: Family) -> None:
    assert family.exact == (family.error == 0.0)
    assert family.error <= family.error_beyond_ascii


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@settings(deadline=None)  # the first of them reads a table
@given(text=st.text(max_size=80))
def test_an_estimate_is_never_negative_and_nothing_only_for_nothing(family: Family, text: str) -> None:
    tokens = family.tokens(features_of(text))
    assert (tokens > 0) == bool(text)


def test_features_tell_scripts_apart() -> None:
    found = features_of("né 12, привет שלום नमस्ते 東京  x")
    assert found == Features(
        found.o200k, digits=2, spaces=1, marks=1, east_asian=2, latin=1, greek_cyrillic=6, hebrew_arabic=4, indic=6
    )
