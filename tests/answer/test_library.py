from pathlib import Path

import pytest

from intelforge.answer.library import ScopedLibrary
from intelforge.core.errors import NotFoundError
from intelforge.core.values import ItemRef, Source, SourceKind
from intelforge.index.hits import Retriever, Scope
from intelforge.index.memory import MemoryStore
from intelforge.store.database import open_database
from intelforge.store.documents import Documents
from intelforge.store.facts import Facts
from intelforge.store.items import Ingested, Items
from intelforge.store.sources import Sources
from intelforge.store.standings import Standings
from intelforge.testing.documents import make_document

SOURCE = Source(id="s1", kind=SourceKind.FOLDER, uri="/data", access=("ann",))
DOCUMENT = make_document("the needle is here")


async def test_a_library_shows_its_scope_alone_and_says_when_a_document_is_gone(tmp_path: Path) -> None:
    database = await open_database("sqlite:///test.db", root=tmp_path)
    documents, store = Documents(database), MemoryStore()
    await Sources(database).add(SOURCE)
    await Items(database).record("s1", [Ingested(ref=ItemRef(uri="a"), content_hash="h", document=DOCUMENT)])
    await store.add(DOCUMENT.chunks, await documents.attributes([DOCUMENT.id]))
    retriever = Retriever(documents, Standings(database, 1), Facts(database), store, None)
    ann = ScopedLibrary(retriever, documents, Scope(principals=("ann",)))
    assert [hit.uri for hit in (await ann.search("needle", limit=5)).hits] == ["a"]
    assert await ann.text(DOCUMENT.id) == DOCUMENT.text
    assert (await ScopedLibrary(retriever, documents, Scope()).search("needle", limit=5)).hits == ()
    assert await ann.local_only([DOCUMENT.id]) == set()
    await Sources(database).limit_models("s1", local_only=True)
    assert await ann.local_only([DOCUMENT.id]) == {DOCUMENT.id}
    with pytest.raises(NotFoundError, match="unknown is gone"):
        await ann.text("unknown")
    await database.close()
