import asyncio
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intelforge.collect.protocol import Complete, Present, Removed, Renamed, Skipped
from intelforge.core.errors import ErrorCode, ItemError, NotFoundError
from intelforge.core.values import ItemRef, ItemState, Validators
from intelforge.ingest.listing import Listing
from intelforge.store.database import open_database
from intelforge.store.items import Known
from intelforge.testing.collector import MemoryCollector, validators_of
from intelforge.testing.ingestion import Ingestion

READY = Known(state=ItemState.READY, validators=validators_of("text"), document_id="d")


def known(state: ItemState, code: str = "", text: str = "text") -> Known:
    return Known(state=state, validators=validators_of(text), code=code, document_id="d")


async def listed(listing: Listing, collector: MemoryCollector) -> list[str]:
    return [ref.uri async for ref in listing.read(collector)]


@pytest.mark.parametrize(
    ("before", "wanted", "counted"),
    [
        (None, True, "added"),
        (known(ItemState.PENDING), True, "added"),
        (known(ItemState.GONE), True, "added"),
        (known(ItemState.READY), False, "unchanged"),
        (known(ItemState.READY, text="old"), True, "changed"),
        (Known(state=ItemState.READY, validators=Validators(), document_id="d"), True, "changed"),
        (known(ItemState.READY, "timed_out"), True, "changed"),
        (known(ItemState.FAILED, "damaged"), False, "unchanged"),
        (known(ItemState.FAILED, "timed_out"), True, "changed"),
        (known(ItemState.FAILED, "unreadable"), True, "changed"),
        (known(ItemState.SKIPPED, "unsupported"), False, "unchanged"),
        (known(ItemState.SKIPPED, "unsupported", text="old"), True, "changed"),
    ],
)
async def test_an_item_is_read_when_it_is_new_changed_or_worth_another_try(
    before: Known | None, wanted: bool, counted: str
) -> None:
    listing = Listing(known={"a": before} if before else {})
    assert await listed(listing, MemoryCollector(texts={"a": "text"})) == (["a"] if wanted else [])
    counts = {"added": len(listing.added), "changed": len(listing.changed), "unchanged": listing.unchanged}
    assert counts == {"added": 0, "changed": 0, "unchanged": 0} | {counted: 1}


async def test_failed_items_are_read_again_on_demand() -> None:
    listing = Listing(known={"a": known(ItemState.FAILED, "damaged")}, retry_failed=True)
    assert listing.wants_everything
    assert await listed(listing, MemoryCollector(texts={"a": "text"})) == ["a"]


async def test_items_without_validators_are_always_read() -> None:
    listing = Listing(known={"a": Known(state=ItemState.READY, validators=Validators(), document_id="d")})
    collector = MemoryCollector(before=[Present(ref=ItemRef(uri="a"))])
    assert await listed(listing, collector) == ["a"]


async def test_a_listing_that_breaks_off_tells_of_nothing_gone() -> None:
    listing = Listing(known={"a": READY})
    with pytest.raises(NotFoundError):
        await listed(listing, MemoryCollector(end=NotFoundError("not there"), before=[Removed(uri="a")]))
    assert listing.gone() == []


async def test_a_full_listing_tells_by_silence_except_below_what_was_not_read() -> None:
    listing = Listing(known={"a": READY, "b/c": READY, "bc": READY, "old": known(ItemState.GONE)})
    await listed(listing, MemoryCollector(end=Complete(full=True, unread=("b/",))))
    assert listing.gone() == ["a", "bc"]


async def test_an_incremental_listing_tells_by_name() -> None:
    listing = Listing(known={"a": READY, "b": READY, "c": READY})
    events = [Removed(uri="a"), Removed(uri="b"), Removed(uri="unknown")]
    await listed(listing, MemoryCollector(texts={"b": "text"}, before=[*events], end=Complete(full=False)))
    assert listing.gone() == ["a"]


async def test_a_rename_of_what_is_not_on_record_is_a_new_item() -> None:
    listing = Listing(known={"failed": known(ItemState.FAILED, "damaged")})
    events = [Renamed(old_uri=uri, ref=ItemRef(uri=f"new-{uri}")) for uri in ("failed", "unknown")]
    assert await listed(listing, MemoryCollector(before=[*events])) == ["new-failed", "new-unknown"]
    assert (listing.added, listing.renamed) == ({"new-failed", "new-unknown"}, [])


async def test_an_item_left_out_by_rule_is_recorded_once_with_its_reason() -> None:
    skipped = Skipped(uri="a", code=ErrorCode.TOO_LARGE, reason="a is too large")
    unreadable = Skipped(uri="b", code=ErrorCode.UNREADABLE, reason="b may not be read")
    listing = Listing(known={})
    await listed(listing, MemoryCollector(before=[skipped, unreadable]))
    assert [(one.ref.uri, one.state) for one in listing.rejected] == [
        ("a", ItemState.SKIPPED),
        ("b", ItemState.FAILED),
    ]
    on_record = Known(state=ItemState.SKIPPED, validators=Validators(), code="too_large", reason="a is too large")
    again = Listing(known={"a": on_record})
    await listed(again, MemoryCollector(before=[skipped]))
    assert again.rejected == []
    assert again.gone() == []


@pytest.mark.parametrize(
    ("before", "everything"),
    [
        (known(ItemState.PENDING), True),
        (known(ItemState.READY), False),
        (known(ItemState.READY, "timed_out"), True),
        (known(ItemState.FAILED, "damaged"), False),
        (known(ItemState.FAILED, "timed_out"), True),
        (known(ItemState.GONE), False),
    ],
)
async def test_what_was_left_undone_asks_for_a_full_listing(before: Known, everything: bool) -> None:
    listing, collector = Listing(known={"a": before}), MemoryCollector()
    assert listing.wants_everything is everything
    await listed(listing, collector)
    assert collector.asked == [everything]


URIS = st.sampled_from([f"{name}.txt" for name in "abcdef"])
TEXTS = st.sampled_from(["about alpha", "about beta", "about gamma", "BAD file"])
CHANGE = st.one_of(
    st.tuples(st.just("write"), URIS, TEXTS),
    st.tuples(st.just("delete"), URIS, st.none()),
    st.tuples(st.just("busy"), URIS, st.none()),
    st.tuples(st.just("free"), URIS, st.none()),
    st.tuples(st.just("break off"), st.none(), st.none()),
    st.tuples(st.just("stop"), st.none(), st.none()),
    st.tuples(st.just("sync"), st.none(), st.none()),
)


@dataclass
class Changes:
    """Applies changes to a source and remembers what is right."""

    scene: Ingestion

    async def apply(self, what: str, uri: str, text: str) -> None:
        collector = self.scene.collector
        match what:
            case "write":
                collector.texts[uri] = text
            case "delete":
                collector.texts.pop(uri, None)
            case "busy":
                collector.errors[uri] = ItemError(f"{uri} was changed while read", code=ErrorCode.CHANGED_WHILE_READ)
            case "free":
                collector.errors.pop(uri, None)
            case "break off":
                collector.end = NotFoundError("not mounted")
                await self.scene.sync()
                collector.end = Complete(full=True)
            case "stop":
                self.scene.stop_after = len(self.scene.refined) + 1
                await self.scene.sync()
                self.scene.stop_after, self.scene.stopping = None, False
            case "sync":
                await self.scene.sync()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(CHANGE, max_size=14))
def test_after_any_changes_and_syncs_what_is_ready_is_what_is_there(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, str, str]]
) -> None:
    async def run() -> None:
        database = await open_database("sqlite:///test.db", root=tmp_path_factory.mktemp("listing"))
        try:
            scene = Ingestion(database=database, batch_items=2)
            applied = Changes(scene)
            for change in changes:
                await applied.apply(*change)
            scene.collector.errors.clear()
            await scene.sync()
            there = {uri: text for uri, text in scene.collector.texts.items() if not text.startswith("BAD")}
            assert await scene.ready() == there
            assert {f.uri for f in await scene.items.failures()} == scene.collector.texts.keys() - there.keys()
            for word in ("alpha", "beta", "gamma"):
                assert await scene.found(word) == {uri for uri, text in there.items() if word in text}
            assert len(await scene.store.inventory()) == len(set(there.values()))
        finally:
            await database.close()

    asyncio.run(run())
