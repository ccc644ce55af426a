from intelforge.refine.csv import extract_csv
from intelforge.refine.protocol import Extracted


def rows(extracted: Extracted) -> list[str]:
    return [extracted.text[block.start : block.end].rstrip("\n") for block in extracted.blocks]


def test_records_are_blocks_under_the_column_names() -> None:
    extracted = extract_csv(b'name;city\nAnn;"New\nYork"\nBob;Rome\n', media_type="text/csv")
    assert rows(extracted) == ["name;city", 'Ann;"New\nYork"', "Bob;Rome"]
    assert {block.heading for block in extracted.blocks} == {"name, city"}
    assert {block.kind for block in extracted.blocks} == {"table_row"}


def test_a_table_without_column_names_has_no_heading() -> None:
    extracted = extract_csv(b"1\tx\n2\ty\n", media_type="text/tab-separated-values")
    assert {block.heading for block in extracted.blocks} == {""}


def test_a_field_beyond_the_limit_of_the_parser_is_a_row_like_others() -> None:
    extracted = extract_csv(b"a,b\n" + b"x" * 200_000 + b",y\n1,2\n", media_type="text/csv")
    assert rows(extracted)[0] == "a,b"
    assert rows(extracted)[-1] == "1,2"
