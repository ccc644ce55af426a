"""Puts an extracted text together block by block, so that the blocks' spans are right by construction."""

from collections.abc import Iterable, Mapping

from intelforge.core.errors import ErrorCode, ItemError
from intelforge.refine.protocol import Block, Extracted
from intelforge.refine.text import clean

_TIGHT = {"table_row", "list", "code"}


class Writer:
    """Collects blocks in reading order; headings nest by their level."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._blocks: list[Block] = []
        self._length = 0
        self._path: list[tuple[int, str]] = []
        self.first_heading = ""

    @property
    def heading(self) -> str:
        """The headings that hold what is written next, outermost first: `Guide > Install`."""
        return join_headings(text for _, text in self._path)

    @property
    def length(self) -> int:
        """Characters written so far."""
        return self._length

    def write(self, text: str, kind: str = "paragraph") -> None:
        """Adds a block; blank ones are left out."""
        text = clean(text).strip()
        if not text:
            return
        if self._blocks:
            tight = kind in _TIGHT and self._blocks[-1].kind == kind
            separator = "\n" if tight else "\n\n"
            self._parts.append(separator)
            self._length += len(separator)
        start = self._length
        self._parts.append(text)
        self._length += len(text)
        self._blocks.append(Block(start=start, end=self._length, kind=kind, heading=self.heading))

    def open_heading(self, text: str, level: int) -> None:
        """What follows belongs under this heading; the heading itself is not written."""
        text = " ".join(clean(text).split())
        while self._path and self._path[-1][0] >= level:
            self._path.pop()
        if text:
            self._path.append((level, text))
            self.first_heading = self.first_heading or text

    def write_heading(self, text: str, level: int) -> None:
        self.open_heading(text, level)
        self.write(" ".join(text.split()), "heading")

    def finish(
        self, *, media_type: str, title: str = "", language: str = "", metadata: Mapping[str, str] | None = None
    ) -> Extracted:
        """Raises ItemError when nothing was written."""
        if not self._blocks:
            raise ItemError("there is no text in it", hint="nothing to do", code=ErrorCode.UNSUPPORTED)
        cleaned = {name: " ".join(clean(value).split()) for name, value in (metadata or {}).items()}
        return Extracted(
            text="".join(self._parts),
            blocks=tuple(self._blocks),
            media_type=media_type,
            title=" ".join(clean(title).split()),
            language=language,
            metadata={name: value for name, value in cleaned.items() if value},
        )


def join_headings(headings: Iterable[str]) -> str:
    """A heading path. The separator within a heading is softened, so that paths can be taken apart again."""
    return " > ".join(text.replace(" > ", " / ") for text in headings)
