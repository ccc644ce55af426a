"""Looks at everything a user could have wrong, and says the fix."""

import asyncio
import platform
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from intelforge.core.errors import IntelForgeError
from intelforge.core.reports import Check
from intelforge.core.values import Item
from intelforge.index.embedders.url import NO_EMBEDDER
from intelforge.parts import STATE, Parts

LEAST_FREE_MB = 500
LEAST_OPEN_FILES = 256


async def examine(parts: Parts) -> list[Check]:
    """Every check, in the order in which a user would mend what they find. None of them raises.

    Opens the database if it is not open yet; without it, what rests on it is not looked at.
    """
    alone: list[Look] = [
        Look("python", _python),
        Look("workspace folder", _folder),
        Look("disk space", _disk),
        Look("open files", _open_files, required=False),
        Look("git", _git, required=False),
        Look("extraction workers", _extraction),
    ]
    checks = [await look.at(parts) for look in alone]
    database = await Look("database", _database).at(parts)
    checks.append(database)
    if database.ok:
        resting = [
            Look("index", _index),
            Look("sources", _sources, required=False),
            Look("embedding model", _embedder, required=False),
            Look("reranker", _reranker, required=False),
            Look("language model", _model, required=False),
        ]
        checks += [await look.at(parts) for look in resting]
    return checks


@dataclass(frozen=True, slots=True)
class Look:
    """One check, made safe: what it raises is its finding."""

    name: str
    check: Callable[[Parts], Awaitable[Check]]
    required: bool = True

    async def at(self, parts: Parts) -> Check:
        try:
            return replace(await self.check(parts), required=self.required)
        except IntelForgeError as error:
            return Check(name=self.name, ok=False, detail=error.message, fix=error.hint, required=self.required)


async def _python(parts: Parts) -> Check:
    detail = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {platform.platform()}"
    return Check(name="python", ok=sys.version_info >= (3, 11), detail=detail, fix="install Python 3.11 or newer")


async def _folder(parts: Parts) -> Check:
    def writable() -> str:
        try:
            with tempfile.TemporaryFile(dir=parts.root / STATE):
                return ""
        except OSError as error:
            return error.strerror or str(error)

    problem = await asyncio.to_thread(writable)
    fix = f"make {parts.root / STATE} writable"
    return Check(name="workspace folder", ok=not problem, detail=problem or str(parts.root), fix=fix if problem else "")


async def _disk(parts: Parts) -> Check:
    free = shutil.disk_usage(parts.root).free // 2**20
    ok = free >= LEAST_FREE_MB
    fix = "" if ok else f"free at least {LEAST_FREE_MB} MB on the disk of {parts.root}"
    return Check(name="disk space", ok=ok, detail=f"{free:,} MB free", fix=fix)


async def _open_files(parts: Parts) -> Check:
    try:
        import resource
    except ImportError:
        return Check(name="open files", ok=True, detail="no limit on this system")
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    ok = soft >= LEAST_OPEN_FILES or soft == resource.RLIM_INFINITY
    fix = "" if ok else "ulimit -n 4096"
    return Check(name="open files", ok=ok, detail=f"at most {soft}", fix=fix)


async def _database(parts: Parts) -> Check:
    await parts.open()
    counts = await parts.versions.counts(await parts.versions.live_version())
    detail = f"{parts.database.shown_url}: {counts.documents:,} documents, {counts.chunks:,} chunks"
    return Check(name="database", ok=True, detail=detail)


async def _index(parts: Parts) -> Check:
    serving = await parts.versions.live()
    held = await serving.store.inventory()
    wanted = await serving.standings.all()
    differing = sum(
        1
        for document_id in {*held, *wanted}
        if (held[document_id].chunks if document_id in held else 0)
        != (wanted[document_id].chunks if document_id in wanted else 0)
    )
    current = await serving.standings.counts()
    behind = current.chunks - current.indexed
    ok = differing == 0 and behind == 0
    detail = f"{serving.version.url}: {len(held):,} documents"
    if not ok:
        detail += f", {differing} documents differ from the database" if differing else ""
        detail += f", {behind} chunks are missing" if behind else ""
    return Check(name="index", ok=ok, detail=detail, fix="" if ok else "run: intelforge sync")


async def _embedder(parts: Parts) -> Check:
    if parts.settings.embedder in NO_EMBEDDER:
        return Check(name="embedding model", ok=True, detail="none: search is by words only")
    embedder = parts.search_models.uncached_embedder()
    if embedder is None:
        error = parts.search_models.embedder_error
        fix = error.hint if error else ""
        return Check(name="embedding model", ok=False, detail=error.message if error else "", fix=fix)
    [vector] = await embedder.embed(["hello"])
    detail = f"{embedder.name}, {len(vector)} dimensions"
    return Check(name="embedding model", ok=True, detail=detail)


async def _reranker(parts: Parts) -> Check:
    embedder, _ = parts.versions.embedder_of(await parts.versions.live_version())
    reranker = parts.search_models.reranker(embedder)
    if reranker is None:
        error = parts.search_models.reranker_error
        detail = error.message if error else f"{parts.settings.reranker.rstrip(':')}: nothing looks closer at hits"
        return Check(name="reranker", ok=not error, detail=detail, fix=error.hint if error else "")
    await reranker.score("hello", ["hello"])
    return Check(name="reranker", ok=True, detail=reranker.name)


async def _extraction(parts: Parts) -> Check:
    from intelforge.refine.pool import Refinery

    settings = parts.settings
    async with Refinery(
        workers=1,
        seconds=settings.extract_seconds,
        memory_mb=settings.extract_memory_mb,
        tokenizer=None,
        chunk_tokens=settings.chunk_tokens,
    ) as refinery:
        await refinery.refine(Item(uri="check.md", data=b"# Check\n\nA worker reads this.\n"))
    detail = f"{settings.workers} workers, {settings.extract_seconds:g} s and {settings.extract_memory_mb} MB an item"
    return Check(name="extraction workers", ok=True, detail=detail)


async def _sources(parts: Parts) -> Check:
    found = await parts.sources.statuses()
    if not found:
        return Check(name="sources", ok=False, detail="there are none", fix="run: intelforge add PATH_OR_URL")
    missing = await asyncio.to_thread(_missing, [one.source.uri for one in found])
    broken = [one for one in found if one.error]
    detail = f"{len(found)} sources" if len(found) > 1 else "1 source"
    if missing:
        detail += f"; not there: {', '.join(missing[:3])}"
    for one in broken:
        detail += f"; {one.source.uri}: {one.error.removeprefix(f'{one.source.uri}: ')}"
    ok = not missing and not broken
    fix = "" if ok else "mount or restore it" if missing else "check address and network, then run: intelforge sync"
    fix += "" if ok else ", or run: intelforge sources remove ID"
    return Check(name="sources", ok=ok, detail=detail, fix=fix)


async def _git(parts: Parts) -> Check:
    path = shutil.which("git")
    fix = "" if path else "install git, to add git repositories"
    return Check(name="git", ok=path is not None, detail=path or "not installed", fix=fix)


async def _model(parts: Parts) -> Check:
    checks = await parts.check_models(parts.settings.llm)
    if not checks:
        detail = f"{parts.settings.llm.rstrip(':')}: no language model; answers are quoted sentences"
        return Check(name="language model", ok=True, detail=detail)
    wrong = [check for check in checks if not check.ok]
    detail = "; ".join(check.problem for check in wrong) or ", ".join(check.name for check in checks)
    return Check(name="language model", ok=not wrong, detail=detail, fix=wrong[0].hint if wrong else "")


def _missing(uris: Sequence[str]) -> list[str]:
    return [uri for uri in uris if uri.startswith("/") and not Path(uri).exists()]
