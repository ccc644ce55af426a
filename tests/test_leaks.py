"""A search tells nothing of what the caller may not see; search is by words alone."""

import subprocess
from pathlib import Path

import pytest

from intelforge import Workspace
from intelforge.core.errors import IntelForgeError, NotFoundError
from intelforge.core.search import SearchRequest, SearchResult

LEAN = 'embedder = "none:"\nllm = "none:"\njobs = "memory:"\nworkers = 1\n'
SHARED = "# Soup\n\nBoil the carrots in salted water.\n"
ANN = ("ann",)


@pytest.fixture
async def root(tmp_path: Path) -> Path:
    """An open folder with two files, and a git repository only ann may see: a copy of one file and a secret."""
    folder, files, private = Workspace.init(tmp_path / "workspace"), tmp_path / "files", tmp_path / "private"
    (folder / "intelforge.toml").write_text(LEAN)
    for place in (files, private):
        place.mkdir()
    (files / "soup.md").write_text(SHARED)
    (files / "salad.md").write_text("# Salad\n\nGrate the carrots, add salt and a little water.\n")
    (private / "copy.md").write_text(SHARED)
    (private / "plan.md").write_text("# Plan\n\nThe merger of carrots and parsnips.\n")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
        subprocess.run(["git", "-C", str(private), *who, *command], check=True)
    async with Workspace.open(folder) as workspace:
        await workspace.add(files)
        await workspace.add(private, kind="git", access=ANN)
        assert (await workspace.sync()).complete
    return folder


def uris(result: SearchResult) -> set[str]:
    return {hit.uri for hit in result.hits}


async def error_of(workspace: Workspace, query: str = "", *, like: str | None = None, source: str | None = None) -> str:
    with pytest.raises(IntelForgeError) as caught:
        await workspace.search(SearchRequest(query=query, like=like, source=source))
    assert isinstance(caught.value, NotFoundError)
    return str(caught.value)


async def test_kinds_and_paths_are_those_of_places_the_caller_may_see(root: Path) -> None:
    async with Workspace.open(root) as workspace:
        assert uris(await workspace.search("carrots kind:git")) == set()
        assert uris(await workspace.search("carrots -kind:git")) == {"soup.md", "salad.md"}
        assert uris(await workspace.search("carrots kind:git,folder")) == {"soup.md", "salad.md"}
        assert uris(await workspace.search("carrots -kind:folder", principals=ANN)) == {"plan.md"}
        assert uris(await workspace.search("carrots kind:git", principals=ANN)) == {"copy.md", "plan.md"}
        assert uris(await workspace.search("carrots path:copy.md")) == set()
        assert uris(await workspace.search("carrots -path:copy.md")) == {"soup.md", "salad.md"}
        explained = await workspace.search(SearchRequest(query="carrots path:*.md", explain=True))
        assert explained.plan
        assert explained.plan.where == "principal:*, 2 documents by path"


async def test_too_many_paths_are_counted_among_the_visible(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("intelforge.searching.MOST_ALONG_PATHS", 2)
    async with Workspace.open(root) as workspace:
        assert uris(await workspace.search("carrots path:*.md")) == {"soup.md", "salad.md"}
        with pytest.raises(IntelForgeError, match="these paths hold 3 documents"):
            await workspace.search("carrots path:*.md", principals=ANN)


async def test_a_hidden_source_is_no_source(root: Path, tmp_path: Path) -> None:
    async with Workspace.open(root) as workspace:
        hidden = await workspace.find_source(str(tmp_path / "private"))
        for name in (hidden.id, hidden.id[:8], hidden.uri):
            for query in (f"carrots source:{name}", f"carrots -source:{name}"):
                assert (await error_of(workspace, query)).replace(name, "X") == (
                    (await error_of(workspace, "carrots source:unknown")).replace("unknown", "X")
                )
            assert "there is no source" in await error_of(workspace, "carrots", source=name)
            assert uris(await workspace.search(f"carrots source:{name}", principals=ANN)) == {"copy.md", "plan.md"}


async def test_a_hidden_document_is_no_document(root: Path, tmp_path: Path) -> None:
    async with Workspace.open(root) as workspace:
        plan = (await workspace.show(str(tmp_path / "private" / "plan.md"), principals=ANN)).document
        soup = (await workspace.show(str(tmp_path / "files" / "soup.md"))).document
        for name in (plan.id, plan.id[:8], "plan.md", str(tmp_path / "private" / "copy.md"), "copy.md"):
            assert "there is no document" in await error_of(workspace, like=name)
        assert uris(await workspace.search(SearchRequest(like=soup.id))) == {"salad.md"}
        for name in ("\ud800", "\x00", "a\ud800b", "\ufffd\ud800", "\ufffd\x00"):
            assert "there is no document" in await error_of(workspace, like=name)
            with pytest.raises(NotFoundError):
                await workspace.show(name)
            assert "there is no source" in await error_of(workspace, "carrots", source=name)


async def test_results_say_nothing_of_hidden_documents(root: Path) -> None:
    async with Workspace.open(root) as workspace:
        result = await workspace.search(SearchRequest(query="carrots", facets=True, explain=True))
        assert result.facets["kind"] == {"folder": 2}
        assert len(result.facets["source"]) == 1
        assert result.plan
        assert (result.plan.where, result.plan.candidates["lexical"]) == ("principal:*", 2)
        assert [hit.duplicates for hit in result.hits] == [(), ()]
        assert (await workspace.search("mergre")).corrected == ""
        page = await workspace.search(SearchRequest(query="carrots", limit=1), principals=ANN)
        assert page.cursor
        second = await workspace.search(SearchRequest(query="carrots", limit=9, cursor=page.cursor))
        assert uris(second) <= {"soup.md", "salad.md"}
