from importlib import resources

import pytest

from intelforge.core.errors import ErrorCode, ModelError
from intelforge.models.window.o200k import PIECE, SHA256, TOKENS, count_o200k, published_sha256, ranks_of


@pytest.fixture(scope="module")
def packed() -> bytes:
    return resources.files("intelforge.models.window").joinpath("data/o200k_base.xz").read_bytes()


def test_the_table_is_the_published_one(packed: bytes) -> None:
    ranks = ranks_of(packed)
    assert len(ranks) == TOKENS
    assert published_sha256(ranks) == SHA256


def test_a_damaged_table_is_refused(packed: bytes) -> None:
    with pytest.raises(ModelError) as raised:
        ranks_of(packed[:-1000])
    assert raised.value.error_code is ErrorCode.UNTRUSTED


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("hello world", 2),
        ("tiktoken is great!", 6),
        ("antidisestablishmentarianism", 6),
        ("2 + 2 = 4", 7),
        ("お誕生日おめでとう", 8),
    ],
)
def test_counts_are_those_openai_publishes(text: str, tokens: int) -> None:
    """The examples of OpenAI's cookbook, `How to count tokens with tiktoken`."""
    assert count_o200k(text) == tokens


def test_special_tokens_in_a_text_are_words() -> None:
    assert count_o200k("<|endoftext|>") > 1


def test_half_a_surrogate_pair_is_counted() -> None:
    assert count_o200k("a\ud83db") >= 2


def test_one_endless_word_takes_no_time() -> None:
    assert count_o200k("a" * (4 * PIECE)) > 0
