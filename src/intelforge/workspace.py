"""The workspace: the composition root, the one place that builds and wires every part."""

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from intelforge.core.reports import (
    Check,
    ModelInfo,
    Progress,
    SettingValue,
    Shown,
    SourceStatus,
    Status,
    SyncReport,
)
from intelforge.core.values import EVERYONE, Answer, Hit, Source

Report = Callable[[Progress], None]


class Workspace:
    """A folder with settings, sources and what was learned from them. Use as `async with Workspace.open(path)`."""

    path: Path

    @classmethod
    def init(cls, path: str | Path = ".") -> Path: ...

    @classmethod
    def open(cls, path: str | Path | None = None, **flags: object) -> Self: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def add(
        self, *locations: str | Path, kind: str | None = None, access: Sequence[str] = (EVERYONE,)
    ) -> list[Source]: ...

    async def sources(self) -> list[SourceStatus]: ...

    async def remove(self, source: str) -> Source: ...

    async def sync(
        self,
        *sources: str,
        embed: bool = True,
        retry_failed: bool = False,
        report: Report | None = None,
    ) -> SyncReport: ...

    def stop(self) -> None:
        """Asks a running `sync` to end after its batch with `complete=False`, and `watch` to end after that report."""

    def watch(self, *, report: Report | None = None) -> AsyncIterator[SyncReport]: ...

    async def status(self, *, skipped: bool = False) -> Status: ...

    async def search(
        self, query: str, *, limit: int = 10, source: str | None = None, principals: Sequence[str] = (EVERYONE,)
    ) -> list[Hit]: ...

    async def ask(
        self, question: str, *, source: str | None = None, principals: Sequence[str] = (EVERYONE,)
    ) -> Answer: ...

    async def show(
        self, document: str, *, span: tuple[int, int] | None = None, principals: Sequence[str] = (EVERYONE,)
    ) -> Shown: ...

    def settings(self) -> list[SettingValue]: ...

    async def doctor(self) -> list[Check]: ...


async def pull_model(name: str, *, report: Report | None = None) -> ModelInfo: ...


def list_models() -> list[ModelInfo]: ...
