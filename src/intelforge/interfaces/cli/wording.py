"""Numbers in words a reader takes in at a glance."""

from collections.abc import Mapping

_BYTES = ("bytes", "kB", "MB", "GB", "TB")


def duration(seconds: float) -> str:
    """`0.42 s`, `12 s`, `3 min 20 s`, `2 h 05 min`."""
    if seconds < 10:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def amount(number: float, unit: str) -> str:
    """`1 item`, `1,200 items`, `90.4 MB`."""
    if unit != "bytes":
        return f"{number:,.0f} {unit.removesuffix('s') if number == 1 else unit}"
    size = 0
    while number >= 1000 and size < len(_BYTES) - 1:
        number, size = number / 1000, size + 1
    return f"{number:,.0f} {_BYTES[size]}" if size == 0 else f"{number:,.1f} {_BYTES[size]}"


def counts(items: Mapping[str, int]) -> str:
    """`120 ready, 3 failed`, leaving out what is zero; empty when all is."""
    return ", ".join(f"{number:,} {state}" for state, number in items.items() if number)
