"""How much a client may ask of the server, and how long it may take."""

from dataclasses import dataclass
from typing import Final

MOST_REQUESTS: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of one process."""

    requests: int = MOST_REQUESTS
    """answered at once; more are sent away"""
    body_bytes: int = 32 * 1024 * 1024
    body_seconds: float = 60.0
    """until the body of a request is there"""
