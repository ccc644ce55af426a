"""Finding Ollama and a model of it."""

import random

import pytest

from intelforge.core.errors import ConfigError
from intelforge.models.ollama import InstalledModel, choose_chat_model, is_remote, ollama_url


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        (":8080", "http://127.0.0.1:8080"),
        ("box", "http://box:11434"),
        ("http://box:11434/", "http://box:11434"),
        ("https://box", "https://box"),
        ("[::1]:1234", "http://[::1]:1234"),
    ],
)
def test_reads_ollama_host_as_ollama_does(given: str, url: str) -> None:
    assert ollama_url({"OLLAMA_HOST": given}) == url


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="OLLAMA_HOST"):
        ollama_url({"OLLAMA_HOST": "[::1"})


MODELS = [
    InstalledModel(name="nomic-embed-text:latest", parameters=137e6, family="nomic-bert"),
    InstalledModel(name="all-minilm:latest", parameters=23e6, family="bert"),
    InstalledModel(name="gpt-oss:120b-cloud", parameters=117e9, family="gptoss"),
    InstalledModel(name="llama3.2:1b", parameters=1.2e9, family="llama"),
    InstalledModel(name="qwen2.5-coder:7b", parameters=7.6e9, family="qwen2"),
    InstalledModel(name="qwen3:8b", parameters=8.2e9, family="qwen3"),
    InstalledModel(name="llama3.3:70b", parameters=70.6e9, family="llama"),
]


def test_chooses_the_largest_general_model_that_is_comfortable_whatever_the_order() -> None:
    for seed in range(5):
        shuffled = random.Random(seed).sample(MODELS, len(MODELS))
        assert choose_chat_model(shuffled) == "qwen3:8b"


def test_chooses_a_specialised_or_large_model_when_there_is_no_other() -> None:
    assert choose_chat_model([MODELS[0], MODELS[4]]) == "qwen2.5-coder:7b"
    assert choose_chat_model([MODELS[0], MODELS[6]]) == "llama3.3:70b"


def test_never_chooses_an_embedding_model_or_one_that_runs_elsewhere() -> None:
    assert choose_chat_model(MODELS[:3]) is None
    assert is_remote("gpt-oss:120b-cloud")
    assert not is_remote("cloudy:8b")
