"""Running git: without a shell, without prompts, hooks, filters or lazy downloads, in a repository not trusted."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

from intelforge.collect.names import uri_of
from intelforge.core.errors import BackendError, ErrorCode, ItemError, NotFoundError

_KEPT = ("HOME", "PATH", "SSH_AUTH_SOCK", "TMPDIR", "USER", "LOGNAME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR")
"""of the environment: what git and ssh need to find their programs, keys and settings"""
_CONFIG = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.quotePath": "false",
    "credential.interactive": "false",
    "gc.autoDetach": "false",
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "1",
    "http.lowSpeedTime": "60",
    "http.proxy": "",
    "maintenance.auto": "false",
    "protocol.allow": "never",
    "submodule.recurse": "false",
}
_SAID = 2000


class Git:
    """The git command on one repository. Arguments are never options unless this package wrote them."""

    def __init__(self, folder: bytes, *, shown: str) -> None:
        """`folder` is a working tree or a bare repository; `shown` names it in errors."""
        self.folder = folder
        self.shown = shown

    @asynccontextmanager
    async def process(
        self, *arguments: str | bytes, config: Mapping[str, str] | None = None, inside: bool = True
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """A running git with pipes; killed at the end if it still runs. Raises BackendError without git."""
        running = await self.start(*arguments, config=config, inside=inside)
        try:
            yield running
        finally:
            await end(running)

    async def start(
        self, *arguments: str | bytes, config: Mapping[str, str] | None = None, inside: bool = True
    ) -> asyncio.subprocess.Process:
        where: Sequence[str | bytes] = ("-C", self.folder) if inside else ()
        settings = [part for name, value in {**_CONFIG, **(config or {})}.items() for part in ("-c", f"{name}={value}")]
        try:
            return await asyncio.create_subprocess_exec(
                "git",
                "--no-pager",
                "--literal-pathspecs",
                *settings,
                *where,
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=_environment(self.folder),
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise BackendError("git is not installed", hint="install git 2.30 or newer") from error

    async def run(
        self, *arguments: str | bytes, config: Mapping[str, str] | None = None, inside: bool = True
    ) -> tuple[int, bytes, str]:
        """Exit code, output, and what was said on the error stream."""
        async with self.process(*arguments, config=config, inside=inside) as running:
            output, said = await running.communicate()
            return running.returncode or 0, output, said.decode("utf-8", "replace")[-_SAID:]

    async def output(self, *arguments: str | bytes) -> bytes:
        """The output of a command that must succeed. Raises ItemError with what git said."""
        code, output, said = await self.run(*arguments)
        if code:
            raise self.failure(said)
        return output

    def failure(self, said: str) -> ItemError:
        return ItemError(
            f"git cannot read {self.shown}: {last_line(said)}", hint="run: git fsck", code=ErrorCode.DAMAGED
        )

    async def check_repository(self) -> None:
        """Raises NotFoundError when there is no repository, ItemError when git does not want to read it."""
        if not await asyncio.to_thread(os.path.isdir, self.folder):
            raise NotFoundError(
                f"the repository {self.shown} is not there", hint="mount its drive, or remove the source"
            )
        code, _, said = await self.run("rev-parse", "--git-dir")
        if code and "dubious ownership" in said:
            raise ItemError(
                f"{self.shown} belongs to another user",
                hint=f"if you trust it: git config --global --add safe.directory {uri_of(self.folder)}",
                code=ErrorCode.UNREADABLE,
            )
        if code:
            raise NotFoundError(
                f"{self.shown} is not a git repository: {last_line(said)}", hint="add it again as a folder"
            )

    async def commit_of(self, name: str) -> str | None:
        code, output, _ = await self.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        return None if code else output.decode("ascii").strip()

    async def has_commit(self, commit: str) -> bool:
        return commit.isalnum() and await self.commit_of(commit) == commit

    async def is_unborn(self) -> bool:
        """Whether HEAD names a branch that has no commit yet and nothing else has one."""
        code, _, _ = await self.run("symbolic-ref", "--quiet", "HEAD")
        return code == 0 and not await self.output("for-each-ref", "--count=1")

    async def blob_at(self, commit: str, path: bytes) -> str | None:
        rows = (await self.output("ls-tree", "-z", "--full-tree", commit, "--", path)).split(b"\0")
        kind, _, blob = rows[0].partition(b"\t")[0].partition(b" ")[2].partition(b" ")
        return blob.decode("ascii") if kind == b"blob" else None


async def end(running: asyncio.subprocess.Process) -> None:
    """Ends the process if need be and takes up what it leaves, so that nothing of it stays open."""
    kill(running)
    await running.communicate()


def kill(running: asyncio.subprocess.Process) -> None:
    if running.returncode is None:
        # Its own session: the helpers it started (ssh, index-pack) go with it.
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)


def last_line(said: str) -> str:
    """What git said last, without its prefix."""
    lines = [line for line in said.splitlines() if line.strip()] or ["it gave no reason"]
    wanted = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines
    return wanted[0].removeprefix("fatal:").removeprefix("error:").strip().rstrip(".")[:300]


def _environment(folder: bytes) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept | {
        "GIT_ASKPASS": "",
        "GIT_CEILING_DIRECTORIES": os.fsdecode(os.path.dirname(folder)),
        "GIT_CONFIG_NOSYSTEM": "0",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=20",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
        "SSH_ASKPASS": "",
    }
