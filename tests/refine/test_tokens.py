import os
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from intelforge.core.errors import ErrorCode, ModelError
from intelforge.index import weights
from intelforge.refine.tokens import TokenIndex, WordPieceCounter, estimate, token_counter


@pytest.fixture(scope="module")
def tokenizer_path() -> Path:
    folder = weights.find("all-MiniLM-L6-v2", cache=weights.cache_folder())
    if folder is None:
        reason = "the model is not here; run: intelforge models pull all-MiniLM-L6-v2"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder / weights.TOKENIZER


@pytest.fixture(scope="module")
def reference(tokenizer_path: Path) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(tokenizer_path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@pytest.fixture(scope="module")
def counter(tokenizer_path: Path) -> WordPieceCounter:
    return WordPieceCounter(tokenizer_path)


TEXTS = st.text(st.characters(codec="utf-8"), max_size=60) | st.text(
    st.sampled_from("abcXYZ019_-.(){}[]<>='\"é\u0301漢字かな한ßﬁ≠€ \t\n\r\x00\x01\x0b\x0c\x85\xa0\u2028\u200b\ufffd"),
    max_size=60,
)


@given(TEXTS)
@example("[MASK] and [SEP]x")
@example("x" * 101 + " " + "y" * 100)
@example("naïve café Å \u1100\u1161\u11a8")
@settings(max_examples=500, deadline=None)
def test_counts_are_those_of_the_tokenizers_library(counter: WordPieceCounter, reference: Tokenizer, text: str) -> None:
    assert counter(text) == len(reference.encode(text, add_special_tokens=False).ids)


@given(text=st.text(st.sampled_from("ab c\n.é漢"), max_size=3000), cuts=st.tuples(st.integers(0), st.integers(0)))
@settings(deadline=None)
def test_an_index_counts_spans_between_words_like_the_counter(
    counter: WordPieceCounter, text: str, cuts: tuple[int, int]
) -> None:
    index = TokenIndex(text, counter)
    start, end = sorted(cut % (len(text) + 1) for cut in cuts)
    stripped = text[start:end].strip()
    begin = text.find(stripped, start)
    assert index(begin, begin + len(stripped)) == counter(stripped)
    assert TokenIndex(text, estimate)(begin, begin + len(stripped)) == estimate(stripped)


def test_the_vocabulary_of_seen_words_is_bounded(
    counter: WordPieceCounter, reference: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("intelforge.refine.tokens.MAX_WORDS", 10)
    text = " ".join(f"word{n}" for n in range(50))
    assert counter(text) == counter(text) == len(reference.encode(text, add_special_tokens=False).ids)


def test_the_estimate_is_near_the_count_on_prose_and_code(counter: WordPieceCounter) -> None:
    prose = (estimate.__doc__ or "") + (WordPieceCounter.__doc__ or "")
    code = Path(__file__).read_text(encoding="utf-8")
    for text in (prose, code):
        assert 0.9 < estimate(text) / counter(text) < 1.25


def test_without_a_tokenizer_tokens_are_estimated() -> None:
    assert token_counter(None) is estimate


def test_a_missing_or_broken_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read") as caught:
        token_counter(tmp_path / "tokenizer.json")
    assert caught.value.error_code is ErrorCode.MISSING_MODEL
    (tmp_path / "tokenizer.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match="is no tokenizer"):
        token_counter(tmp_path / "tokenizer.json")
