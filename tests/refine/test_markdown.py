import pytest

from intelforge.refine.markdown import extract_markdown, plain_heading, structure

SOURCE = """---
title: "The guide"
---
Before.

# Guide *to* `it`

Words
here.

- one
- two

Install
-------

```sh
run # no heading
```

| a | b |
|---|---|
| 1 | 2 |

> # Quoted
"""


def test_blocks_lie_on_the_source_under_their_headings() -> None:
    extracted = extract_markdown(SOURCE.encode(), media_type="text/markdown")
    assert extracted.text == SOURCE
    assert extracted.title == "The guide"
    found = [(b.kind, b.heading, extracted.text[b.start : b.end].strip()) for b in extracted.blocks]
    path = "Guide to it > Install"
    assert found == [
        ("code", "", '---\ntitle: "The guide"\n---'),
        ("paragraph", "", "Before."),
        ("heading", "Guide to it", "# Guide *to* `it`"),
        ("paragraph", "Guide to it", "Words\nhere."),
        ("list", "Guide to it", "- one\n- two"),
        ("heading", path, "Install\n-------"),
        ("code", path, "```sh\nrun # no heading\n```"),
        ("table_row", path, "| a | b |"),
        ("table_row", path, "| 1 | 2 |"),
        ("paragraph", path, "> # Quoted"),
    ]


def test_a_heading_closes_the_deeper_ones_before_it() -> None:
    blocks, title = structure("# A\n### B\n## C\n# D\n")
    assert [block.heading for block in blocks] == ["A", "A > B", "A > C", "D"]
    assert title == "A"


def test_the_title_is_the_highest_heading() -> None:
    assert structure("## Small\n\n# Large\n")[1] == "Large"


def test_marks_are_taken_out_of_headings() -> None:
    assert plain_heading("**Use** [it](http://x) ![img](y) <b>now</b> a > b") == "Use it img now a > b"


def test_a_separator_within_a_heading_does_not_nest() -> None:
    assert structure("# a > b\n")[0][0].heading == "a / b"


def test_a_very_long_text_is_taken_by_paragraphs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intelforge.refine.markdown.MAX_PARSED", 5)
    assert [block.kind for block in structure("# A\n\nwords\n")[0]] == ["paragraph", "paragraph"]
