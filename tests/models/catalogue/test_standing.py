"""How models are likely to stand to each other, by what is known of them and by their names."""

import pytest

from intelforge.models.catalogue.catalogue import Catalogue
from intelforge.models.catalogue.standing import SPECIAL, expected_doublings


def expected(name: str) -> float:
    found = expected_doublings(Catalogue(environment={}).facts(name))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("ollama:qwen3:32b", "ollama:qwen3:8b"),
        ("ollama:qwen3:8b", "ollama:qwen3:0.6b"),
        ("ollama:qwen3:8b-q8_0", "ollama:qwen3:8b"),
        ("ollama:qwen3.5:9b", "ollama:llama3.1:8b"),
        ("ollama:qwen3:30b", "ollama:qwen3:8b"),
        ("ollama:qwen3:32b", "ollama:qwen3:30b"),
        ("openrouter:qwen/qwen3-32b", "openrouter:meta-llama/llama-3.1-8b-instruct"),
        ("compatible:gpu.lan:8000/org/Some-34B-chat", "compatible:gpu.lan:8000/org/Some-7B-chat"),
        ("compatible:gpu.lan:8000/some-8x7b", "compatible:gpu.lan:8000/some-7b"),
        ("compatible:gpu.lan:8000/some-70b", "compatible:gpu.lan:8000/some-8x7b"),
        ("compatible:gpu.lan:8000/some-235b-a22b", "compatible:gpu.lan:8000/some-30b-a3b"),
        ("compatible:gpu.lan:8000/some-1.5b", "compatible:gpu.lan:8000/some-500m"),
    ],
)
def test_the_larger_the_newer_and_the_less_packed_stands_above(better: str, worse: str) -> None:
    assert expected(better) > expected(worse)


def test_a_mixture_counts_by_the_mean_of_all_and_active_parameters() -> None:
    assert expected("compatible:h:1/some-32b-a2b") == pytest.approx(expected("compatible:h:1/some-8b"))


@pytest.mark.parametrize("name", ["codellama-13b", "starcoder-13b", "some-math-13b", "some-13b-base", "llamaguard-13b"])
def test_a_model_for_one_purpose_stands_below_a_general_one_of_its_size(name: str) -> None:
    assert expected("compatible:h:1/some-13b") - expected(f"compatible:h:1/{name}") == pytest.approx(SPECIAL)


@pytest.mark.parametrize("name", ["openai:gpt-5-mini", "ollama:own", "compatible:h:1/v2b3", "mock:", "some-7b"])
def test_a_name_without_a_size_tells_nothing(name: str) -> None:
    assert expected_doublings(Catalogue(environment={}).facts(name)) is None
