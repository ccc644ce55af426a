from dataclasses import replace

import pytest

from intelforge.core.errors import ErrorCode, NotFoundError
from intelforge.core.values import Document, ItemRef, ItemState, Source, SourceKind, Validators
from intelforge.store.documents import Documents
from intelforge.store.items import Ingested, Items, Rejected
from intelforge.store.sources import Sources
from intelforge.testing.documents import make_document

FIRST = Validators(size=5, mtime_ns=1_700_000_000_123_456_789)
SECOND = Validators(size=6, mtime_ns=1_700_000_000_123_456_790, etag='"x"', last_modified="Mon", revision="ab" * 20)


def read(uri: str, document: Document | None, *, validators: Validators = FIRST, digest: str = "h1") -> Ingested:
    return Ingested(ref=ItemRef(uri=uri, validators=validators), content_hash=digest, document=document)


def rejected(uri: str, state: ItemState, code: ErrorCode = ErrorCode.DAMAGED) -> Rejected:
    return Rejected(ref=ItemRef(uri=uri, validators=SECOND), state=state, code=code, reason=f"{uri} is {code}")


async def test_a_new_item_is_ready_with_its_document_and_validators(items: Items, source: Source) -> None:
    document = make_document("one\n\ntwo")
    await items.record(source.id, [read("a.txt", document, validators=SECOND)])
    known = (await items.known(source.id))["a.txt"]
    assert (known.state, known.document_id, known.content_hash) == (ItemState.READY, document.id, "h1")
    assert known.validators == SECOND


async def test_a_document_comes_back_as_it_went_in(items: Items, documents: Documents, source: Source) -> None:
    document = replace(make_document("first – ß 𝔘\n\nsecond", title="T"), language="de", metadata={"author": "Ä"})
    await items.record(source.id, [read("a.txt", document)])
    assert await documents.get(document.id) == document


async def test_recording_twice_changes_nothing_more(items: Items, documents: Documents, source: Source) -> None:
    document = make_document("once")
    for _ in range(2):
        await items.record(source.id, [read("a.txt", document)])
    assert await documents.versions(document.id) == [document.id]
    assert await items.counts() == {"ready": 1}
    assert await documents.get(document.id) == document


async def test_versions_are_kept_in_order_and_never_twice_in_a_row(
    items: Items, documents: Documents, source: Source
) -> None:
    old, new = make_document("old"), make_document("new")
    for document in (old, new, new, old):
        await items.record(source.id, [read("a.txt", document)])
    assert await documents.versions(new.id) == [old.id, new.id, old.id]
    assert (await items.known(source.id))["a.txt"].document_id == old.id


async def test_the_same_content_under_new_validators_keeps_the_document(items: Items, source: Source) -> None:
    document = make_document("same")
    await items.record(source.id, [read("a.txt", document)])
    await items.record(source.id, [read("a.txt", None, validators=SECOND)])
    known = (await items.known(source.id))["a.txt"]
    assert (known.document_id, known.validators) == (document.id, SECOND)


async def test_equal_documents_are_stored_once_and_keep_all_their_items(
    items: Items, documents: Documents, source: Source
) -> None:
    document = make_document("twice")
    await items.record(source.id, [read("b.txt", document), read("a.txt", document)])
    places = (await documents.places([document.id]))[document.id]
    assert [place.uri for place in places] == ["a.txt", "b.txt"]
    assert await documents.matching("", sources=["s1"]) == [document.id]


async def test_an_empty_document_is_kept(items: Items, documents: Documents, source: Source) -> None:
    empty = make_document("")
    await items.record(source.id, [read("a.txt", empty)])
    assert await documents.get(empty.id) == empty


async def test_a_batch_is_recorded_whole_or_not_at_all(items: Items, source: Source) -> None:
    broken = replace(make_document("x"), id="i" * 32, chunks=(replace(make_document("x").chunks[0], ordinal=None),))  # type: ignore[arg-type]
    with pytest.raises(Exception, match=r"(?i)not null|null value"):
        await items.record(source.id, [read("a.txt", make_document("good")), read("b.txt", broken)])
    assert await items.known(source.id) == {}


async def test_nothing_is_recorded_for_a_source_that_is_gone(items: Items) -> None:
    with pytest.raises(NotFoundError, match="removed meanwhile"):
        await items.record("gone", [read("a.txt", make_document("x"))])


async def test_pending_items_are_counted_and_known_ones_keep_their_state(items: Items, source: Source) -> None:
    await items.record(source.id, [read("a.txt", make_document("x"))])
    await items.pend(source.id, [ItemRef(uri="a.txt"), ItemRef(uri="b.txt")])
    await items.pend(source.id, [])
    assert await items.counts() == {"ready": 1, "pending": 1}


async def test_a_gone_item_is_in_no_count_and_keeps_its_versions(
    items: Items, documents: Documents, source: Source
) -> None:
    document = make_document("x")
    await items.record(source.id, [read("a.txt", document)])
    await items.gone(source.id, ["a.txt"])
    assert await items.counts() == {}
    assert await documents.places([document.id]) == {}
    assert await documents.versions(document.id) == [document.id]
    assert (await items.known(source.id))["a.txt"].state is ItemState.GONE


async def test_an_item_that_comes_back_is_pending_and_then_ready_again(
    items: Items, documents: Documents, source: Source
) -> None:
    document = make_document("x")
    await items.record(source.id, [read("a.txt", document)])
    await items.gone(source.id, ["a.txt"])
    await items.pend(source.id, [ItemRef(uri="a.txt")])
    assert await items.counts() == {"pending": 1}
    await items.record(source.id, [read("a.txt", document)])
    assert await documents.versions(document.id) == [document.id]
    assert [place.uri for place in (await documents.places([document.id]))[document.id]] == ["a.txt"]


async def test_more_items_than_one_statement_takes_go_at_once(items: Items, source: Source) -> None:
    uris = [f"{n}.txt" for n in range(1201)]
    await items.record(source.id, [read(uri, make_document(uri)) for uri in uris])
    assert await items.counts() == {"ready": 1201}
    await items.gone(source.id, uris)
    assert await items.counts() == {}


async def test_a_renamed_item_keeps_its_document_and_versions(
    items: Items, documents: Documents, source: Source
) -> None:
    old, new = make_document("old"), make_document("new")
    for document in (old, new):
        await items.record(source.id, [read("a.txt", document)])
    assert await items.rename(source.id, "a.txt", ItemRef(uri="b.txt", validators=SECOND))
    known = await items.known(source.id)
    assert set(known) == {"b.txt"}
    assert (known["b.txt"].document_id, known["b.txt"].validators) == (new.id, SECOND)
    assert await documents.versions(new.id) == [old.id, new.id]


async def test_a_rename_takes_the_place_of_an_item_that_is_gone(
    items: Items, documents: Documents, source: Source
) -> None:
    here, gone = make_document("here"), make_document("gone")
    await items.record(source.id, [read("a.txt", here), read("b.txt", gone)])
    await items.gone(source.id, ["b.txt"])
    assert await items.rename(source.id, "a.txt", ItemRef(uri="b.txt"))
    assert (await items.known(source.id))["b.txt"].document_id == here.id
    assert await documents.versions(gone.id) == [gone.id]


async def test_renaming_what_is_not_on_record_says_so(items: Items, source: Source) -> None:
    assert not await items.rename(source.id, "a.txt", ItemRef(uri="b.txt"))
    await items.record(source.id, [rejected("a.txt", ItemState.FAILED)])
    assert not await items.rename(source.id, "a.txt", ItemRef(uri="b.txt"))


async def test_a_failed_item_loses_its_document_and_says_why(items: Items, source: Source) -> None:
    await items.record(source.id, [read("a.txt", make_document("x"))])
    await items.record(source.id, [rejected("a.txt", ItemState.FAILED)])
    known = (await items.known(source.id))["a.txt"]
    assert (known.state, known.document_id, known.validators) == (ItemState.FAILED, None, SECOND)
    [failure] = await items.failures()
    assert (failure.uri, failure.code, failure.reason) == ("a.txt", "damaged", "a.txt is damaged")
    assert failure.at.tzinfo is not None


async def test_what_cannot_be_read_at_the_moment_keeps_its_document_and_is_a_failure(
    items: Items, documents: Documents, source: Source
) -> None:
    document = make_document("x")
    await items.record(source.id, [read("a.txt", document)])
    await items.record(source.id, [rejected("a.txt", ItemState.READY, ErrorCode.TIMED_OUT)])
    known = (await items.known(source.id))["a.txt"]
    assert (known.state, known.document_id, known.validators) == (ItemState.READY, document.id, FIRST)
    assert [failure.code for failure in await items.failures()] == ["timed_out"]
    await items.record(source.id, [read("a.txt", None)])
    assert await items.failures() == []


async def test_failures_are_newest_first_and_name_skipped_items_only_when_asked(items: Items, source: Source) -> None:
    await items.record(source.id, [rejected("old.txt", ItemState.FAILED)])
    await items.record(source.id, [rejected("skipped.bin", ItemState.SKIPPED, ErrorCode.UNSUPPORTED)])
    await items.record(source.id, [rejected("new.txt", ItemState.FAILED)])
    assert [failure.uri for failure in await items.failures()] == ["new.txt", "old.txt"]
    assert [f.uri for f in await items.failures(skipped=True)] == ["new.txt", "skipped.bin", "old.txt"]
    newest = (await items.failures(limit=1))[0]
    assert newest.uri == "new.txt"
    assert [failure.uri for failure in await items.failures(since=newest.at)] == ["new.txt"]


async def test_items_of_sources_are_apart(items: Items, sources: Sources, source: Source) -> None:
    other = await sources.add(Source(id="s2", kind=SourceKind.FOLDER, uri="/data/other"))
    await items.record(source.id, [read("a.txt", make_document("one"))])
    await items.record(other.id, [read("a.txt", make_document("two"))])
    await items.gone(other.id, ["a.txt"])
    assert (await items.known(source.id))["a.txt"].state is ItemState.READY
    assert set(await items.known(source.id, ["b.txt"])) == set()


async def test_a_name_of_any_characters_is_kept(items: Items, source: Source) -> None:
    uri = "a/%_' \"\\–𝔘\n.txt"
    await items.record(source.id, [read(uri, make_document("x"))])
    assert list(await items.known(source.id, [uri])) == [uri]
