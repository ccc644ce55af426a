"""The embedder against vectors of the same weights in sentence-transformers 6.2 (torch 2.13, CPU)."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelforge.core.errors import ConfigError, ErrorCode, ModelError
from intelforge.core.registry import load_backend
from intelforge.index import onnx, weights, written_graph
from intelforge.index.encoder import built_in
from intelforge.index.onnx import OnnxEmbedder, open_embedder
from intelforge.index.protocol import Vectors
from intelforge.index.rerank import LateInteraction

NAME = "all-MiniLM-L6-v2"
REFERENCE = {
    "How do I cancel an asyncio task?": [
        -0.0305,
        0.0513,
        0.0246,
        0.0656,
        -0.0647,
        -0.0760,
        -0.0099,
        0.0449,
        -0.0466,
        0.0839,
        0.0535,
        0.0435,
    ],
    "A task can be cancelled by calling its cancel() method.": [
        -0.0304,
        -0.0153,
        0.0936,
        0.0257,
        -0.0991,
        -0.0450,
        -0.0650,
        -0.0139,
        -0.0213,
        0.0841,
        0.0392,
        0.0453,
    ],
    "The recipe needs two eggs, flour and a pinch of salt.": [
        -0.0568,
        -0.0153,
        0.0835,
        -0.0378,
        -0.0241,
        -0.0369,
        0.0079,
        -0.0612,
        0.0523,
        0.0659,
        0.1072,
        -0.0156,
    ],
    "def wait_for(awaitable, timeout): ...": [
        -0.0723,
        -0.0449,
        -0.0348,
        0.0751,
        -0.0187,
        -0.0269,
        -0.0385,
        0.0705,
        -0.0632,
        0.0050,
        0.0122,
        -0.0254,
    ],
    "": [-0.1188, 0.0879, -0.0758, 0.0290, 0.0073, -0.0259, -0.0865, -0.0772, -0.0506, -0.0227, -0.0467, 0.0144],
    " ".join(["long"] * 254): [
        -0.0337,
        0.0503,
        -0.0237,
        0.0804,
        -0.0235,
        -0.0185,
        -0.0850,
        0.0640,
        -0.0837,
        -0.0705,
        -0.0586,
        0.0618,
    ],
    "Größe, naïve café — 東京": [
        0.0599,
        0.0549,
        0.0182,
        -0.0099,
        -0.0348,
        0.0218,
        0.0230,
        0.0811,
        -0.0064,
        0.0142,
        0.0294,
        -0.0122,
    ],
}
"""every 32nd value of the vector"""

pytestmark = pytest.mark.skipif(
    weights.find(NAME, cache=weights.cache_folder()) is None, reason=f"run: intelforge models pull {NAME}"
)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session")
def embedders(cache: Path) -> dict[str, OnnxEmbedder]:
    found = weights.find(NAME, cache=weights.cache_folder())
    assert found
    (cache / NAME).mkdir()
    for file in weights.MODELS[NAME].files:
        (cache / NAME / file).symlink_to(found / file)
    return {name: open_embedder(f"onnx:{NAME}?precision={name}", cache=cache) for name in ("float32", "int8")}


def cosines(left: Vectors, right: Vectors) -> list[float]:
    return [float(value) for value in (left * right).sum(axis=1)]


async def test_float32_equals_sentence_transformers(embedders: dict[str, OnnxEmbedder]) -> None:
    vectors = await embedders["float32"].embed(list(REFERENCE))
    assert vectors[:, ::32] == pytest.approx(np.array(list(REFERENCE.values())), abs=2e-4)


async def test_int8_stays_close_to_float32(embedders: dict[str, OnnxEmbedder]) -> None:
    exact, quantised = [await embedders[name].embed(list(REFERENCE)) for name in ("float32", "int8")]
    assert min(cosines(exact, quantised)) > 0.98
    assert np.median(cosines(exact, quantised)) > 0.995


@pytest.mark.parametrize("precision", ["float32", "int8"])
async def test_vectors_have_unit_length_and_related_texts_are_near(
    embedders: dict[str, OnnxEmbedder], precision: str
) -> None:
    embedder = embedders[precision]
    vectors = await embedder.embed(list(REFERENCE))
    assert vectors.shape == (len(REFERENCE), embedder.dimensions)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-4)
    question, answer, recipe, code = vectors[:4]
    assert question @ answer > question @ code > question @ recipe


@pytest.mark.parametrize("precision", ["float32", "int8"])
async def test_a_vector_does_not_depend_on_the_texts_beside_it(
    embedders: dict[str, OnnxEmbedder], precision: str
) -> None:
    texts = [*REFERENCE, *(f"filler number {number} " * number for number in range(40))]
    together = await embedders[precision].embed(texts)
    alone = np.concatenate([await embedders[precision].embed([text]) for text in REFERENCE if text])
    kept = together[[row for row, text in enumerate(REFERENCE) if text]]
    assert min(cosines(kept, alone)) > {"float32": 0.99999, "int8": 0.99}[precision]


async def test_no_texts_give_no_vectors(embedders: dict[str, OnnxEmbedder]) -> None:
    assert (await embedders["int8"].embed([])).shape == (0, 384)


@pytest.mark.parametrize("text", ["\ud800", "\x00", " " * 100_000, "x" * 100_000, "🦓" * 3000])
async def test_any_text_has_a_vector(embedders: dict[str, OnnxEmbedder], text: str) -> None:
    vectors = await embedders["int8"].embed([text])
    assert np.isfinite(vectors).all()


async def test_a_long_text_is_embedded_in_pieces_whose_mean_by_tokens_it_is(
    embedders: dict[str, OnnxEmbedder],
) -> None:
    """254 tokens of text fit beside the two special ones."""
    first, second, rest = (" ".join([word] * number) for word, number in (("cat", 254), ("tax", 254), ("sea", 98)))
    whole, *parts = await embedders["float32"].embed([f"{first} {second} {rest}", first, second, rest])
    mean = 256 * parts[0] + 256 * parts[1] + 100 * parts[2]
    assert whole == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)
    assert min(float(whole @ part) for part in parts) > 0.3


async def test_the_end_of_a_long_text_counts(embedders: dict[str, OnnxEmbedder]) -> None:
    start = "The weather was fine. " * 1000
    other, same = "Carrots grow well in sandy soil. " * 300, "The weather was fine. " * 400
    question, ends_other, ends_same = await embedders["int8"].embed(
        ["How do carrots grow?", start + other, start + same]
    )
    assert question @ ends_other > question @ ends_same + 0.05


async def test_cancelling_stops_after_the_running_batch(embedders: dict[str, OnnxEmbedder]) -> None:
    embedder = embedders["int8"]
    await embedder.embed(["warm"])
    task = asyncio.create_task(embedder.embed(["many words in a text " * 50] * 400))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await asyncio.wait_for(embedder.embed(["after"]), 30)).shape == (1, 384)


async def test_the_graph_is_written_once_and_used_again(embedders: dict[str, OnnxEmbedder], cache: Path) -> None:
    await embedders["float32"].embed(["x"])
    [graph] = (cache / NAME).glob("float32*.onnx")
    written = graph.stat().st_mtime_ns
    again = open_embedder(f"onnx:{NAME}?precision=float32", cache=cache)
    assert (await again.embed(["x"])).shape == (1, 384)
    assert graph.stat().st_mtime_ns == written


async def test_a_damaged_graph_is_named_with_the_way_out(cache: Path, embedders: dict[str, OnnxEmbedder]) -> None:
    await embedders["int8"].embed(["x"])
    [graph] = (cache / NAME).glob("int*.onnx")
    whole = graph.read_bytes()
    graph.write_bytes(b"not a graph")
    try:
        with pytest.raises(ModelError, match="cannot be loaded") as caught:
            await open_embedder(f"onnx:{NAME}", cache=cache).embed(["x"])
    finally:
        graph.write_bytes(whole)
    assert caught.value.error_code is ErrorCode.DAMAGED


async def test_without_a_folder_to_write_the_graph_is_built_in_memory(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    found = weights.find(NAME, cache=weights.cache_folder())
    assert found
    embedder = OnnxEmbedder(built_in(weights.MODELS[NAME], "int8", folder=found, cache=blocked), threads=1)
    assert (await embedder.embed(["x"])).shape == (1, 384)


def test_vectors_of_different_precision_are_told_apart(embedders: dict[str, OnnxEmbedder]) -> None:
    assert embedders["int8"].name != embedders["float32"].name
    assert NAME in embedders["int8"].name


@pytest.mark.parametrize("url", [f"onnx:{NAME}?precision=int3", f"onnx:{NAME}?threads=2"])
def test_a_wrong_option_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="precision"):
        open_embedder(url)


def test_missing_weights_name_the_command_that_brings_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "find", lambda name, *, cache: None)
    with pytest.raises(ModelError, match="intelforge models pull all-MiniLM-L6-v2") as caught:
        open_embedder(f"onnx:{NAME}", cache=tmp_path)
    assert caught.value.error_code is ErrorCode.MISSING_MODEL


def test_the_factory_is_registered_under_its_scheme() -> None:
    assert load_backend("embedders", f"onnx:{NAME}") is open_embedder


@pytest.mark.parametrize(("flags", "able"), [("flags : avx2 avx512_vnni", True), ("flags : avx2 fma", False)])
def test_eight_bit_weights_need_a_cpu_that_adds_byte_products(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, able: bool
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    (tmp_path / "cpuinfo").write_text(flags)
    assert written_graph.multiplies_bytes(tmp_path / "cpuinfo") is able
    assert written_graph.multiplies_bytes(tmp_path / "absent") is False
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert written_graph.multiplies_bytes(tmp_path / "absent") is True


@given(st.lists(st.integers(1, 256), max_size=300))
def test_batches_hold_every_text_once_within_the_token_limit(lengths: list[int]) -> None:
    batches = list(onnx.batches(lengths))
    assert sorted(row for rows in batches for row in rows) == list(range(len(lengths)))
    for rows in batches:
        longest = max(lengths[row] for row in rows)
        assert len(rows) * longest <= max(onnx.BATCH_TOKENS, longest)


async def test_the_tokens_of_a_text_make_its_vector(embedders: dict[str, OnnxEmbedder]) -> None:
    embedder = embedders["float32"]
    texts = ["How do I cancel a task?", "tasks", "", "unbelievably " * 300]
    found = await embedder.tokens(texts)
    assert [len(each.ids) for each in found] == [7, 1, 0, 254]
    assert all(each.vectors.shape == (len(each.ids), embedder.dimensions) for each in found)
    assert np.allclose(np.linalg.norm(found[0].vectors, axis=1), 1, atol=1e-5)
    alone = await embedder.tokens([texts[0]])
    assert np.allclose(alone[0].vectors, found[0].vectors, atol=1e-4)
    assert await embedder.tokens([]) == []


@pytest.mark.parametrize("precision", ["float32", "int8"])
async def test_what_answers_a_question_is_nearer_by_its_tokens(
    embedders: dict[str, OnnxEmbedder], precision: str
) -> None:
    texts = ["A task can be cancelled by calling its cancel() method.", "The recipe needs two eggs.", "Tasks are many."]
    scores = await LateInteraction(embedders[precision]).score("How do I cancel an asyncio task?", texts)
    assert scores.argmax() == 0
    assert scores[2] > scores[1]
