"""Versions of the index, on real files, workers, stores and database; the embedder is a server on a loopback socket."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from intelforge import Workspace
from intelforge.core.errors import BackendError, ConfigError, InvalidInputError, NotFoundError, StorageError
from intelforge.core.index_reports import BuildReason, IndexState
from intelforge.core.reports import Progress, Stage
from intelforge.index.lancedb import LanceStore
from intelforge.testing.embedding_server import EmbeddingServer

TEXTS = {f"{name}.md": f"# {name}\n\nThis is about the {name}.\n" for name in ("otter", "heron", "badger")}
LEAN = 'llm = "none:"\njobs = "memory:"\nworkers = 1\n'


@pytest.fixture
async def server() -> AsyncIterator[EmbeddingServer]:
    async with EmbeddingServer() as server:
        yield server


@pytest.fixture
def root(tmp_path: Path, server: EmbeddingServer) -> Path:
    """A workspace with three files as its source, not synced yet."""
    folder = Workspace.init(tmp_path / "workspace")
    (folder / "intelforge.toml").write_text(f'{LEAN}embedder = "{embedder(server, "one")}"\n')
    files = tmp_path / "files"
    files.mkdir()
    for name, text in TEXTS.items():
        (files / name).write_text(text)
    return folder


@pytest.fixture
async def workspace(root: Path, tmp_path: Path) -> AsyncIterator[Workspace]:
    """Synced and embedded."""
    async with Workspace.open(root) as workspace:
        await workspace.add(tmp_path / "files")
        assert (await workspace.sync()).chunks_embedded == 3
        yield workspace


def embedder(server: EmbeddingServer, model: str) -> str:
    return f"{server.url}/v1#{model}"


def set_to(root: Path, **settings: str) -> None:
    lines = "".join(f'{name} = "{value}"\n' for name, value in settings.items())
    (root / "intelforge.toml").write_text(LEAN + lines)


async def states(workspace: Workspace) -> list[tuple[int, str, int, int]]:
    found = await workspace.index.versions()
    return [(one.version.number, one.version.state.value, one.chunks, one.embedded) for one in found]


async def found(workspace: Workspace, word: str) -> list[str]:
    return [hit.uri for hit in (await workspace.search(word)).hits if "lexical" in hit.scores]


async def test_another_embedder_is_built_beside_and_takes_over(
    root: Path, workspace: Workspace, server: EmbeddingServer
) -> None:
    assert await states(workspace) == [(1, "live", 3, 3)]
    set_to(root, embedder=embedder(server, "two"))
    async with Workspace.open(root) as changed:
        status = await changed.status()
        assert (status.embedded, status.embedder) == (3, embedder(server, "one"))
        assert (await changed.sync()).chunks_embedded == 3
        assert await states(changed) == [(1, "previous", 3, 3), (2, "live", 3, 3)]
        assert (await changed.status()).embedder == embedder(server, "two")
        assert await found(changed, "otter") == ["otter.md"]
    assert await found(workspace, "otter") == ["otter.md"], "a process that was open all the time follows"


async def test_answers_come_from_the_old_version_while_the_new_one_is_built(
    root: Path, workspace: Workspace, server: EmbeddingServer
) -> None:
    set_to(root, embedder=embedder(server, "two"))
    async with Workspace.open(root) as changed:
        reached = asyncio.Event()

        def report(progress: Progress) -> None:
            if progress.stage is Stage.EMBEDDING and progress.total:
                reached.set()
                changed.stop()

        done = await changed.sync(report=report)
        assert reached.is_set()
        assert not done.complete
        hits = (await changed.search("otter")).hits
        assert (await changed.status()).embedder == embedder(server, "one")
        assert {"lexical", "vector"} <= set(hits[0].scores)
        assert server.requests[-1].json["model"] == "one", "the query goes to the embedder of the version that answers"
        building = (await changed.status()).building
        assert building
        assert (building.version.number, building.wanted) == (2, 3)
        await changed.sync()
        assert [state for _, state, *_ in await states(changed)] == ["previous", "live"]
        assert (await changed.status()).building is None


async def test_a_change_that_is_taken_back_is_given_up(
    root: Path, workspace: Workspace, server: EmbeddingServer
) -> None:
    set_to(root, embedder=embedder(server, "two"))
    async with Workspace.open(root) as changed:
        await changed.sync(report=lambda progress: changed.stop() if progress.stage is Stage.EMBEDDING else None)
        assert [state for _, state, *_ in await states(changed)] == ["live", "building"]
    set_to(root, embedder=embedder(server, "one"))
    assert (await workspace.sync()).complete
    assert await states(workspace) == [(1, "live", 3, 3)]
    assert not (root / ".intelforge" / "index_2" / "chunks.lance").exists()


async def test_going_back_is_immediate_and_sets_the_settings_back(
    root: Path, workspace: Workspace, server: EmbeddingServer, tmp_path: Path
) -> None:
    with pytest.raises(NotFoundError, match="no version to go back to"):
        await workspace.index.rollback()
    set_to(root, embedder=embedder(server, "two"))
    async with Workspace.open(root) as changed:
        await changed.sync()
        (tmp_path / "files" / "otter.md").unlink()
        (tmp_path / "files" / "newt.md").write_text("All about the newt.")
        await changed.sync()
        assert (await changed.index.rollback()).number == 1
        assert await states(changed) == [(1, "live", 2, 2), (2, "previous", 3, 3)]
        assert await found(changed, "otter") == [], "what is gone stays gone"
        assert f'"{embedder(server, "one")}"' in (root / "intelforge.toml").read_text()
        await changed.sync()
        assert await states(changed) == [(1, "live", 3, 3), (2, "previous", 3, 3)]
        assert await found(changed, "newt") == ["newt.md"]
    set_to(root, embedder=embedder(server, "two"))
    requests = len(server.requests)
    async with Workspace.open(root) as again:
        await again.sync()
        assert [state for _, state, *_ in await states(again)] == ["previous", "live"]
        assert len(server.requests) == requests, "the version before is taken up again as it is"


async def test_settings_of_the_environment_are_not_gone_back_on(
    root: Path, workspace: Workspace, server: EmbeddingServer
) -> None:
    async with Workspace.open(root, embedder=embedder(server, "two")) as changed:
        await changed.sync()
        with pytest.raises(ConfigError, match="comes from: flag"):
            await changed.index.rollback()
        assert [state for _, state, *_ in await states(changed)] == ["previous", "live"]


async def test_the_index_moves_to_another_store_without_embedding_anything(
    root: Path, workspace: Workspace, server: EmbeddingServer
) -> None:
    requests = len(server.requests)
    stages: list[Stage] = []
    done = await workspace.index.migrate("faiss:other", report=lambda progress: stages.append(progress.stage))
    assert (done.complete, done.embedded, done.compared) == (True, 3, 3)
    assert Stage.COMPARING in stages
    assert len(server.requests) == requests
    assert 'index = "faiss:other"' in (root / "intelforge.toml").read_text()
    assert [(one.version.url, one.version.state) for one in await workspace.index.versions()] == [
        ("lancedb:.intelforge/index", IndexState.PREVIOUS),
        ("faiss:other", IndexState.LIVE),
    ]
    assert await found(workspace, "heron") == ["heron.md"]
    assert (await workspace.sync()).complete
    assert [one.version.reason for one in await workspace.index.versions()] == [
        BuildReason.FIRST,
        BuildReason.MIGRATION,
    ]
    with pytest.raises(InvalidInputError, match="is at faiss:other already"):
        await workspace.index.migrate("faiss:other")
    with pytest.raises(BackendError, match="no vector_stores backend"):
        await workspace.index.migrate("pinecone://x")


async def test_a_move_that_was_stopped_goes_on_and_is_left_alone_by_a_sync(
    root: Path, workspace: Workspace, server: EmbeddingServer
) -> None:
    def stop(progress: Progress) -> None:
        workspace.index.stop()

    done = await workspace.index.migrate("faiss:other", report=stop)
    assert not done.complete
    assert "faiss" not in (root / "intelforge.toml").read_text()
    await workspace.sync()
    assert [state for _, state, *_ in await states(workspace)] == ["live", "building"]
    with pytest.raises(InvalidInputError, match=r"version 2 is being built at faiss:other"):
        await workspace.index.rebuild()
    done = await workspace.index.migrate("faiss:other")
    assert (done.complete, done.status.version.number) == (True, 2)


async def test_a_vector_that_does_not_arrive_whole_is_written_again(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from intelforge.index.faiss import FaissStore

    spoiled: list[int] = []
    add_vectors = FaissStore.add_vectors

    async def spoil(self: FaissStore, ids: list[str], vectors: np.ndarray, *about: object) -> None:
        if not spoiled:
            vectors = np.roll(vectors, 1, axis=1)
        spoiled.append(len(ids))
        await add_vectors(self, ids, vectors, *about)  # type: ignore[arg-type]

    monkeypatch.setattr(FaissStore, "add_vectors", spoil)
    done = await workspace.index.migrate("faiss:other")
    assert (done.complete, done.embedded, spoiled) == (True, 6, [3, 3])


async def test_a_store_that_cannot_be_reached_leaves_everything_as_it_was(root: Path, workspace: Workspace) -> None:
    with pytest.raises(StorageError, match=r"127\.0\.0\.1:9"):
        await workspace.index.migrate("qdrant://127.0.0.1:9")
    assert await states(workspace) == [(1, "live", 3, 3)]
    assert await found(workspace, "heron") == ["heron.md"]


async def test_rebuilding_makes_a_new_version_from_the_database(workspace: Workspace, server: EmbeddingServer) -> None:
    store = (await workspace._parts.versions.live()).store
    assert isinstance(store, LanceStore)
    requests = len(server.requests)
    done = await workspace.index.rebuild()
    assert (done.complete, done.status.version.number, done.status.embedded) == (True, 2, 3)
    assert len(server.requests) == requests, "the texts are in the embedding cache"
    await workspace.index.rebuild()
    assert [state for _, state, *_ in await states(workspace)] == ["previous", "live"]
    assert await store.count() == type(await store.count())(0, 0), "the version before the one before is emptied"


async def test_a_version_that_answers_is_not_dropped_and_others_are(workspace: Workspace) -> None:
    with pytest.raises(InvalidInputError, match="version 1 is the one that answers"):
        await workspace.index.drop(1)
    with pytest.raises(NotFoundError, match="no version 7"):
        await workspace.index.drop(7)
    await workspace.index.rebuild()
    await workspace.index.drop(1)
    assert await states(workspace) == [(2, "live", 3, 3)]


async def test_verifying_finds_and_mends_what_differs(workspace: Workspace) -> None:
    assert (await workspace.index.verify()).agrees
    serving = await workspace._parts.versions.live()
    [document_id, *_] = await serving.store.inventory()
    await serving.store.delete([document_id])
    seen = await workspace.index.verify(dry_run=True)
    assert (seen.missing, seen.repaired, seen.indexed) == (1, False, 3)
    mended = await workspace.index.verify()
    assert (mended.missing, mended.repaired, mended.followed, mended.indexed, mended.embedded) == (1, True, 1, 3, 2)
    assert (await workspace.index.verify()).agrees
    assert (await workspace.sync()).chunks_embedded == 1


async def test_an_index_is_carried_to_a_file_and_into_another_workspace(
    workspace: Workspace, server: EmbeddingServer, tmp_path: Path
) -> None:
    path = tmp_path / "index.parquet"
    out = await workspace.index.export(path)
    assert (out.chunks, out.vectors) == (3, 3)
    rows = pq.read_table(path).to_pylist()
    assert {row["text"].split()[-1] for row in rows} == {"otter.", "heron.", "badger."}
    assert all(len(row["vector"]) == server.dimensions for row in rows)
    other = Workspace.init(tmp_path / "other")
    set_to(other, embedder=embedder(server, "one"))
    (tmp_path / "files" / "badger.md").unlink()
    async with Workspace.open(other) as second:
        await second.add(tmp_path / "files")
        await second.sync(embed=False)
        dry = await second.index.load(path, dry_run=True)
        assert (dry.vectors, dry.unknown) == (2, 1)
        assert await states(second) == [(1, "live", 2, 0)]
        taken = await second.index.load(path)
        assert (taken.vectors, taken.unknown, taken.present) == (2, 1, 0)
        assert await states(second) == [(1, "live", 2, 2)]
        assert (await second.index.load(path)).present == 2
        requests = len(server.requests)
        assert (await second.sync()).chunks_embedded == 0
        assert len(server.requests) == requests


async def test_files_that_cannot_be_imported_are_refused(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no file"):
        await workspace.index.load(tmp_path / "absent.parquet")
    text = tmp_path / "text.parquet"
    text.write_text("no table")
    with pytest.raises(InvalidInputError, match="no Parquet file"):
        await workspace.index.load(text)
    pq.write_table(pa.table({"a": [1]}), text)
    with pytest.raises(InvalidInputError, match="no column 'chunk_id'"):
        await workspace.index.load(text)
    good = tmp_path / "index.parquet"
    await workspace.index.export(good)
    table = pq.read_table(good)
    for key, value, why in ((b"model", b"another", "has vectors of another"), (b"format", b"9", "its format is 9")):
        changed = {**table.schema.metadata, b"intelforge." + key: value}
        pq.write_table(table.replace_schema_metadata(changed), text)
        with pytest.raises(InvalidInputError, match=why):
            await workspace.index.load(text)
    with pytest.raises(StorageError, match="cannot be written"):
        await workspace.index.export(tmp_path / "absent" / "index.parquet")


@pytest.mark.parametrize(
    ("column", "values", "why"),
    [
        ("ordinal", pa.array([0, None, 0], pa.int32()), "'ordinal' has empty values"),
        ("ordinal", pa.array([0, -1, 0], pa.int32()), "'ordinal' has negative values"),
        ("ordinal", pa.array(["0", "0", "0"]), "'ordinal' is of type string"),
        ("chunk_id", pa.array([1, 2, 3]), "'chunk_id' is of type int64"),
        ("document_id", pa.array(["a", None, "b"]), "'document_id' has empty values"),
        ("vector", pa.array([[1.0], [1.0], [0.0, 1.0]]), "vectors of 1 and 2 dimensions"),
        ("vector", pa.array([[1.0, 0.0], None, None]), "vectors are of 2 dimensions, those of the index of"),
    ],
)
async def test_a_file_with_values_no_export_writes_is_refused(
    workspace: Workspace, tmp_path: Path, column: str, values: "pa.Array", why: str
) -> None:
    path = tmp_path / "index.parquet"
    await workspace.index.export(path)
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.schema.get_field_index(column), column, values), path)
    with pytest.raises(InvalidInputError, match=why):
        await workspace.index.load(path)


async def test_single_vectors_that_are_not_of_length_one_are_left_out(
    workspace: Workspace, server: EmbeddingServer, tmp_path: Path
) -> None:
    path = tmp_path / "index.parquet"
    await workspace.index.export(path)
    table = pq.read_table(path)
    kept = [[0.0] * server.dimensions, [float("nan")] * server.dimensions, table["vector"].to_pylist()[2]]
    at = table.schema.get_field_index("vector")
    pq.write_table(table.set_column(at, table.schema.field(at), [pa.array(kept, pa.list_(pa.float32()))]), path)
    other = Workspace.init(tmp_path / "other")
    set_to(other, embedder=embedder(server, "one"))
    async with Workspace.open(other) as second:
        await second.add(tmp_path / "files")
        await second.sync(embed=False)
        taken = await second.index.load(path)
        assert (taken.vectors, taken.refused) == (1, 2)
        assert await states(second) == [(1, "live", 3, 1)]


async def test_a_setting_that_names_another_store_is_followed_by_the_next_sync(
    root: Path, workspace: Workspace, server: EmbeddingServer
) -> None:
    requests = len(server.requests)
    set_to(root, embedder=embedder(server, "one"), index="faiss:other")
    async with Workspace.open(root) as changed:
        assert await found(changed, "heron") == ["heron.md"], "answered by the old store until then"
        await changed.sync()
        assert [(one.version.url, one.embedded) for one in await changed.index.versions()][-1] == ("faiss:other", 3)
        assert await found(changed, "heron") == ["heron.md"]
    assert len(server.requests) == requests + 1, "one query, and no text, was embedded"


async def test_a_new_store_answers_at_once_where_the_old_one_cannot_be_opened(
    root: Path, server: EmbeddingServer, tmp_path: Path
) -> None:
    set_to(root, embedder=embedder(server, "one"), index="qdrant://127.0.0.1:9")
    async with Workspace.open(root) as workspace:
        await workspace.add(tmp_path / "files")
        with pytest.raises(StorageError, match=r"127\.0\.0\.1:9"):
            await workspace.sync()
    set_to(root, embedder=embedder(server, "one"))
    async with Workspace.open(root) as workspace:
        assert (await workspace.sync()).chunks_embedded == 3
        assert await found(workspace, "heron") == ["heron.md"]


async def test_a_version_that_was_given_up_while_it_was_built_never_answers(
    root: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    await workspace.index.rebuild()
    before = await states(workspace)
    async with Workspace.open(root) as other:

        def meddle(progress: Progress) -> None:
            if progress.stage is Stage.EMBEDDING and not meddling:
                meddling.append(asyncio.ensure_future(other.index.rollback()))

        meddling: list[asyncio.Future[object]] = []
        monkeypatch.setattr("intelforge.ingest.build.WATCH_SECONDS", 0.01)
        done = await workspace.index.rebuild(report=meddle)
        await asyncio.gather(*meddling)
    assert not done.complete
    assert before == [(1, "previous", 3, 3), (2, "live", 3, 3)]
    assert await states(workspace) == [(1, "live", 3, 3), (2, "previous", 3, 3)]
    assert await found(workspace, "otter") == ["otter.md"]
    await workspace.index.rebuild()
    assert await states(workspace) == [(1, "previous", 3, 3), (4, "live", 3, 3)], "no number is given twice"


async def test_a_move_of_another_process_is_not_undone(root: Path, workspace: Workspace) -> None:
    async with Workspace.open(root) as other:
        assert (await other.index.migrate("faiss:other")).complete
    assert (await workspace.sync()).complete
    assert [(one.version.url, one.version.state.value) for one in await workspace.index.versions()] == [
        ("lancedb:.intelforge/index", "previous"),
        ("faiss:other", "live"),
    ]


async def test_a_move_that_was_killed_just_before_the_change_is_ended_by_the_next_sync(
    root: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(self: object, number: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("intelforge.store.index_versions.IndexVersions.go_live", killed)
        with pytest.raises(KeyboardInterrupt):
            await workspace.index.migrate("faiss:other")
    async with Workspace.open(root) as again:
        assert [state for _, state, *_ in await states(again)] == ["live", "building"]
        await again.sync()
        assert [(one.version.url, one.version.state.value) for one in await again.index.versions()][-1] == (
            "faiss:other",
            "live",
        )


async def test_a_setting_of_the_environment_is_refused_before_anything_is_moved(
    root: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTELFORGE_INDEX", "lancedb:.intelforge/index")
    async with Workspace.open(root) as other:
        with pytest.raises(ConfigError, match="environment INTELFORGE_INDEX"):
            await other.index.migrate("faiss:other")
        assert await states(other) == [(1, "live", 3, 3)]


async def test_a_url_with_a_key_is_refused_and_kept_nowhere(root: Path, workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        await workspace.index.migrate("qdrant://k3y@127.0.0.1:9")
    assert await states(workspace) == [(1, "live", 3, 3)]


async def test_an_old_version_that_cannot_be_emptied_stops_nothing(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stuck(self: LanceStore) -> None:
        raise StorageError("the disk is away")

    with monkeypatch.context() as patch:
        patch.setattr(LanceStore, "drop", stuck)
        for _ in range(2):
            assert (await workspace.index.rebuild()).complete
        assert [state for _, state, *_ in await states(workspace)] == ["retired", "previous", "live"]
    await workspace.sync()
    assert [state for _, state, *_ in await states(workspace)] == ["previous", "live"]


async def test_a_password_that_is_not_kept_is_not_written_over(root: Path, workspace: Workspace) -> None:
    record = workspace._parts.versions.record
    await record.begin(url="postgresql://me:***@127.0.0.1:9/x", embedder="none:", model="", reason=BuildReason.REBUILD)
    await record.go_live(2)
    await record.begin(url="lancedb:.intelforge/index", embedder="none:", model="", reason=BuildReason.REBUILD)
    await record.go_live(3)
    text = (root / "intelforge.toml").read_text()
    with pytest.raises(ConfigError, match="the password of postgresql://me:"):
        await workspace.index.rollback()
    assert (root / "intelforge.toml").read_text() == text


async def test_vectors_of_another_model_are_refused_by_an_index_that_has_none_yet(
    workspace: Workspace, server: EmbeddingServer, tmp_path: Path
) -> None:
    path = tmp_path / "index.parquet"
    await workspace.index.export(path)
    other = Workspace.init(tmp_path / "other")
    for embedder_url in (embedder(server, "two"), "none:"):
        set_to(other, embedder=embedder_url)
        async with Workspace.open(other) as second:
            await second.add(tmp_path / "files")
            await second.sync(embed=False)
            with pytest.raises(InvalidInputError, match="the index is for those of"):
                await second.index.load(path)
            assert await states(second) == [(1, "live", 3, 0)]


async def test_a_new_store_that_is_down_keeps_nothing_from_the_one_that_answers(
    root: Path, workspace: Workspace, server: EmbeddingServer, tmp_path: Path
) -> None:
    set_to(root, embedder=embedder(server, "one"), index="qdrant://127.0.0.1:9")
    (tmp_path / "files" / "newt.md").write_text("All about the newt.")
    async with Workspace.open(root) as changed:
        done = await changed.sync()
        assert (done.added, done.complete) == (1, False)
        assert "127.0.0.1:9" in done.errors[0]
        assert await found(changed, "newt") == ["newt.md"]
    set_to(root, embedder=embedder(server, "one"))
    assert (await workspace.sync()).complete
    assert (await states(workspace))[0] == (1, "live", 4, 4)
