"""Opens the store of replies that a URL names.

    none:              no cache
    disk:FOLDER        a SQLite file in that folder, relative to the workspace
    redis://HOST:6379  a Redis, `rediss://` with TLS
Any other scheme is looked for among the plug-ins of the entry-point group `intelforge.response_caches`.
"""

from pathlib import Path
from typing import Final

from intelforge.core.errors import BackendError, ConfigError
from intelforge.core.registry import load_backend, scheme_of
from intelforge.models.response_cache.disk import FILE, DiskReplies
from intelforge.models.response_cache.protocol import ReplyStore

NONE: Final = ("none:", "none", "")


def open_replies(url: str, *, root: Path, hours: float, megabytes: float) -> ReplyStore | None:
    """The store, or None for `none:`. Nothing is connected or made before it is used.

    Raises ConfigError for a URL that makes no sense, BackendError when its package is not installed.
    """
    if url.strip() in NONE:
        return None
    scheme, life, size = scheme_of(url), hours * 3600, round(megabytes * (1 << 20))
    if scheme == "disk":
        folder = url.partition(":")[2].strip()
        if not folder:
            raise ConfigError(f"cache {url!r} names no folder", hint="write it as disk:FOLDER")
        return DiskReplies(root / folder / FILE, life=life, size=size)
    if scheme in ("redis", "rediss"):
        return _redis(url, life=life, size=size)
    store: ReplyStore = load_backend("response_caches", url)(url, root=root, life=life, size=size)
    return store


def _redis(url: str, *, life: float, size: int) -> ReplyStore:
    try:
        from intelforge.models.response_cache.redis import RedisReplies  # its client is an extra
    except ImportError as error:
        raise BackendError("the response cache in Redis needs redis", hint="pip install 'intelforge[redis]'") from error
    try:
        return RedisReplies(url, life=life, size=size)
    except ValueError as error:
        raise ConfigError("cache is not a valid Redis URL", hint="write it as redis://HOST:6379/0") from error
