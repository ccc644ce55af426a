"""What a user points at: folder, file, git repository or web page, and its one canonical name."""

import difflib
import os
import re
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from intelforge.collect.names import uri_of
from intelforge.core.errors import ErrorCode, InvalidInputError, ItemError, NotFoundError
from intelforge.core.values import SourceKind

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_SCP = re.compile(r"(?:[A-Za-z0-9._-]+@)?[A-Za-z0-9][A-Za-z0-9.-]*:(?!//|:)[^\s].*")
_DOMAIN = re.compile(r"(?:[a-z0-9-]+\.)+[a-z]{2,}(?:[/:].*)?", re.IGNORECASE)
_FORGES = frozenset({"bitbucket.org", "codeberg.org", "github.com", "gitlab.com"})
_NOT_OWNERS = frozenset(
    {
        "about",
        "apps",
        "collections",
        "contact",
        "customer-stories",
        "enterprise",
        "events",
        "explore",
        "features",
        "login",
        "marketplace",
        "notifications",
        "orgs",
        "readme",
        "resources",
        "search",
        "security",
        "settings",
        "site",
        "solutions",
        "sponsors",
        "stars",
        "team",
        "topics",
        "trending",
        "users",
    }
)
"""first parts of forge addresses that lead to pages, not to repositories"""


def recognise(location: str, *, kind: str | None = None, base: Path) -> tuple[SourceKind, str]:
    """The kind and absolute path or URL of what `location` names; relative paths are relative to `base`.

    `kind` overrides the guess. Raises InvalidInputError for what makes no sense, NotFoundError (with the nearest
    name) for a path that is not there, ItemError (UNREADABLE) for one that may not be looked at.
    """
    wanted = _kind(kind)
    text = location.strip()
    if not text or "\x00" in text:
        raise InvalidInputError("the location is empty", hint="give a folder, a file, a git repository or a URL")
    scheme = _SCHEME.match(text)
    if scheme and scheme[1].lower() != "file":
        return _url(text, wanted)
    path = urlsplit(text).path if scheme else text
    if not scheme and _is_scp(text, base):
        if wanted not in {None, SourceKind.GIT}:
            raise _not_a(text, wanted)
        return SourceKind.GIT, text
    return _path(path, wanted, base)


def is_repository(path: bytes) -> bool:
    """Whether a folder is a git working tree or a bare repository, told by its names alone."""
    if os.path.lexists(path + b"/.git"):
        return True
    return os.path.isfile(path + b"/HEAD") and all(os.path.isdir(path + name) for name in (b"/objects", b"/refs"))


def _kind(kind: str | None) -> SourceKind | None:
    try:
        return None if kind is None else SourceKind(kind)
    except ValueError as error:
        known = ", ".join(SourceKind)
        raise InvalidInputError(f"there is no source kind {kind!r}", hint=f"known: {known}") from error


def _is_scp(text: str, base: Path) -> bool:
    """`git@host:owner/name`: the colon comes before any slash and no such file is there."""
    if not _SCP.fullmatch(text) or "/" in text.partition(":")[0]:
        return False
    known = "@" in text.partition(":")[0] or text.endswith(".git")
    return known and not os.path.lexists(os.path.join(base, text))


def _url(text: str, wanted: SourceKind | None) -> tuple[SourceKind, str]:
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        raise InvalidInputError("that URL is not valid", hint="check its spelling") from error
    if url.scheme not in {"http", "https", "ssh"}:
        raise InvalidInputError(
            f"{url.scheme}:// addresses are not collected", hint="use https://, http://, ssh:// or a path"
        )
    if url.hostname and re.search(r"\s", url.hostname):
        raise InvalidInputError("that URL has a space in its host", hint="check its spelling")
    if not url.hostname:
        raise InvalidInputError(f"{url.scheme}:// without a host", hint="write it as https://HOST/PATH")
    if url.password or (url.username and url.scheme != "ssh"):
        raise InvalidInputError(
            f"the URL of {url.hostname} holds a user name or password",
            hint="leave them out; git asks your credential helper",
        )
    guess = SourceKind.GIT if url.scheme == "ssh" or _is_git_url(url) else SourceKind.WEB
    found = wanted or guess
    if found not in {SourceKind.GIT, SourceKind.WEB} or (url.scheme == "ssh" and found is not SourceKind.GIT):
        raise _not_a(f"{url.scheme}://{url.hostname}", found)
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    user = f"{url.username}@" if url.username else ""
    place = f"{user}{host}" + (f":{port}" if port else "")
    if found is SourceKind.GIT:
        return found, f"{url.scheme}://{place}{_repository_path(url)}"
    query = f"?{url.query}" if url.query else ""
    return found, f"{url.scheme}://{place}{url.path or '/'}{query}"


def _is_git_url(url: SplitResult) -> bool:
    path = url.path.rstrip("/")
    if path.endswith(".git"):
        return True
    parts = path.strip("/").split("/")
    host = (url.hostname or "").removeprefix("www.")
    if host not in _FORGES or url.query or len(parts) < 2 or parts[0] in _NOT_OWNERS or "-" in parts:
        return False
    return len(parts) == 2 or host == "gitlab.com"


def _repository_path(url: SplitResult) -> str:
    path = url.path.rstrip("/")
    forge = (url.hostname or "").removeprefix("www.") in _FORGES
    return f"{path}.git" if forge and not path.endswith(".git") else path


def _path(text: str, wanted: SourceKind | None, base: Path) -> tuple[SourceKind, str]:
    path = os.fsencode(os.path.abspath(os.path.join(base, os.path.expanduser(text))))
    shown = uri_of(path)
    try:
        os.stat(path)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is nothing at {shown}", hint=_nearest(path, text)) from error
    except NotADirectoryError as error:
        raise NotFoundError(f"there is nothing at {shown}", hint="a part of that path is a file") from error
    except OSError as error:
        raise ItemError(
            f"{shown} cannot be looked at: {error.strerror}", hint="check its permissions", code=ErrorCode.UNREADABLE
        ) from error
    if os.path.isdir(path):
        guess = SourceKind.GIT if is_repository(path) else SourceKind.FOLDER
        fits = {guess, SourceKind.FOLDER}
    elif os.path.isfile(path):
        guess, fits = SourceKind.FILE, {SourceKind.FILE}
    else:
        raise InvalidInputError(f"{shown} is neither a folder nor a file", hint="give a folder or a file")
    if wanted and wanted not in fits:
        raise _not_a(shown, wanted)
    return wanted or guess, shown


def _nearest(path: bytes, text: str) -> str:
    """The likeliest thing that was meant: a name beside the first missing one, or a web address."""
    if _DOMAIN.fullmatch(text) and "/" in text + "/" * (not os.path.splitext(text)[1][1:].isalnum()):
        return f"for a web page write https://{text}"
    folder, missing = os.path.split(path)
    while not os.path.lexists(folder):
        folder, missing = os.path.split(folder)
    try:
        names = [os.fsdecode(name) for name in os.listdir(folder)]
    except OSError:
        names = []
    close = difflib.get_close_matches(os.fsdecode(missing), names, n=1)
    if close:
        return f"did you mean {uri_of(os.path.join(folder, os.fsencode(close[0])))}?"
    return f"{uri_of(folder)} is there, but holds no {uri_of(missing)}"


def _not_a(shown: str, kind: SourceKind | None) -> InvalidInputError:
    return InvalidInputError(f"{shown} is not of kind {kind}", hint="leave the kind out to have it recognised")
