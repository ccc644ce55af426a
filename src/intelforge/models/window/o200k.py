"""OpenAI's o200k_base encoding, from the table that is part of this package: nothing is fetched.

The table is the one that tiktoken would download (MIT): its tokens by rank, as the lengths of all of them in one byte
each, then their bytes. A test holds it against the SHA-256
that tiktoken expects of the published file.
"""

import base64
import functools
import hashlib
import lzma
from importlib import resources
from typing import TYPE_CHECKING, Final

from intelforge.core.errors import ErrorCode, ModelError

if TYPE_CHECKING:
    from tiktoken import Encoding

TOKENS: Final = 199_998
SHA256: Final = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
"""of `o200k_base.tiktoken` as published"""
PIECE: Final = 1 << 16
"""Characters encoded in one go. A cut adds a token at most, and keeps one endless word from taking minutes."""
_CONTRACTION: Final = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_PATTERN: Final = "|".join(
    (
        rf"[^\r\n\p{{L}}\p{{N}}]?[\p{{Lu}}\p{{Lt}}\p{{Lm}}\p{{Lo}}\p{{M}}]*[\p{{Ll}}\p{{Lm}}\p{{Lo}}\p{{M}}]+{_CONTRACTION}",
        rf"[^\r\n\p{{L}}\p{{N}}]?[\p{{Lu}}\p{{Lt}}\p{{Lm}}\p{{Lo}}\p{{M}}]+[\p{{Ll}}\p{{Lm}}\p{{Lo}}\p{{M}}]*{_CONTRACTION}",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)
"""what is split before bytes are merged, as the encoding defines it"""


def count_o200k(text: str) -> int:
    """Tokens of a text; names of special tokens in it are words like any other."""
    encoding = _encoding()
    return sum(len(encoding.encode_ordinary(text[start : start + PIECE])) for start in range(0, len(text), PIECE))


def ranks_of(packed: bytes) -> dict[bytes, int]:
    """Tokens by rank out of the compressed table. Raises ModelError (untrusted) when it is not the published one."""
    try:
        data = lzma.decompress(packed)
    except lzma.LZMAError:
        data = b""
    ranks: dict[bytes, int] = {}
    start = TOKENS
    for rank, length in enumerate(data[:TOKENS]):
        ranks[data[start : start + length]] = rank
        start += length
    if len(ranks) != TOKENS or start != len(data):
        raise ModelError(
            "the token table o200k_base in this installation is damaged",
            hint="install again: pip install --force-reinstall intelforge",
            code=ErrorCode.UNTRUSTED,
        )
    return ranks


def published_sha256(ranks: dict[bytes, int]) -> str:
    """The SHA-256 of the file these ranks were published in."""
    lines = (b"%s %d\n" % (base64.b64encode(token), rank) for token, rank in ranks.items())
    return hashlib.sha256(b"".join(lines)).hexdigest()


@functools.cache
def _encoding() -> "Encoding":
    import tiktoken  # with its table a third of a second: only those wait who count

    packed = resources.files("intelforge.models.window").joinpath("data/o200k_base.xz").read_bytes()
    return tiktoken.Encoding("o200k_base", pat_str=_PATTERN, mergeable_ranks=ranks_of(packed), special_tokens={})
