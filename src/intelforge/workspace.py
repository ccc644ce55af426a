"""The workspace: what IntelForge can do, as one class. Interfaces parse, call it, and render what it returns."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from intelforge.answer.library import ScopedLibrary
from intelforge.collect.recognise import recognise
from intelforge.core.accounting import NOBODY, on_behalf_of
from intelforge.core.chat import Accounting
from intelforge.core.clock import new_id
from intelforge.core.current_settings import CurrentSettings
from intelforge.core.errors import InvalidInputError, NotFoundError, StorageError
from intelforge.core.model_reports import ModelCheck
from intelforge.core.reports import Check, Progress, SettingValue, Shown, SourceStatus, Status, SyncReport
from intelforge.core.search import SearchRequest, SearchResult
from intelforge.core.settings import Settings
from intelforge.core.settings_file import FILE_NAME, describe_settings, find_workspace, load_settings
from intelforge.core.values import EVERYONE, Answer, Source
from intelforge.index.query import legible
from intelforge.index.reading import location, may_see
from intelforge.parts import STATE, Parts
from intelforge.searching import Searching
from intelforge.state import empty_note, state_of
from intelforge.upkeep import IndexUpkeep

if TYPE_CHECKING:
    from intelforge.chatting import Chatting
    from intelforge.costs import Costs
    from intelforge.modelling import Modelling
    from intelforge.routing import Routing

Report = Callable[[Progress], None]

_TEMPLATE = (
    "# The settings of this IntelForge workspace. `intelforge config show` lists them; with NAME, what one means.\n"
)


class Workspace:
    """A folder with settings, sources and what was learned from them. Use as `async with Workspace.open(path)`."""

    def __init__(
        self, path: Path, settings: Settings, origins: dict[str, str], *, flags: Mapping[str, object] | None = None
    ) -> None:
        self.path = path
        self._current = CurrentSettings(path, settings, origins, flags or {})
        self._parts = Parts(path, settings)
        self._current.changed = self._parts.reconfigure
        self._searching = Searching(self._parts)
        self._stopping = asyncio.Event()
        self._entered = False

    @classmethod
    def init(cls, path: str | Path = ".") -> Path:
        """Makes a folder a workspace; returns it. One that is a workspace already is left as it is.

        Raises StorageError when the folder cannot be written.
        """
        folder = Path(path).expanduser().absolute()
        try:
            (folder / STATE).mkdir(parents=True, exist_ok=True)
            (folder / STATE / ".gitignore").write_text("*\n", encoding="utf-8")
            if not (folder / FILE_NAME).exists():
                (folder / FILE_NAME).write_text(_TEMPLATE, encoding="utf-8")
        except OSError as error:
            raise StorageError(
                f"{folder} cannot be made a workspace: {error.strerror or error}",
                hint="choose a folder you can write to",
            ) from error
        return folder

    @classmethod
    def open(cls, path: str | Path | None = None, **flags: object) -> Self:
        """The workspace in `path`, or the nearest one from the working directory upward; `flags` override settings.

        Raises NotFoundError when there is none, ConfigError when its settings cannot be read.
        """
        if path is None:
            folder = find_workspace(Path.cwd())
        else:
            folder = Path(path).expanduser().absolute()
            if not (folder / FILE_NAME).is_file():
                raise NotFoundError(f"{folder} is not a workspace", hint=f"run: intelforge init {path}")
        settings, origins = load_settings(folder, flags=flags)
        return cls(folder, settings, origins, flags=flags)

    async def __aenter__(self) -> Self:
        await self._parts.open()
        self._entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._parts.close()

    async def add(
        self,
        *locations: str | Path,
        kind: str | None = None,
        access: Sequence[str] = (EVERYONE,),
        local_models_only: bool = False,
    ) -> list[Source]:
        """Adds sources: folders, files, git repositories, web pages. Nothing is fetched before the next `sync`.

        `access` lists the principals who may see what they hold. What they hold goes to no model elsewhere with
        `local_models_only`, which a source keeps when it is added again without. All locations are recognised before
        any is added.
        Raises NotFoundError for a path that is not there, InvalidInputError for what cannot be recognised.
        """
        found = [recognise(str(place), kind=kind, base=Path.cwd()) for place in locations]
        added = [
            Source(id=new_id(), kind=own, uri=uri, access=tuple(access), local_models_only=local_models_only)
            for own, uri in found
        ]
        return [await self._parts.sources.add(source) for source in added]

    async def sources(self) -> list[SourceStatus]:
        """Every source with its items by state, in the order they were added."""
        return await self._parts.sources.statuses()

    async def find_source(self, source: str) -> Source:
        """The source named by its id, the start of its id, or its URI. Raises NotFoundError, InvalidInputError."""
        return await self._searching.find_source(source)

    async def limit_models(self, source: str, *, local_only: bool) -> Source:
        """Says whether what a source holds, named as in `find_source`, may only go to models on this machine.

        It holds from the next request on; what a model elsewhere was given before stays there. Raises NotFoundError.
        """
        found = await self.find_source(source)
        await self._parts.sources.limit_models(found.id, local_only=local_only)
        return replace(found, local_models_only=local_only)

    async def remove(self, source: str) -> Source:
        """Removes a source, named as in `find_source`, with its items. Its documents leave the answers at once.

        Documents that no other source has are deleted at the next `sync`. Raises NotFoundError.
        """
        found = await self.find_source(source)
        await self._parts.sources.remove(found.id)
        return found

    async def sync(
        self,
        *sources: str,
        embed: bool = True,
        retry_failed: bool = False,
        report: Report | None = None,
    ) -> SyncReport:
        """Brings the workspace in step with these sources, or with all: lists, refines, indexes, then embeds.

        Text is searchable when the stage EMBEDDING is reported. `retry_failed` reads failed items again although they
        did not change. Raises StorageError when the workspace itself cannot go on, such as on a full disk.
        """
        self._stopping.clear()
        return await self._sync(sources, embed=embed, retry_failed=retry_failed, report=report)

    async def _sync(
        self, sources: Sequence[str], *, embed: bool, retry_failed: bool, report: Report | None
    ) -> SyncReport:
        from intelforge import writing  # brings the job engine, which nothing else needs
        from intelforge.ingest.sync import Sync

        self._current.follow()
        chosen = [await self.find_source(name) for name in sources] or await self._parts.sources.all()
        async with writing.syncing(self._parts) as parts:
            sync = Sync(parts, report=report or _unreported, stopped=self._stopping.is_set)
            done = await sync.run(chosen, embed=embed, retry_failed=retry_failed)
        await self.index.catch_up(parts.indexer.version)
        return done

    def stop(self) -> None:
        """Asks a running `sync` to end after its batch with `complete=False`, and `watch` to end after that report."""
        self._stopping.set()

    async def watch(self, *, report: Report | None = None) -> AsyncIterator[SyncReport]:
        """Syncs, then again whenever a source changes, until stopped; yields the report of each sync."""
        from intelforge.ingest.watch import Watch

        self._stopping.clear()
        yield await self._sync((), embed=True, retry_failed=False, report=report)
        watch = Watch(await self._parts.sources.all(), self._parts.collector, self._stopping)
        async with aclosing(watch.changes()) as changes:
            async for changed in changes:
                yield await self._sync(changed, embed=True, retry_failed=False, report=report)
                if self._stopping.is_set():
                    return

    async def status(self, *, skipped: bool = False) -> Status:
        """The state of the workspace; its failures include what was skipped by rule when `skipped` is set."""
        return await state_of(self._parts, self._searching, self.index, skipped=skipped)

    @functools.cached_property
    def chatting(self) -> "Chatting":
        """Its models, as other programs use them."""
        from intelforge.chatting import Chatting

        return Chatting(self._parts)

    @functools.cached_property
    def models(self) -> "Modelling":
        """What is known and measured of language models."""
        from intelforge.modelling import Modelling

        return Modelling(self._parts, self._stopping)

    @functools.cached_property
    def index(self) -> IndexUpkeep:
        """What can be done with the index as a whole."""
        return IndexUpkeep(self._parts, self._stopping, self._current)

    @functools.cached_property
    def costs(self) -> "Costs":
        """What model calls cost, and what they may cost."""
        from intelforge.costs import Costs

        return Costs(self._parts)

    @functools.cached_property
    def routing(self) -> "Routing":
        """What can be done with the router, which chooses a model for each request."""
        from intelforge.routing import Routing

        return Routing(self._parts)

    async def search(
        self,
        query: str | SearchRequest,
        *,
        principals: Sequence[str] = (EVERYONE,),
        accounting: Accounting = NOBODY,
    ) -> SearchResult:
        """The best chunks for a query, best first, of the documents these principals may see.

        A `SearchRequest` says what is wanted beside the words: how many, of which source, like which document, the next
        page. What it costs to embed the query and to look closer is entered under `accounting`.
        Raises InvalidInputError for an empty query, a field that makes no sense, a limit below 1 or a cursor of another
        search, NotFoundError for a source or a document that is not there, or not for them.
        """
        request = SearchRequest(query=query) if isinstance(query, str) else query
        with on_behalf_of(accounting):
            return await self._searching.search(request, principals)

    async def ask(
        self,
        question: str,
        *,
        source: str | None = None,
        principals: Sequence[str] = (EVERYONE,),
        accounting: Accounting = NOBODY,
    ) -> Answer:
        """The answer to a question, each sentence with citations that resolve; no sentences when the evidence is weak.

        What it costs is entered under `accounting`. Raises InvalidInputError for an empty or very long question.
        """
        from intelforge.answer.engine import answer

        question = legible(question)
        parts = self._parts
        scope = await self._searching.scope(source, principals)
        serving, model = await parts.versions.live(), await parts.model()
        library = ScopedLibrary(
            await parts.retriever(), parts.documents, scope, rerank_seconds=self._current.now.rerank_seconds
        )
        with parts.answering(), on_behalf_of(accounting):
            found = await answer(
                question,
                library=library,
                embedder=serving.embedder,
                model=model,
                judge=parts.lending.router.verified,
                principals=tuple(principals),
            )
        counts = await serving.standings.counts()
        notes = await self._searching.lacking(reranking=True) if counts.chunks else [await empty_note(self._parts)]
        return replace(found, notes=(*found.notes, *notes))

    async def show(
        self, document: str, *, span: tuple[int, int] | None = None, principals: Sequence[str] = (EVERYONE,)
    ) -> Shown:
        """A document version, named by its id, the start of its id, or the path or URL of an item.

        Raises NotFoundError, also for what these principals may not see, and InvalidInputError for a span outside it.
        """
        found = await self._searching.find_document(document, principals)
        if span is not None and not 0 <= span[0] <= span[1] <= len(found.text):
            raise InvalidInputError(
                f"the span {span[0]}:{span[1]} is not within the document's {len(found.text)} characters",
                hint="give START:END with 0 <= START <= END",
            )
        places = may_see(await self._parts.documents.places([found.id]), principals).get(found.id, [])
        return Shown(
            document=found,
            locations=tuple(location(place) for place in places),
            span=span,
            versions=tuple(await self._parts.documents.versions(found.id)),
        )

    def settings(self) -> list[SettingValue]:
        """Every setting with its value and where that came from."""
        return describe_settings(self._current.now, self._current.origins)

    async def doctor(self) -> list[Check]:
        """Looks at everything a user could have wrong. The workspace need not be entered: that may be what fails."""
        from intelforge.doctor import examine

        try:
            return await examine(self._parts)
        finally:
            if not self._entered:
                await self._parts.close()

    async def check_models(self, *urls: str) -> list[ModelCheck]:
        """Whether language models can be reached, let us in and are there: those named, or that of the settings."""
        return await self._parts.check_models(*(urls or (self._current.now.llm,)))


def _unreported(progress: Progress) -> None:
    """Reports to no one."""
