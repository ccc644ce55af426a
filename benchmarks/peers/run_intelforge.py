"""IntelForge, as its README shows it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from protocol import read_job, tell, time_searches

from intelforge import Workspace
from intelforge.core.reports import Progress, Stage
from intelforge.core.search import SearchRequest
from intelforge.core.values import Hit


def main() -> None:
    job = read_job()
    with asyncio.Runner() as runner:
        workspace = runner.run(_open(Path(job.state)))
        tell("ready")
        try:
            runner.run(_sync(workspace, job.folder, job.embed_chunks))
            time_searches(job, lambda question, limit: runner.run(_search(workspace, question, limit)))
        finally:
            runner.run(workspace.__aexit__(None, None, None))


async def _open(folder: Path) -> Workspace:
    return await Workspace.open(Workspace.init(folder)).__aenter__()


async def _search(workspace: Workspace, question: str, limit: int) -> Sequence[Hit]:
    return (await workspace.search(SearchRequest(query=question, limit=limit))).hits


async def _sync(workspace: Workspace, folder: str, embed_chunks: int | None) -> None:
    stages: set[Stage] = set()

    def report(progress: Progress) -> None:
        if progress.stage is Stage.EMBEDDING:
            if progress.stage not in stages:
                tell("searchable")
                tell("embedding")
            if embed_chunks is not None and progress.done >= embed_chunks:
                workspace.stop()
        stages.add(progress.stage)

    await workspace.add(folder)
    await workspace.sync(report=report)
    status = await workspace.status()
    failed = sum(number for state, number in status.items.items() if state != "ready")
    tell("embedded", chunks=status.chunks, embedded=status.embedded, failed=failed)


if __name__ == "__main__":
    main()
