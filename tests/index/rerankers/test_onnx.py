"""Cross-encoders in a folder of the user's."""

import json
from pathlib import Path

import numpy as np
import pytest

from intelforge.core.errors import ErrorCode, ModelError
from intelforge.testing.cross_encoder import INPUTS, LIMIT, write_cross_encoder
from intelforge.testing.remote_reranker import RerankerOpener

WORDS = ("boil", "carrots", "beets", "water")
QUERY = "boil carrots"
TEXTS = ["beets", "boil carrots in water", "boil water", ""]
COUNTS = [0.0, 2.0, 1.0, 0.0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_cross_encoder(tmp_path / "tiny", WORDS)


async def test_scores_are_what_the_graph_gives(folder: Path, open_reranker: RerankerOpener) -> None:
    reranker = open_reranker("onnx:tiny")
    assert reranker.name == "onnx:tiny"
    assert (await reranker.score(QUERY, TEXTS)).tolist() == COUNTS


async def test_of_two_labels_the_second_is_for_and_the_first_against(
    tmp_path: Path, open_reranker: RerankerOpener
) -> None:
    write_cross_encoder(tmp_path / "tiny", WORDS, labels=2)
    assert (await open_reranker("onnx:tiny").score(QUERY, TEXTS)).tolist() == [2 * count for count in COUNTS]


async def test_a_graph_in_its_own_folder_is_found_and_its_further_inputs_are_given(
    tmp_path: Path, open_reranker: RerankerOpener
) -> None:
    folder = tmp_path / "models" / "tiny"
    write_cross_encoder(folder, WORDS, inputs=(*INPUTS, "position_ids"), name="onnx/model.onnx")
    assert (await open_reranker(f"onnx:{folder}").score(QUERY, TEXTS)).tolist() == COUNTS


async def test_batches_of_any_lengths_keep_their_order(folder: Path, open_reranker: RerankerOpener) -> None:
    numbers = np.random.default_rng(0).integers(0, LIMIT - 8, 300)
    texts = [" ".join(["water"] * number) for number in numbers]
    assert (await open_reranker("onnx:tiny").score("water", texts)).tolist() == numbers.tolist()


async def test_a_pair_that_is_too_long_is_cut_to_the_limit(folder: Path, open_reranker: RerankerOpener) -> None:
    reranker = open_reranker("onnx:tiny")
    room = LIMIT - 3
    assert (await reranker.score("water", ["water " * 9000])).tolist() == [room - 1]
    [both] = await reranker.score("water " * 9000, ["water " * 9000])
    assert both == room // 2 * (room - room // 2)
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 10}))
    assert (await open_reranker("onnx:tiny").score("water", ["water " * 20])).tolist() == [6]


@pytest.mark.parametrize("name", ["tokenizer.json", "model.onnx"])
def test_a_folder_without_a_model_is_told(name: str, folder: Path, open_reranker: RerankerOpener) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"tiny holds no .*{name}") as caught:
        open_reranker("onnx:tiny")
    assert caught.value.error_code is ErrorCode.MISSING_MODEL


@pytest.mark.parametrize("name", ["tokenizer.json", "model.onnx"])
async def test_a_damaged_file_is_named(name: str, folder: Path, open_reranker: RerankerOpener) -> None:
    (folder / name).write_bytes(b"\xff scrambled")
    with pytest.raises(ModelError, match=name) as caught:
        await open_reranker("onnx:tiny").score(QUERY, TEXTS)
    assert caught.value.error_code is ErrorCode.DAMAGED


async def test_a_graph_for_something_else_is_told(tmp_path: Path, open_reranker: RerankerOpener) -> None:
    write_cross_encoder(tmp_path / "tiny", WORDS, labels=3)
    with pytest.raises(ModelError, match=r"scores of shape \(3,\) instead of one or two"):
        await open_reranker("onnx:tiny").score(QUERY, TEXTS)
    write_cross_encoder(tmp_path / "tiny", WORDS, inputs=(*INPUTS, "pixels"))
    with pytest.raises(ModelError, match="wants an input 'pixels'"):
        await open_reranker("onnx:tiny").score(QUERY, TEXTS)
