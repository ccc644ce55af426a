"""Bytes to text that every database can hold.

Offsets are counted in the text these functions return. Newlines become `\\n`, so line numbers are those of the file.
Control characters become spaces and lone surrogates U+FFFD, because SQL text can hold neither NUL nor surrogates.
"""

import codecs
import re
from dataclasses import dataclass

from intelforge.core.errors import ErrorCode, ItemError

SAMPLE = 64 * 1024
"""bytes looked at to guess an encoding"""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_CONTROL_BYTES = bytes(sorted(set(range(32)) - set(b"\t\n\r\f\b\x1b") | {127}))
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
_CODING = re.compile(rb"\A(?:[^\n]*\n)?[ \t\f]*#[^\n]*?coding[:=][ \t]*([-\w.]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """A text with the encoding it was in; `damaged` when some bytes fitted no encoding and became U+FFFD."""

    text: str
    encoding: str
    damaged: bool = False

    @property
    def metadata(self) -> dict[str, str]:
        """Says what a reader should know: nothing for plain UTF-8."""
        if self.damaged:
            return {"encoding": self.encoding, "note": "some bytes are not valid in this encoding"}
        return {} if self.encoding == "utf-8" else {"encoding": self.encoding}


def decode(data: bytes, *, declared: str | None = None) -> Decoded:
    """The text of these bytes: by byte order mark, as UTF-8, as declared, or by the best guess, in this order.

    Never fails on invalid bytes. Raises ItemError when there is nothing in them.
    """
    if not data.strip():
        raise ItemError("the item is empty", hint="nothing to do", code=ErrorCode.UNSUPPORTED)
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return _lossy(data[len(mark) :], encoding)
    wide = wide_encoding(data)
    if wide:
        return _lossy(data, wide)
    for candidate in ("utf-8", declared):
        text = _strict(data, candidate)
        if candidate and text is not None:
            return Decoded(text=clean(text), encoding=candidate)
    return _lossy(data, _guess(data))


def clean(text: str) -> str:
    """The text with `\\n` newlines and without characters that databases refuse."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if _UNSAFE.search(text):
        text = _UNSAFE.sub(lambda match: "\ufffd" if match[0] >= "\ud800" else " ", text)
    return text


def declared_charset(media_type: str | None) -> str | None:
    """`text/html; charset=latin-1` gives `latin-1`; None when none, or none that is known, is declared."""
    match = _CHARSET.search(media_type or "")
    return _known(match[1]) if match else None


def source_charset(data: bytes) -> str | None:
    """The encoding that a source file declares in its first two lines (PEP 263)."""
    match = _CODING.match(data[:400])
    return _known(match[1].decode("ascii", "replace")) if match else None


def is_binary(data: bytes) -> bool:
    """Whether the first bytes are no text in any encoding: more than one in twenty is a control character."""
    sample = data[:8192]
    if any(sample.startswith(mark) for mark, _ in _BOMS) or wide_encoding(sample):
        return False
    return (len(sample) - len(sample.translate(None, _CONTROL_BYTES))) * 20 > len(sample)


def wide_encoding(data: bytes) -> str | None:
    """UTF-16 without a byte order mark: nearly every second byte of Western text is NUL."""
    sample = data[:1024]
    half = len(sample) // 2
    if half < 2 or sample.count(0) < half * 0.7:
        return None
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if odd >= half * 0.7 and even <= half * 0.05:
        return "utf-16-le"
    if even >= half * 0.7 and odd <= half * 0.05:
        return "utf-16-be"
    return None


def _known(name: str) -> str | None:
    try:
        info = codecs.lookup(name)
    except (LookupError, ValueError):
        return None
    return info.name if getattr(info, "_is_text_encoding", True) else None


def _strict(data: bytes, encoding: str | None) -> str | None:
    if encoding is None:
        return None
    try:
        return data.decode(encoding)
    except (UnicodeError, ValueError):
        return None


def _lossy(data: bytes, encoding: str) -> Decoded:
    text = _strict(data, encoding)
    if text is not None:
        return Decoded(text=clean(text), encoding=encoding)
    return Decoded(text=clean(data.decode(encoding, "replace")), encoding=encoding, damaged=True)


def _guess(data: bytes) -> str:
    """UTF-8 when most of what is not ASCII is valid in it, else what charset-normalizer takes it for."""
    from charset_normalizer import from_bytes

    replaced = data[: 16 * SAMPLE].decode("utf-8", "replace")
    bad = replaced.count("\ufffd")
    good = sum(1 for character in replaced if character > "\x7f") - bad
    if good >= bad:
        return "utf-8"
    first = next((i for i, byte in enumerate(data) if byte > 0x7F), 0)
    start = max(0, first - SAMPLE // 2)
    best = from_bytes(data[start : start + SAMPLE]).best()
    return best.encoding if best is not None else "cp1252"
