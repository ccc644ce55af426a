"""What a caller asks for through the workspace; search is by words alone."""

from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import pytest

from intelforge import Workspace
from intelforge.core.errors import InvalidInputError, NotFoundError
from intelforge.core.search import SearchRequest

LEAN = 'embedder = "none:"\nllm = "none:"\njobs = "memory:"\nworkers = 1\nslow_search_seconds = 0.000001\n'
TEXTS = {
    "soup.md": "# Soup\n\nBoil the carrots in salted water.\n",
    "salad.md": "# Salad\n\nGrate the carrots, add salt and a little water.\n",
    "guide.md": "# Timeouts\n\nA timeout cancels the task.\n",
}


@pytest.fixture
async def root(tmp_path: Path) -> Path:
    """A workspace with three open files and one that only ann may see."""
    folder, files, private = Workspace.init(tmp_path / "workspace"), tmp_path / "files", tmp_path / "private"
    (folder / "intelforge.toml").write_text(LEAN)
    for place in (files, private):
        place.mkdir()
    for name, text in TEXTS.items():
        (files / name).write_text(text)
    (private / "plan.md").write_text("# Plan\n\nThe merger of carrots and parsnips.\n")
    async with Workspace.open(folder) as workspace:
        await workspace.add(files)
        await workspace.add(private, access=("ann",))
        assert (await workspace.sync()).complete
    return folder


async def test_pages_follow_each_other_and_a_cursor_belongs_to_its_search(root: Path) -> None:
    async with Workspace.open(root) as workspace:
        first = await workspace.search(SearchRequest(query="carrots water", limit=1))
        second = await workspace.search(SearchRequest(query="carrots water", limit=1, cursor=first.cursor))
        assert {hit.uri for hit in (*first.hits, *second.hits)} == {"soup.md", "salad.md"}
        assert (second.offset, second.cursor) == (1, "")
        for query, diverse in (("carrots", False), ("carrots water -salad", False), ("carrots water", True)):
            with pytest.raises(InvalidInputError, match="another search"):
                await workspace.search(SearchRequest(query=query, cursor=first.cursor, diverse=diverse))
        with pytest.raises(InvalidInputError, match="cannot be read"):
            await workspace.search(SearchRequest(query="carrots water", cursor="made-up"))
        ann = await workspace.search(SearchRequest(query="carrots", limit=1), principals=("ann",))
        everyone = await workspace.search(SearchRequest(query="carrots", cursor=ann.cursor))
        assert "plan.md" not in {hit.uri for hit in everyone.hits}


async def test_more_like_a_document_by_path_id_or_chunk(root: Path, tmp_path: Path) -> None:
    async with Workspace.open(root) as workspace:
        soup = str(tmp_path / "files" / "soup.md")
        document = (await workspace.show(soup)).document
        for name in (soup, document.id, document.id[:8], f"{document.id}:0"):
            assert [hit.uri for hit in (await workspace.search(SearchRequest(like=name))).hits] == ["salad.md"]
        assert (await workspace.search(SearchRequest(query="-grate", like=soup))).hits == ()
        assert (await workspace.search(SearchRequest(query="kind:git", like=soup))).hits == ()
        ann = await workspace.search(SearchRequest(like=soup), principals=("ann",))
        assert {hit.uri for hit in ann.hits} == {"salad.md", "plan.md"}
        with pytest.raises(InvalidInputError, match="give one of the two"):
            await workspace.search(SearchRequest(query="carrots", like=soup))
        for unknown in (str(tmp_path / "private" / "plan.md"), "nothing", f"{document.id}:7"):
            with pytest.raises(NotFoundError):
                await workspace.search(SearchRequest(like=unknown))
        like_plan = SearchRequest(like=str(tmp_path / "private" / "plan.md"))
        assert (await workspace.search(like_plan, principals=("ann",))).hits


async def test_facets_spelling_and_explanation_tell_nothing_of_what_is_hidden(root: Path) -> None:
    async with Workspace.open(root) as workspace:
        result = await workspace.search(SearchRequest(query="carrots", facets=True, explain=True))
        assert result.facets["kind"] == {"folder": 2}
        assert result.facets["type"] == {"text/markdown": 2}
        assert result.plan
        assert (result.plan.where, result.plan.candidates["lexical"]) == ("principal:*", 2)
        assert result.plan.store == "lancedb:.intelforge/index"
        ann = await workspace.search(SearchRequest(query="carrots", facets=True), principals=("ann",))
        assert ann.facets["kind"] == {"folder": 3}
        assert (await workspace.search("mergre")).corrected == ""
        assert (await workspace.search("mergre", principals=("ann",))).corrected == "merger"
        assert (await workspace.search("timeuot")).hits[0].uri == "guide.md"
        assert (await workspace.search("carrots")).plan is None


async def test_searches_are_on_record_with_the_plan_of_slow_ones(root: Path) -> None:
    async with Workspace.open(root) as workspace:
        await workspace.search("carrots " + "x" * 500)
    async with Workspace.open(root) as workspace:
        latencies = await workspace._parts.recorded_searches.latencies()
        assert set(latencies) == {"all", "counts", "words", "meaning", "hits", "spelling"}
        assert latencies["all"].searches == 1
        [slow] = await workspace._parts.recorded_searches.slow(5)
        assert slow.plan.where == "principal:*"
        assert slow.plan.query.startswith("carrots xxx")
        assert len(slow.plan.query) == 200


@pytest.mark.parametrize(
    "query",
    ["\x00", "\ud800\udfff", " \t\n\x1b ", ""],
)
async def test_a_query_without_anything_legible_is_empty(root: Path, query: str) -> None:
    async with Workspace.open(root) as workspace:
        with pytest.raises(InvalidInputError, match="the query is empty"):
            await workspace.search(query)


@pytest.mark.parametrize(
    "make",
    [
        lambda: "carrots " * 12_500,
        lambda: "carrots " + "a" * 100_000,
        lambda: "carrots " + "_" * 100_000,
        lambda: "carrots " + '"' * 100_000,
        lambda: "carrots " + "“" * 100_000,
        lambda: "carrots " + "-a:b " * 20_000,
        lambda: "carrots " + "日本" * 50_000,
        lambda: "carrots " + "a." * 50_000,
        lambda: "carrots\x00\x1b[2J\ud800 ",
    ],
)
async def test_very_long_and_broken_queries_are_answered_quickly(root: Path, make: Callable[[], str]) -> None:
    query = make()
    async with Workspace.open(root) as workspace:
        await workspace.search("warm up")
        began = perf_counter()
        result = await workspace.search(query)
        assert perf_counter() - began < 10
        assert {hit.uri for hit in result.hits} == {"soup.md", "salad.md"}
        assert ("first 10,000 characters" in " ".join(result.notes)) == (len(query) > 10_000)
        answer = await workspace.ask(query[:4000])
        assert answer.passages


async def test_path_patterns_of_many_wildcards_do_not_hold_a_search_up(root: Path) -> None:
    async with Workspace.open(root) as workspace:
        for glob in ("**a**a**a**a**a**a**a**az", "*" * 2000 + "z"):
            assert (await workspace.search(f"carrots path:{glob}")).hits == ()
        assert (await workspace.search("carrots path:**s**p.md")).hits[0].uri == "soup.md"
        with pytest.raises(InvalidInputError, match="21 path: patterns; give 20 or fewer"):
            await workspace.search("carrots" + " path:a" * 21)
