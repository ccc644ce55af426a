"""Time and identifiers, passed in so that tests own them."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Gives the present as an aware UTC datetime."""

NewId = Callable[[], str]
"""Gives an identifier that has not been given before."""


def utc_now() -> datetime:
    return datetime.now(UTC)


def new_id() -> str:
    """16 hexadecimal characters: 64 random bits."""
    return secrets.token_hex(8)
