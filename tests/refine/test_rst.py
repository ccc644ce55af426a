from intelforge.refine.rst import extract_rst

SOURCE = """=====
Title
=====

Words
here.

Install
-------

First::

    ---
    code

Deep
~~~~
End.

Use
---
"""


def test_titles_nest_in_the_order_their_styles_appear() -> None:
    extracted = extract_rst(SOURCE.encode(), media_type="text/x-rst")
    assert extracted.title == "Title"
    found = [
        (block.kind, block.heading, extracted.text[block.start : block.end].strip("\n")) for block in extracted.blocks
    ]
    assert found == [
        ("heading", "Title", "=====\nTitle\n====="),
        ("paragraph", "Title", "Words\nhere."),
        ("heading", "Title > Install", "Install\n-------"),
        ("paragraph", "Title > Install", "First::"),
        ("paragraph", "Title > Install", "    ---\n    code"),
        ("heading", "Title > Install > Deep", "Deep\n~~~~"),
        ("paragraph", "Title > Install > Deep", "End."),
        ("heading", "Title > Use", "Use\n---"),
    ]
