"""Bringing the one reference that is collected from a remote into a bare clone.

The host is vetted by egress before git is run. Over http and https git is told the vetted addresses and follows no
redirects, so that it connects nowhere else (git 2.37 or newer; an older git looks the name up again). Over ssh the
name is looked up again by ssh, which has its own settings for hosts: there the vetting only refuses early.
"""

import asyncio
import re
from pathlib import Path
from urllib.parse import urlsplit

from intelforge.collect.git_command import Git, last_line
from intelforge.core.errors import (
    EgressError,
    ErrorCode,
    IntelForgeError,
    InvalidInputError,
    NotFoundError,
    StorageError,
)
from intelforge.security.egress import Egress, shown_url

_TIP = "refs/intelforge/tip"
_PORTS = {"http": 80, "https": 443, "ssh": 22}
_SCP = re.compile(r"(?:[A-Za-z0-9._-]+@)?([A-Za-z0-9][A-Za-z0-9.-]*):(?!//|:).+")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SAID: tuple[tuple[str, ErrorCode, str], ...] = (
    ("No space left", ErrorCode.DISK_FULL, "free some space"),
    ("ertificate", ErrorCode.UNTRUSTED, "check the certificate of the server"),
    ("Host key verification failed", ErrorCode.UNTRUSTED, "connect once with ssh to accept the key of the host"),
    ("ermission denied", ErrorCode.REFUSED, "check your ssh key or credential helper"),
    ("could not read Username", ErrorCode.REFUSED, "it is private or not there; set up a credential helper for git"),
    ("Authentication failed", ErrorCode.REFUSED, "check your credential helper"),
    ("error: 403", ErrorCode.REFUSED, "check your credential helper"),
    ("error: 401", ErrorCode.REFUSED, "check your credential helper"),
    ("error: 30", ErrorCode.NOT_FOUND, "it has moved; add it again under its new address"),
    ("unable to update url base from redirection", ErrorCode.NOT_FOUND, "it has moved; add it under its new address"),
    ("not found", ErrorCode.NOT_FOUND, "check the address"),
    ("does not exist", ErrorCode.NOT_FOUND, "check the address"),
    ("does not appear to be a git repository", ErrorCode.NOT_FOUND, "check the address"),
    ("timed out", ErrorCode.TIMED_OUT, "try again"),
    ("too slow", ErrorCode.TIMED_OUT, "try again"),
    ("couldn't find remote ref", ErrorCode.NOT_FOUND, "set the option ref to a branch, tag or commit"),
)
"""what git says, what it means, and what to do"""


class Remote:
    """One reference of a remote repository and the bare clone that follows it."""

    def __init__(self, url: str, clone: Path, ref: str, egress: Egress) -> None:
        """Raises InvalidInputError for a URL that git must not be given."""
        self._url = url
        self._scheme, self._host, self._port = _place(url)
        self._clone = clone
        self._ref = ref
        self._egress = egress
        self._git = Git(bytes(clone), shown=shown_url(url))

    async def update(self) -> str | None:
        """The commit the reference names now, which is then in the clone; None for an empty repository.

        Raises EgressError, NotFoundError or StorageError with what git said.
        """
        config = await self._config()
        await self._make_clone()
        name, commit = await self._advertised(config)
        if name is None:
            return None
        if commit != await self._git.commit_of(_TIP):
            code, _, said = await self._git.run(
                "fetch",
                "--quiet",
                "--force",
                "--no-tags",
                "--no-recurse-submodules",
                "--no-write-fetch-head",
                "--",
                self._url,
                f"+{name}:{_TIP}",
                config=config,
            )
            if code:
                raise self._error(said)
        return await self._git.commit_of(_TIP)

    async def _advertised(self, config: dict[str, str]) -> tuple[str | None, str]:
        """The full name of the reference and its commit; no name for an empty repository."""
        wanted = [f"refs/heads/{self._ref}", f"refs/tags/{self._ref}", self._ref] if self._ref else ["HEAD"]
        found = await self._list_remote(wanted, config)
        for name in wanted:
            if name in found:
                return name, found.get(f"{name}^{{}}", found[name])
        if _COMMIT.fullmatch(self._ref):
            return self._ref, self._ref
        if self._ref or await self._list_remote(["refs/heads/*"], config):
            raise NotFoundError(
                f"{shown_url(self._url)} has no {self._ref or 'HEAD'}",
                hint="set the option ref to a branch, tag or commit",
            )
        return None, ""

    async def _list_remote(self, patterns: list[str], config: dict[str, str]) -> dict[str, str]:
        wanted = [form for pattern in patterns for form in (pattern, f"{pattern}^{{}}")]
        code, output, said = await self._git.run("ls-remote", "--quiet", "--", self._url, *wanted, config=config)
        if code:
            raise self._error(said)
        rows = (line.partition("\t") for line in output.decode("utf-8", "replace").splitlines())
        return {name: commit for commit, _, name in rows}

    async def _config(self) -> dict[str, str]:
        config = {f"protocol.{self._scheme}.allow": "always"}
        if self._scheme == "ssh":
            # A name of the user's ssh settings need not be known to anyone else.
            if not self._egress.allows(self._host, self._port):
                await self._egress.vet(self._host, self._port)
            return config
        addresses = await self._egress.vet(self._host, self._port)
        if addresses != (self._host,):
            listed = ",".join(f"[{address}]" if ":" in address else address for address in addresses)
            config["http.curloptResolve"] = f"{self._host}:{self._port}:{listed}"
        return config

    async def _make_clone(self) -> None:
        try:
            await asyncio.to_thread(self._clone.mkdir, parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"{self._clone} cannot be made: {error.strerror}", hint="check its permissions"
            ) from error
        code, _, said = await self._git.run("init", "--bare", "--quiet", "--template=")
        if code:
            raise StorageError(f"{self._clone} cannot be made: {last_line(said)}", hint="check permissions and space")

    def _error(self, said: str) -> IntelForgeError:
        shown = shown_url(self._url)
        unknown = (ErrorCode.UNREACHABLE, "check the address and your connection")
        code, hint = next(((code, hint) for words, code, hint in _SAID if words in said), unknown)
        kind = StorageError if code is ErrorCode.DISK_FULL else EgressError
        return kind(f"git cannot fetch {shown}: {last_line(said)}", hint=hint, code=code)


def _place(url: str) -> tuple[str, str, int]:
    """Scheme, host and port. Raises InvalidInputError."""
    scp = _SCP.fullmatch(url)
    if scp:
        return "ssh", scp[1], _PORTS["ssh"]
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise InvalidInputError("the URL of the repository is not valid", hint="check its spelling") from error
    if not port or not parts.hostname or parts.password or (parts.username or "").startswith("-"):
        raise InvalidInputError(
            f"{shown_url(url)!r} is not cloned",
            hint="use https://, http://, ssh:// or git@host:path, without a password",
        )
    return parts.scheme, parts.hostname, port
