"""Secrets in URLs: how a URL is shown and kept without them."""

import re

_SECRET = re.compile(r"([?&][^=&#]*(?:key|token|secret|passw)[^=&#]*=)([^&#]*)", re.IGNORECASE)
REFERENCE = re.compile(r"\$\{secret:(?P<name>[^{}]*)\}")
"""stands for a secret in a URL, and may be shown"""
HIDDEN = "***"
"""stands where a secret was"""


def without_password(url: str) -> str:
    """`postgresql://user:pw@host/db?token=t` is shown as `postgresql://user:***@host/db?token=***`."""
    url = _SECRET.sub(lambda found: found[1] + _masked(found[2]), url)
    scheme, separator, rest = url.partition("://")
    credentials, at, host = rest.rpartition("@")
    if not separator or not at or ":" not in credentials:
        return url
    user, _, password = credentials.partition(":")
    return f"{scheme}://{user}:{_masked(password)}@{host}"


def _masked(value: str) -> str:
    return value if REFERENCE.fullmatch(value) else HIDDEN


def without_secrets(url: str) -> str:
    """A URL as it may be kept: `***` stands where a password, or anything before an `@` but a user's name, was."""
    shown = without_password(url)
    scheme, separator, rest = shown.partition("://")
    credentials, at, place = rest.rpartition("@")
    if not separator or not at or scheme.lower() in ("postgresql", "postgres"):
        return shown
    return f"{scheme}://{HIDDEN}@{place}" if credentials else shown


def without_mark(url: str) -> str:
    """Such a URL to open something with: without what is not known."""
    place, question, query = url.partition("?")
    kept = "&".join(part for part in query.split("&") if not part.endswith(f"={HIDDEN}"))
    return place.replace(f":{HIDDEN}@", "@").replace(f"//{HIDDEN}@", "//") + (question + kept if kept else "")
