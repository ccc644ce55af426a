"""Backends by URL scheme: a cheap descriptor that imports its factory only when it is opened.

Built-ins and plug-ins use the same door, the entry-point group `intelforge.<kind>` (for example
`intelforge.vector_stores`), whose entries are named by URL scheme and point at a factory.
"""

from collections.abc import Callable
from functools import cache
from importlib.metadata import EntryPoints, entry_points
from typing import Any

from intelforge.core.errors import BackendError


def scheme_of(url: str) -> str:
    """`lancedb:/data/index` gives `lancedb`."""
    scheme, colon, _ = url.partition(":")
    if not colon or not scheme:
        raise BackendError(
            f"{url!r} is not a backend URL", hint="write it as SCHEME:REST, for example lancedb:.intelforge/index"
        )
    return scheme.lower()


def backends(kind: str) -> list[str]:
    """The URL schemes registered for one kind of backend, sorted."""
    return sorted({entry.name for entry in _registered(kind)})


@cache
def _registered(kind: str) -> EntryPoints:
    """Read once: it looks into every package that is installed."""
    return entry_points(group=f"intelforge.{kind}")


def load_backend(kind: str, url: str) -> Callable[..., Any]:
    """The factory registered for the URL's scheme.

    Raises BackendError for an unknown scheme (listing the known ones) and for one whose extra is not installed.
    """
    scheme = scheme_of(url)
    found = [entry for entry in _registered(kind) if entry.name == scheme]
    if not found:
        known = ", ".join(backends(kind)) or "none"
        raise BackendError(f"no {kind} backend is named {scheme!r}", hint=f"known: {known}")
    try:
        factory: Callable[..., Any] = found[0].load()
    except ImportError as error:
        raise BackendError(
            f"the {scheme!r} backend needs {error.name or error}", hint=f"pip install 'intelforge[{scheme}]'"
        ) from error
    return factory
