import pytest

from intelforge.core.url_secrets import without_mark, without_secrets


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("postgresql://me:${secret:db}@h/d", "postgresql://me:${secret:db}@h/d"),
        ("postgresql://me:pw@h/d", "postgresql://me:***@h/d"),
        ("postgresql://me:pw${secret:db}@h/d", "postgresql://me:***@h/d"),
        ("qdrant://h?api_key=${secret:index}&x=1", "qdrant://h?api_key=${secret:index}&x=1"),
        ("qdrant://h?api_key=pw&x=1", "qdrant://h?api_key=***&x=1"),
    ],
)
def test_the_name_of_a_secret_may_be_shown_and_kept(given: str, shown: str) -> None:
    assert without_secrets(given) == shown


@pytest.mark.parametrize(
    ("url", "kept", "opened"),
    [
        ("lancedb:.intelforge/index", "lancedb:.intelforge/index", "lancedb:.intelforge/index"),
        ("postgresql://me:pw@host/db", "postgresql://me:***@host/db", "postgresql://me@host/db"),
        ("postgresql://me@host/db?sslmode=require", "postgresql://me@host/db?sslmode=require", None),
        ("postgresql://host/db?password=pw&a=b", "postgresql://host/db?password=***&a=b", "postgresql://host/db?a=b"),
        ("weaviate://k3y@host:8080", "weaviate://***@host:8080", "weaviate://host:8080"),
        ("qdrant://host:6333", "qdrant://host:6333", None),
    ],
)
def test_a_url_is_kept_without_its_secrets(url: str, kept: str, opened: str | None) -> None:
    assert without_secrets(url) == kept
    assert without_mark(kept) == (opened or url)
