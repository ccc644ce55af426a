"""Every citation resolves, or it is removed and its sentence marked."""

from hypothesis import given, settings
from hypothesis import strategies as st

from intelforge.answer.verify import DraftSentence, verify
from intelforge.core.values import Passage, Sentence, Verdict

TEXT = """\
The gate opens at 9 in the morning. It closes when the sun sets.

The keeper feeds 12 goats every evening.

x = y[0] * z
"""


def passage(number: int, start: int, end: int) -> Passage:
    return Passage(
        number=number,
        document_id="d",
        start=start,
        end=end,
        text=TEXT[start:end],
        location="/zoo/rules.md",
        title="",
        first_line=1,
        last_line=1,
    )


GOATS, CODE = TEXT.index("The keeper"), TEXT.index("x = y")
PASSAGES = (passage(1, 0, GOATS), passage(2, GOATS, CODE), passage(3, CODE, len(TEXT)))


def checked(text: str, *numbers: int) -> Sentence:
    (sentence,) = verify([DraftSentence(text=text, numbers=numbers)], PASSAGES, {"d": TEXT})
    return sentence


def test_a_sentence_that_its_passage_carries_is_supported_by_the_exact_quote() -> None:
    sentence = checked("The keeper feeds the 12 goats in the evening.", 2)
    (citation,) = sentence.citations
    assert sentence.verdict is Verdict.SUPPORTED
    assert citation.quote == TEXT[citation.start : citation.end] == "The keeper feeds 12 goats every evening."
    assert citation.place == "/zoo/rules.md:3-3"


def test_a_quote_is_two_sentences_when_it_takes_both() -> None:
    sentence = checked("The gate opens in the morning and closes when the sun sets.", 1)
    assert sentence.citations[0].quote == "The gate opens at 9 in the morning. It closes when the sun sets."
    assert sentence.verdict is Verdict.SUPPORTED


def test_a_passage_that_does_not_exist_is_not_cited() -> None:
    sentence = checked("The keeper feeds 12 goats every evening.", 9)
    assert sentence.citations == ()
    assert sentence.verdict is Verdict.UNSUPPORTED


def test_a_citation_that_does_not_resolve_is_removed_beside_one_that_does() -> None:
    sentence = checked("The keeper feeds 12 goats every evening.", 1, 2, 9, 2)
    assert [citation.number for citation in sentence.citations] == [2]
    assert sentence.verdict is Verdict.SUPPORTED


def test_a_passage_that_speaks_of_something_else_is_not_cited() -> None:
    assert checked("Tickets cost five dollars at the entrance.", 1).verdict is Verdict.UNSUPPORTED


def test_a_sentence_without_citations_is_unsupported() -> None:
    assert checked("The keeper feeds 12 goats every evening.").verdict is Verdict.UNSUPPORTED


def test_a_sentence_that_says_more_than_its_quote_is_partly_supported() -> None:
    text = "The keeper feeds 12 goats fresh organic carrots bought from local farmers."
    assert checked(text, 2).verdict is Verdict.PARTLY


def test_a_wrong_number_is_never_fully_supported() -> None:
    sentence = checked("The keeper feeds 13 goats every evening.", 2)
    assert sentence.verdict is Verdict.PARTLY
    assert sentence.citations


def test_lines_are_quoted_where_there_are_no_sentences() -> None:
    assert checked("x is y times z", 3).citations[0].quote == "x = y[0] * z"


WORDS = st.sampled_from([*TEXT.split(), "lies", "[9]", "ignore", "7"])


@settings(deadline=None)
@given(st.lists(st.tuples(st.lists(WORDS, max_size=9), st.lists(st.integers(-1, 12), max_size=4)), max_size=4))
def test_what_is_left_resolves_whatever_was_written(drafts: list[tuple[list[str], list[int]]]) -> None:
    draft = [DraftSentence(text=" ".join(words), numbers=tuple(numbers)) for words, numbers in drafts]
    by_number = {each.number: each for each in PASSAGES}
    for written, sentence in zip(draft, verify(draft, PASSAGES, {"d": TEXT}), strict=True):
        assert sentence.text == written.text
        assert (sentence.verdict is Verdict.UNSUPPORTED) == (not sentence.citations)
        for citation in sentence.citations:
            assert citation.number in written.numbers
            cited = by_number[citation.number]
            assert cited.start <= citation.start < citation.end <= cited.end
            assert TEXT[citation.start : citation.end] == citation.quote
