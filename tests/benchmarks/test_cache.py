from pathlib import Path

import cache

from intelforge.testing.embedder import HashEmbedder


async def test_every_text_is_embedded_once_and_then_taken_from_memory_and_file(tmp_path: Path) -> None:
    embedder = HashEmbedder()
    texts = cache.texts_of(100)
    found = await cache.measure(texts, embedder, tmp_path)
    assert embedder.asked == texts
    assert len(set(texts)) == found.texts == 100
    assert found.memory_ratio == found.from_memory / found.embedded
    assert found.file_ratio == found.from_file / found.embedded
