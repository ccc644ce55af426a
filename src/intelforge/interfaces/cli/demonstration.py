"""The demonstration: the main job on what every Python has, its standard library and installed READMEs."""

import asyncio
import sysconfig
import time
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from intelforge.core.errors import ErrorCode, IntelForgeError
from intelforge.core.model_reports import ModelInfo
from intelforge.core.reports import Progress, Stage, SyncReport
from intelforge.core.values import Answer
from intelforge.interfaces.cli.backend import Backend
from intelforge.interfaces.cli.demo_folder import claim_folder, write_readmes
from intelforge.interfaces.cli.progress import ProgressDisplay, progress_bars
from intelforge.interfaces.cli.render import render_answer
from intelforge.interfaces.cli.sanitize import one_line
from intelforge.interfaces.cli.schema import AskOutput, DemoOutput
from intelforge.interfaces.cli.session import Session
from intelforge.interfaces.cli.setup import DEFAULT_MODEL
from intelforge.interfaces.cli.wording import amount, duration

if TYPE_CHECKING:
    from intelforge.workspace import Workspace

QUESTIONS = (
    "How does asyncio.wait_for treat cancellation?",
    "Which library handles file system notifications in watchfiles?",
    "What happens in functools.lru_cache when maxsize is None?",
)
LEFT_OUT = ("site-packages/", "dist-packages/", "test/", "tests/", "idle_test/", "lib2to3/")
"""of the standard library: installed packages, its test suites, and a parser kept for its test data"""


def prepare(session: Session, path: Path) -> tuple[Path, tuple[str, ...]]:
    """Makes the workspace's folder ready, fetches the model, and tells what could not be done."""
    backend = session.load()
    folder = claim_folder(path)
    count = write_readmes(folder / "readmes", distributions())
    backend.init(folder)
    ignored = next(setting for setting in backend.open(folder).settings() if setting.name == "ignore").default
    backend.write_setting(folder, "ignore", f"{ignored}, {', '.join(LEFT_OUT)}")
    _say(session, f"Workspace {one_line(str(folder))}: {amount(count, 'READMEs')} of installed distributions and")
    _say(session, f"{_standard_library()}, without {', '.join(LEFT_OUT)} (its setting `ignore`).")
    return folder, _fetch_model(session, backend)


def _fetch_model(session: Session, backend: Backend) -> tuple[str, ...]:
    if any(model.present for model in backend.list_models() if model.name == DEFAULT_MODEL):
        return ()

    async def pulled() -> ModelInfo:
        with progress_bars(session.errors, shown=not session.json, title="Fetching") as display:
            return await backend.pull_model(DEFAULT_MODEL, report=display.report)

    try:
        session.run(pulled)
    except IntelForgeError as error:
        if error.error_code is ErrorCode.INTERRUPTED:
            raise
        return (f"search is by words alone, without the embedding model: {error}",)
    return ()


class Demonstration:
    """One run over a prepared workspace."""

    def __init__(self, session: Session, workspace: "Workspace", display: ProgressDisplay, deadline: float) -> None:
        self._session = session
        self._workspace = workspace
        self._display = display
        self._deadline = deadline
        self._searchable = asyncio.Event()
        self._started = self._searchable_at = time.monotonic()

    async def run(self, folder: Path, notes: tuple[str, ...]) -> DemoOutput:
        """Syncs, asks once the text is searchable, ends the sync at the deadline, checks the citations."""
        await self._workspace.add(str(folder / "readmes"), _standard_library())
        self._started = time.monotonic()
        syncing = asyncio.create_task(self._workspace.sync(report=self._report))
        try:
            await self._until_searchable(syncing)
            answers, first_answer = await self._ask_all(syncing)
            report = await self._end(syncing)
        finally:
            syncing.cancel()
            await asyncio.gather(syncing, return_exceptions=True)
        return await self._output(answers, first_answer, report, (*notes, *report.errors))

    def _report(self, progress: Progress) -> None:
        if progress.stage in {Stage.EMBEDDING, Stage.DONE} and not self._searchable.is_set():
            self._searchable_at = time.monotonic()
            self._searchable.set()
        self._display.report(progress)

    async def _until_searchable(self, syncing: "asyncio.Task[SyncReport]") -> None:
        """Until every text can be found, or the sync has ended for another reason, or the time is up."""
        searchable = asyncio.create_task(self._searchable.wait())
        await asyncio.wait({syncing, searchable}, timeout=self._left(), return_when=asyncio.FIRST_COMPLETED)
        searchable.cancel()
        if not self._searchable.is_set():
            self._searchable_at = time.monotonic()
        if syncing.done():
            syncing.result()

    async def _ask_all(self, syncing: "asyncio.Task[SyncReport]") -> tuple[list[Answer], float]:
        """The answers, and when the first was there; none once the sync was stopped: its user wants to end."""
        answers: list[Answer] = []
        first = 0.0
        for question in QUESTIONS:
            if syncing.done() and not syncing.result().complete:
                break
            answers.append(await self._workspace.ask(question))
            first = first or time.monotonic() - self._started
            with self._display.paused():
                self._print(question, answers[-1])
        return answers, first

    def _print(self, question: str, answer: Answer) -> None:
        if not self._session.json:
            self._session.output.print(Text(f"\n{question}", style="bold"))
            self._session.output.print(render_answer(answer, Path.cwd()), crop=False)

    async def _end(self, syncing: "asyncio.Task[SyncReport]") -> SyncReport:
        """The sync's report; at the deadline it is asked to stop after its batch."""
        await asyncio.wait({syncing}, timeout=self._left())
        if not syncing.done():
            self._workspace.stop()
        return await syncing

    def _left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    async def _output(
        self, answers: list[Answer], first_answer: float, report: SyncReport, notes: tuple[str, ...]
    ) -> DemoOutput:
        resolved = [await self._resolves(answer) for answer in answers]
        status = await self._workspace.status()
        return DemoOutput(
            path=status.path,
            questions=tuple(AskOutput(found=answer.found, text=answer.text, answer=answer) for answer in answers),
            searchable_seconds=self._searchable_at - self._started,
            first_answer_seconds=first_answer,
            total_seconds=time.monotonic() - self._started,
            documents=status.documents,
            chunks=status.chunks,
            embedded=status.embedded,
            citations=sum(len(checks) for checks in resolved),
            citations_resolved=sum(sum(checks) for checks in resolved),
            complete=report.complete,
            notes=notes,
        )

    async def _resolves(self, answer: Answer) -> list[bool]:
        """For each citation, whether the stored document has its quote at its place, to the character."""
        found = []
        for citation in (citation for sentence in answer.sentences for citation in sentence.citations):
            span = (citation.start, citation.end)
            shown = await self._workspace.show(citation.document_id, span=span)
            found.append(shown.document.text[slice(*span)] == citation.quote)
        return found


def render_demo(session: Session, output: DemoOutput) -> Text:
    """How long each part took, whether the citations hold, and how to go on."""
    embedded = f"{output.embedded:,} of {amount(output.chunks, 'chunks')} embedded"
    lines = [
        "",
        f"Searchable after    {duration(output.searchable_seconds)} ({amount(output.documents, 'documents')})",
        f"First answer after  {duration(output.first_answer_seconds)}",
        f"In all              {duration(output.total_seconds)}, {embedded}",
        f"Citations           {output.citations_resolved} of {output.citations} resolve to the character",
        *(f"Note: {one_line(note)}" for note in output.notes),
    ]
    if not output.complete:
        lines.append(f"Embedding stopped here; it goes on with: {session.command('sync')}")
    lines.append(f"""Go on asking: {session.command('ask "…"')}""")
    return Text("\n".join(lines), no_wrap=True, overflow="ignore")


def _standard_library() -> str:
    return sysconfig.get_paths()["stdlib"]


def _say(session: Session, message: str) -> None:
    if not session.json:
        session.output.print(Text(message), soft_wrap=True)
