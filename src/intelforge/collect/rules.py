"""What is left out of a source by rule, and the reason that is given for it."""

import hashlib

from intelforge.collect.ignores import IgnoreTree
from intelforge.collect.media import binary_by_name
from intelforge.collect.names import uri_of
from intelforge.collect.protocol import Skipped
from intelforge.core.errors import ErrorCode


class Rules:
    """Decides by name and size, without opening anything."""

    def __init__(self, tree: IgnoreTree, *, max_bytes: int) -> None:
        self.tree = tree
        self.max_bytes = max_bytes

    def skip_name(self, path: bytes, *, is_folder: bool) -> Skipped | None:
        """Hidden or ignored."""
        hidden = path[path.rfind(b"/") + 1 :].startswith(b".")
        reason = "hidden (its name begins with a dot)" if hidden else self.tree.reason(path, is_folder=is_folder)
        if reason is None:
            return None
        return Skipped(uri=uri_of(path) + "/" * is_folder, code=ErrorCode.IGNORED.value, reason=reason)

    def skip_file(self, uri: str, size: int) -> Skipped | None:
        """Too large, or binary by its extension."""
        if size > self.max_bytes:
            reason = f"is {size / 1e6:.1f} MB, more than max_file_mb = {self.max_bytes / 1e6:g}"
            return Skipped(uri=uri, code=ErrorCode.TOO_LARGE.value, reason=reason)
        binary = binary_by_name(uri)
        return Skipped(uri=uri, code=ErrorCode.UNSUPPORTED.value, reason=binary) if binary else None


def fingerprint(*rules: object) -> str:
    """A short text that changes when the rules change."""
    return hashlib.sha256(repr(rules).encode("utf-8", "surrogateescape")).hexdigest()[:12]
