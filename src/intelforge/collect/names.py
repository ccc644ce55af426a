"""File names as URIs: every name of any bytes becomes printable text that leads back to the same bytes.

Ordinary names stay as they are. A byte that is not part of valid UTF-8, a control character, and U+FFFD itself are
written as U+FFFD and two hexadecimal digits for each byte.
"""

import os
import re

_MARK = "\ufffd"
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\ufffd]")
_WRITTEN = re.compile(f"{_MARK}([0-9A-F]{{2}})")


def uri_of(path: bytes) -> str:
    """The URI of a relative or absolute path whose parts are joined by `/`."""
    return _UNPRINTABLE.sub(_written, path.decode("utf-8", "surrogateescape"))


def as_typed(name: str) -> str:
    """The URI of a name on the command line: one that was printed, or the bytes of a path."""
    return name if _MARK in name else uri_of(os.fsencode(name))


def path_of(uri: str) -> bytes:
    """The path that `uri_of` made the URI of; other text is taken as it stands."""
    parts = _WRITTEN.split(uri)
    return b"".join(
        bytes.fromhex(part) if index % 2 else part.encode("utf-8", "surrogateescape")
        for index, part in enumerate(parts)
    )


def _written(match: re.Match[str]) -> str:
    return "".join(f"{_MARK}{byte:02X}" for byte in match[0].encode("utf-8", "surrogateescape"))
