"""What a picture costs in tokens, by its size in pixels and by who reads it."""

import math
from collections.abc import Callable
from typing import Final

Size = tuple[int, int]
"""width and height in pixels"""
LARGEST: Final = (2048, 2048)
"""taken for a picture whose size cannot be read from its first bytes"""
_JPEG_SIZES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})


def size_of(data: bytes) -> Size | None:
    """The size of a PNG, GIF, WebP or JPEG by its header; None for anything else."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 24:
        return _positive(int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big"))
    if data[:6] in (b"GIF87a", b"GIF89a") and len(data) >= 10:
        return _positive(int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little"))
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data)
    return _jpeg(data) if data.startswith(b"\xff\xd8") else None


def image_tokens(family: str, data: bytes) -> int:
    """The tokens of a picture for a family of models; an upper bound where the size cannot be read."""
    count = _COUNTS.get(family, _most)
    return count(*(size_of(data) or LARGEST))


def most_image_tokens(family: str) -> int:
    """The most that any picture takes of any model of a family, whatever its size: what is reserved for it."""
    return _MOST.get(family, _MOST["qwen"])


def _openai(width: int, height: int) -> int:
    """85 and 170 for each tile of 512: https://platform.openai.com/docs/guides/images-vision, high detail."""
    return 85 + 170 * _tiles(width, height)


def _gpt_4o_mini(width: int, height: int) -> int:
    """The same tiles at 33 times the tokens, so that a picture costs as much as it does elsewhere."""
    return 2833 + 5667 * _tiles(width, height)


def _tiles(width: int, height: int) -> int:
    width, height = _within(width, height, longest=2048)
    shortest = min(width, height)
    if shortest > 768:
        width, height = round(width * 768 / shortest), round(height * 768 / shortest)
    return math.ceil(width / 512) * math.ceil(height / 512)


def _claude(width: int, height: int) -> int:
    """Pixels by 750, longest edge 1568: https://docs.anthropic.com/en/docs/build-with-claude/vision."""
    width, height = _within(width, height, longest=1568)
    return min(1600, math.ceil(width * height / 750))


def _gemma(width: int, height: int) -> int:
    """258 for each tile of 768, one for small ones: https://ai.google.dev/gemini-api/docs/tokens. Shrunk to 3072."""
    if width <= 384 and height <= 384:
        return 258
    width, height = _within(width, height, longest=3072)
    return 258 * math.ceil(width / 768) * math.ceil(height / 768)


def _qwen(width: int, height: int) -> int:
    """One for each 28 by 28 pixels, at most 16384: Qwen2.5-VL's processor, and two marks."""
    return min(16384, math.ceil(width / 28) * math.ceil(height / 28)) + 2


def _mistral(width: int, height: int) -> int:
    """One for each 16 by 16 pixels and one for each row, longest edge 1024: Pixtral's encoder."""
    width, height = _within(width, height, longest=1024)
    return (math.ceil(width / 16) + 1) * math.ceil(height / 16)


def _llama(width: int, height: int) -> int:
    """1601 for each of up to four tiles of 560: Llama 3.2 Vision's encoder."""
    return 1601 * min(4, math.ceil(width / 560) * math.ceil(height / 560))


def _most(width: int, height: int) -> int:
    """The dearest of the known ones."""
    return max(count(width, height) for count in (_openai, _claude, _gemma, _qwen, _mistral, _llama))


_MOST: Final = {
    "openai": 10_000,
    "gpt-4o-mini": 48_169,
    "claude": 4_784,
    "gemma": 4_386,
    "qwen": 16_386,
    "mistral": 4_160,
    "llama": 6_404,
}
"""the closest look of OpenAI and Claude, and what others make of a picture at the size that they shrink it to"""
_COUNTS: Final[dict[str, Callable[[int, int], int]]] = {
    "openai": _openai,
    "gpt-4o-mini": _gpt_4o_mini,
    "claude": _claude,
    "gemma": _gemma,
    "qwen": _qwen,
    "mistral": _mistral,
    "llama": _llama,
}


def _within(width: int, height: int, *, longest: int) -> Size:
    scale = min(1.0, longest / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _positive(width: int, height: int) -> Size | None:
    return (width, height) if width > 0 and height > 0 else None


def _webp(data: bytes) -> Size | None:
    if data[12:16] == b"VP8X" and len(data) >= 30:
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if data[12:16] == b"VP8 " and len(data) >= 30:
        width, height = (int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (26, 28))
        return _positive(width, height)
    if data[12:16] == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return None


def _jpeg(data: bytes) -> Size | None:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        if data[at + 1] in _JPEG_SIZES:
            return _positive(int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big"))
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
