"""A workspace that returns what a test sets, for tests of the interfaces."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from intelforge.core.accounting import NOBODY
from intelforge.core.chat import Accounting
from intelforge.core.errors import NotFoundError
from intelforge.core.model_reports import ModelCheck
from intelforge.core.reports import Check, Progress, SettingValue, Shown, SourceStatus, Stage, Status, SyncReport
from intelforge.core.search import SearchRequest, SearchResult
from intelforge.core.values import (
    EVERYONE,
    Answer,
    Chunk,
    Citation,
    Document,
    Failure,
    Hit,
    ItemState,
    Passage,
    Sentence,
    Source,
    SourceKind,
)
from intelforge.testing.costs import FakeCosts
from intelforge.testing.modelling import FakeModelling
from intelforge.testing.routing import FakeRouting
from intelforge.testing.upkeep import FakeIndex

if TYPE_CHECKING:
    from intelforge.workspace import Workspace
else:
    Workspace = object  # the type checker holds the double to the real signatures; at run time it needs none of it

AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
TEXT = "# Guide\n\nA timeout cancels the task.\nThen it waits until the task is really cancelled.\n"
QUOTE = "A timeout cancels the task."
START = TEXT.index(QUOTE)
DOCUMENT = Document(id="d0c", text=TEXT, media_type="text/markdown", title="Guide", language="en")
SOURCE = Source(id="s1", kind=SourceKind.FOLDER, uri="/data/docs")


def make_answer(location: str = "/data/docs/guide.md") -> Answer:
    span = {"document_id": "d0c", "start": START, "end": START + len(QUOTE), "first_line": 3, "last_line": 3}
    citation = Citation(number=1, quote=QUOTE, location=location, **span)  # type: ignore[arg-type]
    passage = Passage(number=1, text=QUOTE, title="Guide", location=location, **span)  # type: ignore[arg-type]
    return Answer(
        question="What does a timeout do?",
        sentences=(Sentence(text=QUOTE, citations=(citation,)),),
        passages=(passage,),
        seconds={"search": 0.02, "answer": 0.01},
        notes=("4 of 10 chunks are embedded; answers get better as the rest follows",),
    )


def make_hit(text: str = QUOTE, location: str = "/data/docs/guide.md") -> Hit:
    chunk = Chunk(id="d0c:0", document_id="d0c", ordinal=0, start=START, end=START + len(text), text=text)
    return Hit(
        chunk=replace(chunk, heading="Guide"),
        score=0.5,
        location=location,
        first_line=3,
        last_line=3,
        highlights=((2, 9), (22, 26)) if text == QUOTE else (),
    )


def make_status() -> Status:
    failure = Failure(
        source_id="s1", uri="bad.pdf", state=ItemState.FAILED, code="encrypted", reason="the PDF is encrypted", at=AT
    )
    return Status(
        path="/data",
        sources=(SourceStatus(source=SOURCE, items={"ready": 9, "failed": 1}, last_sync=AT),),
        items={"ready": 9, "failed": 1},
        documents=9,
        chunks=40,
        embedded=10,
        embedder="onnx:all-MiniLM-L6-v2",
        embedding_rate=10.0,
        embedding_eta=3.0,
        failures=(failure,),
    )


@dataclass
class FakeWorkspace(Workspace):
    """Gives the values it holds and records what it was asked; an `error` is raised by the next call instead."""

    path: Path = Path("/data")
    error: Exception | None = None
    statuses: list[SourceStatus] = field(default_factory=lambda: [SourceStatus(source=SOURCE, items={"ready": 9})])
    hits: list[Hit] = field(default_factory=lambda: [make_hit()])
    found: SearchResult = field(default_factory=SearchResult)
    """what a search gives beside the hits"""
    answer: Answer = field(default_factory=make_answer)
    now: Status = field(default_factory=make_status)
    document: Document = DOCUMENT
    done: SyncReport = field(default_factory=lambda: SyncReport(added=9, failed=1, chunks_embedded=40, seconds=4.2))
    checks: list[Check] = field(default_factory=lambda: [Check(name="database", ok=True, detail="WAL")])
    model_checks: list[ModelCheck] = field(default_factory=list)
    embeds_until_stopped: bool = False
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    accounted: list[Accounting] = field(default_factory=list)
    """for whom calls of models were to be made"""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    opened: list[Path | None] = field(default_factory=list)
    closed: int = 0
    index: FakeIndex = field(default_factory=FakeIndex)
    costs: FakeCosts = field(default_factory=FakeCosts)
    models: FakeModelling = field(default_factory=FakeModelling)
    routing: FakeRouting = field(default_factory=FakeRouting)

    def _called(self, *call: object) -> None:
        self.calls.append(call)
        if self.error is not None:
            raise self.error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.closed += 1

    async def add(
        self,
        *locations: str | Path,
        kind: str | None = None,
        access: Sequence[str] = (EVERYONE,),
        local_models_only: bool = False,
    ) -> list[Source]:
        self._called("add", locations, kind)
        folder = replace(SOURCE, local_models_only=local_models_only)
        return [replace(folder, id=f"s{n}", uri=str(place)) for n, place in enumerate(locations, 1)]

    async def limit_models(self, source: str, *, local_only: bool) -> Source:
        self._called("limit_models", source, local_only)
        return replace(SOURCE, local_models_only=local_only)

    async def sources(self) -> list[SourceStatus]:
        self._called("sources")
        return self.statuses

    async def find_source(self, source: str) -> Source:
        for status in self.statuses:
            if source in (status.source.id, status.source.uri):
                return status.source
        raise NotFoundError(f"there is no source {source!r}", hint="run: intelforge sources")

    async def remove(self, source: str) -> Source:
        self._called("remove", source)
        return SOURCE

    async def sync(
        self,
        *sources: str,
        embed: bool = True,
        retry_failed: bool = False,
        report: Callable[[Progress], None] | None = None,
    ) -> SyncReport:
        self._called("sync", sources, embed, retry_failed)
        if report:
            report(Progress(stage=Stage.INGESTING, done=3, total=10, rate=5.0, eta=1.4))
            report(Progress(stage=Stage.EMBEDDING, done=0, total=40, unit="chunks"))
        if self.embeds_until_stopped:
            await self.stopping.wait()
        return replace(self.done, complete=not self.stopping.is_set())

    def stop(self) -> None:
        self.stopping.set()

    async def watch(self, *, report: Callable[[Progress], None] | None = None) -> AsyncIterator[SyncReport]:
        self._called("watch")
        yield self.done
        yield replace(self.done, added=0, changed=1)

    async def status(self, *, skipped: bool = False) -> Status:
        self._called("status", skipped)
        return self.now

    async def search(
        self,
        query: str | SearchRequest,
        *,
        principals: Sequence[str] = (EVERYONE,),
        accounting: Accounting = NOBODY,
    ) -> SearchResult:
        request = SearchRequest(query=query) if isinstance(query, str) else query
        self.accounted.append(accounting)
        self._called("search", request)
        return replace(self.found, hits=tuple(self.hits[: request.limit]))

    async def ask(
        self,
        question: str,
        *,
        source: str | None = None,
        principals: Sequence[str] = (EVERYONE,),
        accounting: Accounting = NOBODY,
    ) -> Answer:
        self.accounted.append(accounting)
        self._called("ask", question, source)
        return self.answer

    async def show(
        self, document: str, *, span: tuple[int, int] | None = None, principals: Sequence[str] = (EVERYONE,)
    ) -> Shown:
        self._called("show", document, span)
        return Shown(document=self.document, locations=("/data/docs/guide.md",), span=span, versions=("d0b", "d0c"))

    def settings(self) -> list[SettingValue]:
        value = SettingValue(name="jobs", value="dbos:", origin="default", description="Jobs.", default="dbos:")
        ignore = replace(value, name="ignore", value="*.pyc", default="*.pyc")
        return [value, replace(value, name="embedder", value="none:", origin="/data/intelforge.toml"), ignore]

    async def check_models(self, *urls: str) -> list[ModelCheck]:
        self._called("check_models", *urls)
        return self.model_checks

    async def doctor(self) -> list[Check]:
        self._called("doctor")
        return self.checks
