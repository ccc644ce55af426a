"""The URL of an index that is a server: `SCHEME://HOST[:PORT][?tls=true]`, or a folder in place of one.

The key of a server, if it wants one, is looked up by name: a key in a URL ends in logs and shells.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from intelforge.core.errors import ConfigError, ErrorCode, InvalidInputError, StorageError
from intelforge.index.protocol import folder_of_version

KEY: Final = "INTELFORGE_INDEX_KEY"
"""the name of the secret that is the key of the server"""
TIMEOUT: Final = 60
"""seconds, for one request"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where an index is served."""

    scheme: str
    host: str
    port: int
    tls: bool = False
    key: str = field(default="", repr=False)

    @property
    def place(self) -> str:
        """As it may be shown."""
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def http(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"


def read_server(url: str, *, port: int, secrets: Mapping[str, str] | None = None) -> Server:
    """The server that the URL names; `port` is the usual one. Its key is among the secrets, or in the environment.

    Raises ConfigError without showing the URL.
    """
    scheme = url.partition(":")[0].lower()
    try:
        parts = urlsplit(url)
        options = parse_qs(parts.query, strict_parsing=bool(parts.query), keep_blank_values=True)
        found = Server(
            scheme=scheme,
            host=parts.hostname or "",
            port=parts.port or port,
            tls=options.pop("tls", ["false"]) == ["true"],
            key=(os.environ if secrets is None else secrets).get(KEY, ""),
        )
    except ValueError:
        found, options = Server(scheme=scheme, host="", port=port), {}
    if not found.host or options or parts.username or parts.password:
        raise ConfigError(
            f"the {scheme} index URL cannot be read",
            hint=f"write it as {scheme}://HOST:{port} or {scheme}://HOST:{port}?tls=true; its key belongs into {KEY}",
        )
    return found


def read_place(
    url: str, *, root: Path, port: int, version: int, secrets: Mapping[str, str] | None = None
) -> Server | Path:
    """The server that a URL names, or its folder (relative to `root`) for that version of the index.

    Raises ConfigError, or InvalidInputError for a URL that names neither.
    """
    scheme, _, rest = url.partition(":")
    if not rest:
        raise InvalidInputError(
            f"{url!r} names no server", hint=f"write it as {scheme}://HOST:{port} or {scheme}:FOLDER"
        )
    if rest.startswith("//"):
        return read_server(url, port=port, secrets=secrets)
    return folder_of_version(root / Path(rest).expanduser(), version)


def refused(place: str, status: int, said: str) -> StorageError:
    """What a server's refusal means, by HTTP status and by what it says."""
    if status == 507 or FULL.search(said):
        return full(place)
    for statuses, code, what, hint in SIGNS:
        if status in statuses:
            return StorageError(f"the index {place} {what}", hint=hint, code=code)
    return StorageError(
        f"the index {place} answered {status} ({said[:200]})",
        hint="delete its collections named intelforge…, then run: intelforge sync (it rebuilds the index)",
        code=ErrorCode.DAMAGED,
    )


def unreachable(place: str) -> StorageError:
    return StorageError(
        f"the index {place} does not answer",
        hint="start the server, or mend the setting `index`",
        code=ErrorCode.UNREACHABLE,
    )


def too_slow(place: str) -> StorageError:
    return StorageError(
        f"the index {place} did not answer in {TIMEOUT} s",
        hint="look what keeps that server busy, then try again",
        code=ErrorCode.TIMED_OUT,
    )


def full(place: str) -> StorageError:
    return StorageError(
        f"the index {place} has no room left", hint="free disk space there, then sync again", code=ErrorCode.DISK_FULL
    )


def wrong_dimensions(place: str, held: int, asked: int) -> StorageError:
    return StorageError(
        f"the index {place} holds vectors of {held} dimensions, and the embedder gives {asked}",
        hint="run: intelforge index rebuild (it embeds anew), or name the embedder used before",
        code=ErrorCode.UNSUPPORTED,
    )


SIGNS: Final = (
    ((401, 403), ErrorCode.REFUSED, "refuses the key", f"set {KEY} to one that may write"),
    ((408, 429, 502, 503, 504), ErrorCode.UNREACHABLE, "is overloaded or starting", "try again"),
    ((413,), ErrorCode.TOO_LARGE, "takes no requests of that size", "raise its limit on request size"),
)
FULL: Final = re.compile(
    "no space left|disk is full|disk quota|not enough space|disk usage too high|read-only due to: resource",
    re.IGNORECASE,
)
"""what servers say of a full disk, with whatever status"""
