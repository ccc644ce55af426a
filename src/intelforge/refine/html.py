"""HTML: the main content by trafilatura; the whole text of the body where that finds little."""

import re
from typing import Any

from lxml import etree  # type: ignore[import-untyped]
from lxml import html as lxml_html

from intelforge.core.errors import ErrorCode, ItemError
from intelforge.refine.protocol import Extracted
from intelforge.refine.text import Decoded, declared_charset, decode
from intelforge.refine.writer import Writer

MAX_ARTICLE = 3_000_000
"""characters; in a longer page the main content is not looked for"""
LITTLE = 250
"""characters of main content; with less, the whole body is taken"""

_DROPPED = {"script", "style", "template", "noscript", "iframe", "svg", "math", "head", "select", "button", "object"}
_BOILERPLATE = _DROPPED | {"nav", "footer", "aside", "form"}
_INLINE = {
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font", "hi", "i",
    "img", "ins", "kbd", "label", "mark", "q", "ref", "ruby", "s", "samp", "small", "span", "strike", "strong", "sub",
    "sup", "time", "tt", "u", "var", "wbr",
}  # fmt: skip
_ROWS, _CELLS, _ITEMS, _BREAKS = {"tr", "row"}, {"td", "th", "cell"}, {"li", "item", "dd"}, {"br", "lb"}
_METADATA = ("author", "date", "url", "sitename", "description")
_SPACES = re.compile(r"\s+")
_AROUND_BREAK = re.compile(r" *\n *")
_XML_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>")


def extract_html(data: bytes, *, media_type: str, charset: str | None = None) -> Extracted:
    """Raises ItemError when the page is empty or holds no text."""
    decoded = decode(data, declared=charset or declared_charset(data[:2048].decode("ascii", "replace")))
    return extract_page(decoded, media_type=media_type)


def extract_page(decoded: Decoded, *, media_type: str) -> Extracted:
    """The main content of a page with its title, author and date. Raises ItemError when it holds no text."""
    root = parse_html(decoded.text)
    title, metadata, writer = page_title(root), dict(decoded.metadata), Writer()
    article = _article(decoded.text) if len(decoded.text) <= MAX_ARTICLE else None
    if article is not None:
        title = article.title or title
        metadata |= {name: str(getattr(article, name, None) or "") for name in _METADATA}
        write_tree(article.body, writer)
    if writer.length < LITTLE:
        body = Writer()
        write_tree(root, body, without=_BOILERPLATE)
        writer = body if body.length else writer
    if not writer.length:
        write_tree(root, writer)
    return writer.finish(media_type=media_type, title=title, metadata=metadata)


def parse_html(text: str) -> Any:
    """The element tree of a page; never fetches anything. Raises ItemError when there is no element in it."""
    parser = lxml_html.HTMLParser(no_network=True, huge_tree=True, encoding="utf-8", remove_comments=True)
    source = _XML_DECLARATION.sub("", text).encode()
    try:
        root = lxml_html.document_fromstring(source, parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError) as error:
        raise ItemError("there is no page in it", hint="nothing to do", code=ErrorCode.UNSUPPORTED) from error
    return root


def page_title(root: Any) -> str:
    return " ".join((root.findtext(".//title") or "").split())


def write_tree(root: Any, writer: Writer, *, without: "set[str]" = _DROPPED) -> None:
    """Writes the text of an element tree, of HTML or as trafilatura gives it, block by block."""
    _TreeWriter(writer).walk(root, without)


class _TreeWriter:
    """Gathers inline text until a block begins or ends. Walks without recursion: pages nest as deep as they like."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._parts: list[str] = []
        self._open: list[tuple[str, Any]] = []
        """kind and element of the blocks being read, innermost last"""

    @property
    def _kind(self) -> str:
        return self._open[-1][0] if self._open else "paragraph"

    def walk(self, root: Any, without: "set[str]") -> None:
        walker = etree.iterwalk(root, events=("start", "end"))
        for event, element in walker:
            tag = _tag(element)
            if event == "start":
                if self._is_left_out(tag, element, without):
                    walker.skip_subtree()
                elif tag:
                    self._enter(tag, element)
                continue
            if tag and not self._is_left_out(tag, element, without):
                self._leave(tag, element)
            if element is not root:
                self._add(element.tail)
        self._flush()

    @staticmethod
    def _is_left_out(tag: str, element: Any, without: "set[str]") -> bool:
        """`head` is left out in HTML and a heading in trafilatura's trees."""
        return tag in without and not _kind(tag, element)

    def _enter(self, tag: str, element: Any) -> None:
        kind = _kind(tag, element)
        if tag in _BREAKS:
            self._parts.append("\n")
        elif kind:
            on_one_line = self._kind in ("table_row", "heading") and kind != "table_row"
            self._boundary(closes=kind == "table_row")
            if not on_one_line:
                self._open.append((kind, element))
        elif tag not in _INLINE:
            self._boundary()
        self._add(element.text)

    def _leave(self, tag: str, element: Any) -> None:
        is_open = bool(self._open) and self._open[-1][1] is element
        if is_open and self._kind == "heading":
            text = " ".join("".join(self._parts).split())
            self._parts.clear()
            self._open.pop()
            self._writer.write_heading(text, _level(tag, element))
        elif is_open:
            self._flush()
            self._open.pop()
        elif tag in _CELLS:
            self._parts.append(" | ")
        elif tag not in _INLINE and tag not in _BREAKS:
            self._boundary()

    def _boundary(self, *, closes: bool = False) -> None:
        """Blocks within a row or heading do not end it, but rows of a table within a row do."""
        if self._kind in ("table_row", "heading") and not closes:
            self._parts.append(" ")
        else:
            self._flush()

    def _add(self, text: str | None) -> None:
        if text:
            self._parts.append(text if self._kind == "code" else _SPACES.sub(" ", text))

    def _flush(self) -> None:
        text = "".join(self._parts)
        self._parts.clear()
        kind = self._kind
        if kind == "table_row":
            text = " | ".join(cell.strip() for cell in text.split(" | ") if cell.strip())
        self._writer.write(text.strip("\n") if kind == "code" else _AROUND_BREAK.sub("\n", _double_space(text)), kind)


def _double_space(text: str) -> str:
    return re.sub(r"  +", " ", text)


def _tag(element: Any) -> str:
    """The local name in lower case; empty for comments and processing instructions."""
    return element.tag.rpartition("}")[2].lower() if isinstance(element.tag, str) else ""


def _kind(tag: str, element: Any) -> str:
    if (len(tag) == 2 and tag[0] == "h" and tag[1] in "123456") or (tag == "head" and element.get("rend")):
        return "heading"
    if tag in _ROWS:
        return "table_row"
    if tag in _ITEMS:
        return "list"
    if tag == "pre" or (tag == "code" and len(element) and _tag(element[0]) == "code"):
        return "code"
    return "paragraph" if tag in ("p", "blockquote", "quote") else ""


def _level(tag: str, element: Any) -> int:
    name = tag if tag != "head" else element.get("rend", "h2")
    return int(name[1]) if name[1:2].isdigit() else 2


def _article(text: str) -> Any:
    """What trafilatura takes for the main content; None when it finds none."""
    from trafilatura import bare_extraction

    try:
        return bare_extraction(text, with_metadata=True, include_comments=False, include_tables=True)
    except RecursionError:  # elements nested thousands deep
        return None
