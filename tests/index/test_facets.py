from intelforge.core.values import Attributes
from intelforge.index.facets import VALUES, count_facets
from intelforge.store.documents import Place


def place(document_id: str, source: str, kind: str = "folder") -> Place:
    return Place(
        document_id=document_id, source_id=source, source_kind=kind, source_uri=f"/{source}", uri="x", access=()
    )


def test_documents_are_counted_once_by_each_value_most_first() -> None:
    places = {"a": [place("a", "s1"), place("a", "s1"), place("a", "s2", "git")], "b": [place("b", "s1")]}
    attributes = {
        "a": Attributes(labels=frozenset({"language:en", "type:text/html", "tag:x:y", "kind:web", "principal:ann"})),
        "b": Attributes(labels=frozenset({"language:", "type:text/html", "tag:z"})),
        "hidden": Attributes(labels=frozenset({"language:de"})),
    }
    counted = count_facets(places, attributes)
    assert counted == {
        "source": {"/s1": 2, "/s2": 1},
        "kind": {"folder": 2, "git": 1},
        "lang": {"en": 1},
        "type": {"text/html": 2},
        "tag": {"x:y": 1, "z": 1},
    }
    assert list(counted["source"]) == ["/s1", "/s2"]


def test_values_of_one_field_are_bounded() -> None:
    places = {f"d{n}": [place(f"d{n}", f"s{n}")] for n in range(VALUES + 9)}
    assert len(count_facets(places, {})["source"]) == VALUES
    assert count_facets({}, {}) == {}
