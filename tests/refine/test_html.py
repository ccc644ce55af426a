import pytest

from intelforge.core.errors import ItemError
from intelforge.refine.html import extract_html
from intelforge.refine.protocol import Extracted

ARTICLE = "<p>" + "This paragraph is long enough to be taken for the main content of a page. " * 3 + "</p>"
PAGE = f"""<!DOCTYPE html><html><head><title>Site: page</title><meta name="author" content="Ann Smith">
<meta property="article:published_time" content="2024-03-01"></head><body><nav><a href="/">Home menu</a></nav>
<article><h1>Main</h1>{ARTICLE}<h2>Steps</h2><ul><li>one<ul><li>nested</li></ul></li><li>two</li></ul>
<pre><code>x = 1
  y = 2</code></pre><table><tr><th>Name</th><th>Size</th></tr><tr><td>disk</td><td>2</td></tr></table>
{ARTICLE.replace("This", "Another")}</article><footer>Legal foot</footer></body></html>"""


def extract(page: str | bytes) -> Extracted:
    data = page if isinstance(page, bytes) else page.encode()
    return extract_html(data, media_type="text/html")


def parts(extracted: Extracted, kind: str) -> list[tuple[str, str]]:
    return [
        (block.heading, extracted.text[block.start : block.end]) for block in extracted.blocks if block.kind == kind
    ]


def test_an_article_keeps_its_structure_and_loses_what_is_around_it() -> None:
    extracted = extract(PAGE)
    assert parts(extracted, "heading") == [("Main", "Main"), ("Main > Steps", "Steps")]
    assert [text for _, text in parts(extracted, "list")] == ["one", "nested", "two"]
    assert parts(extracted, "code") == [("Main > Steps", "x = 1\n  y = 2")]
    assert [text for _, text in parts(extracted, "table_row")] == ["Name | Size", "disk | 2"]
    assert "menu" not in extracted.text
    assert "Legal" not in extracted.text
    assert extracted.title == "Main"
    assert extracted.metadata["author"] == "Ann Smith"
    assert extracted.metadata["date"] == "2024-03-01"


def test_a_page_with_little_main_content_gives_its_whole_body() -> None:
    extracted = extract("<title>T</title><body>just <div>a <b>lit</b>tle<br>text</div>here<script>no()</script></body>")
    assert extracted.text == "just\n\na little\ntext\n\nhere"
    assert extracted.title == "T"


def test_a_page_of_navigation_alone_gives_the_navigation() -> None:
    assert extract("<nav><a>Only</a> links</nav>").text == "Only links"


def test_layout_in_tables_and_cells_stays_on_its_row() -> None:
    extracted = extract("<table><tr><td><p>a</p><p>b</p></td><td>c</td></tr></table>")
    assert parts(extracted, "table_row") == [("", "a b | c")]


@pytest.mark.parametrize("page", ["<script>only()</script>", "<!-- nothing -->", "<html></html>"])
def test_a_page_without_text_is_refused(page: str) -> None:
    with pytest.raises(ItemError, match="there is no"):
        extract(page)


def test_the_encoding_that_a_page_declares_is_used() -> None:
    extracted = extract('<meta charset="koi8-r"><body>наука и жизнь</body>'.encode("koi8-r"))
    assert extracted.text == "наука и жизнь"
    assert extracted.metadata["encoding"] == "koi8-r"


def test_xhtml_with_an_encoding_declaration_is_read() -> None:
    assert extract('<?xml version="1.0" encoding="utf-8"?><html><body>words</body></html>').text == "words"


def test_elements_nested_very_deep_are_read() -> None:
    assert "deep" in extract("<div>" * 1500 + "deep" + "</div>" * 1500).text


def test_a_very_long_page_is_read_without_looking_for_an_article(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intelforge.refine.html.MAX_ARTICLE", 10)
    extracted = extract(PAGE)
    assert "Another paragraph" in extracted.text
    assert extracted.title == "Site: page"
