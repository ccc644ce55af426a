import pytest

from intelforge.core.errors import BackendError
from intelforge.core.registry import backends, load_backend, scheme_of


def test_built_ins_are_found_by_scheme() -> None:
    assert {"lancedb", "memory"} <= set(backends("vector_stores"))
    assert load_backend("vector_stores", "memory:").__module__ == "intelforge.index.memory"


def test_an_unknown_scheme_lists_the_known_ones() -> None:
    with pytest.raises(BackendError, match=r"known: .*lancedb"):
        load_backend("vector_stores", "nowhere:x")


@pytest.mark.parametrize("url", ["", "lancedb", ":x"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(BackendError, match="not a backend URL"):
        scheme_of(url)
