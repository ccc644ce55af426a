"""Sentence encoders in a folder of the user's, against the same sums done here without onnxruntime."""

import json
from collections.abc import Mapping, Sequence
from math import erf, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from intelforge.core.errors import ConfigError, ErrorCode, ModelError
from intelforge.index import weights
from intelforge.index.onnx import OnnxEmbedder, open_embedder
from intelforge.index.protocol import TextKind, Vectors

Array = NDArray[np.float32]
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "cat", "dog", "sleeps", "barks", "loudly", "query")
SIZE, HEADS, LAYERS, EPSILON, LIMIT = 16, 2, 2, 1e-6, 12
TEXTS = ["cat sleeps", "dog barks loudly", "cat", "unheard of", "dog " * 10]
POOLING_FIELDS = ("cls_token", "mean_tokens", "max_tokens", "lasttoken")


def ids_of(text: str) -> list[int]:
    return [2, *(WORDS.index(word) if word in WORDS else 1 for word in text.split()), 3]


def write(folder: Path, files: Mapping[str, object]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content), encoding="utf-8")


def write_tokenizer(folder: Path) -> None:
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.save(str(folder / "tokenizer.json"))


def pooling(name: str) -> Mapping[str, object]:
    modes = {f"pooling_mode_{field}": field.startswith(name) for field in POOLING_FIELDS}
    return {"word_embedding_dimension": SIZE, **modes}


def bert_weights(seed: int = 0) -> dict[str, Array]:
    random = np.random.default_rng(seed)

    def normal(*shape: int) -> Array:
        return random.normal(scale=0.5, size=shape).astype(np.float32)

    found = {
        "embeddings.word_embeddings.weight": normal(len(WORDS), SIZE),
        "embeddings.position_embeddings.weight": normal(LIMIT, SIZE),
        "embeddings.token_type_embeddings.weight": normal(2, SIZE),
    }
    wide = 4 * SIZE
    shapes = {"attention.output.dense": (SIZE, SIZE), "intermediate.dense": (wide, SIZE), "output.dense": (SIZE, wide)}
    shapes |= {f"attention.self.{name}": (SIZE, SIZE) for name in ("query", "key", "value")}
    norms = ["embeddings.LayerNorm"]
    for layer in range(LAYERS):
        prefix = f"encoder.layer.{layer}"
        norms += [f"{prefix}.attention.output.LayerNorm", f"{prefix}.output.LayerNorm"]
        for name, shape in shapes.items():
            found |= {f"{prefix}.{name}.weight": normal(*shape), f"{prefix}.{name}.bias": normal(shape[0])}
    for name in norms:
        found |= {f"{name}.weight": 1 + normal(SIZE), f"{name}.bias": normal(SIZE)}
    return found


def bert_states(given: Mapping[str, Array], ids: Sequence[int]) -> Array:
    """BERT as its paper has it (Devlin et al., 2019), one text at a time, in plain sums."""

    def linear(name: str, x: Array) -> Array:
        return np.asarray(x @ given[f"{name}.weight"].T + given[f"{name}.bias"])

    def norm(name: str, x: Array) -> Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + EPSILON)
        return np.asarray(scaled * given[f"{name}.weight"] + given[f"{name}.bias"])

    places = given["embeddings.position_embeddings.weight"][: len(ids)]
    words = given["embeddings.word_embeddings.weight"][list(ids)]
    x = norm("embeddings.LayerNorm", words + places + given["embeddings.token_type_embeddings.weight"][0])
    for layer in range(LAYERS):
        prefix = f"encoder.layer.{layer}"
        query, key, value = (
            linear(f"{prefix}.attention.self.{name}", x).reshape(len(ids), HEADS, -1).transpose(1, 0, 2)
            for name in ("query", "key", "value")
        )
        scores = np.exp(query @ key.transpose(0, 2, 1) / sqrt(SIZE / HEADS))
        mixed = (scores / scores.sum(axis=-1, keepdims=True)) @ value
        attended = linear(f"{prefix}.attention.output.dense", mixed.transpose(1, 0, 2).reshape(len(ids), SIZE))
        x = norm(f"{prefix}.attention.output.LayerNorm", attended + x)
        wide = linear(f"{prefix}.intermediate.dense", x)
        active = wide * 0.5 * (1 + np.vectorize(erf)(wide / sqrt(2)))
        x = norm(f"{prefix}.output.LayerNorm", linear(f"{prefix}.output.dense", active) + x)
    return np.asarray(x, np.float32)


def unit(vector: Array) -> Array:
    return np.asarray(vector / np.linalg.norm(vector))


POOLED = {
    "mean": lambda states: states.mean(axis=0),
    "cls": lambda states: states[0],
    "max": lambda states: states.max(axis=0),
    "last": lambda states: states[-1],
}
CONFIG: Mapping[str, object] = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "hidden_size": SIZE,
    "num_attention_heads": HEADS,
    "layer_norm_eps": EPSILON,
    "max_position_embeddings": LIMIT,
}


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    """A folder as sentence-transformers writes it."""
    folder = tmp_path / "bert"
    write(
        folder,
        {
            "config.json": CONFIG,
            "1_Pooling/config.json": pooling("mean"),
            "sentence_bert_config.json": {"max_seq_length": LIMIT, "do_lower_case": False},
            "modules.json": [
                {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
                {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            ],
        },
    )
    write_tokenizer(folder)
    save_file(bert_weights(), folder / "model.safetensors")
    return folder


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """A folder with a graph that gives a vector for each token: that of its word."""
    folder = tmp_path / "exported"
    write(folder, {"config.json": {"hidden_size": SIZE, "max_position_embeddings": LIMIT}})
    write_tokenizer(folder)
    write_graph(folder / "model.onnx", outputs=("last_hidden_state",))
    return folder


def table() -> Array:
    return np.random.default_rng(3).normal(size=(len(WORDS), SIZE)).astype(np.float32)


def write_graph(path: Path, *, outputs: Sequence[str], inputs: Sequence[str] = ("input_ids", "attention_mask")) -> None:
    given = [helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", "tokens"]) for name in inputs]
    nodes = [helper.make_node("Gather", ["table", inputs[0]], ["last_hidden_state"])]
    nodes.append(helper.make_node("ReduceMin", ["last_hidden_state", "axis"], ["sentence_embedding"], keepdims=0))
    shapes: dict[str, list[str | int | None]] = {
        "last_hidden_state": ["texts", "tokens", SIZE],
        "sentence_embedding": ["texts", SIZE],
    }
    given_out = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shapes[name]) for name in outputs]
    constants = [numpy_helper.from_array(table(), "table"), numpy_helper.from_array(np.array([1]), "axis")]
    graph = helper.make_graph(nodes, "words", given, given_out, constants)
    path.parent.mkdir(exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)


def opened(folder: Path, options: str = "") -> OnnxEmbedder:
    return open_embedder(f"onnx:{folder}{options}", cache=folder.parent / "cache", threads=1)


async def test_a_bert_gives_what_the_sums_give(bert: Path) -> None:
    for name in ("mean", "cls"):
        write(bert, {"1_Pooling/config.json": pooling(name)})
        embedder = opened(bert, "?precision=float32")
        vectors = await embedder.embed(TEXTS)
        expected = [unit(POOLED[name](bert_states(bert_weights(), ids_of(text)))) for text in TEXTS]
        assert vectors == pytest.approx(np.stack(expected), abs=1e-4)
        assert embedder.dimensions == SIZE


async def test_a_bert_in_eight_bits_stays_close(bert: Path) -> None:
    exact, quantised = [await opened(bert, options).embed(TEXTS) for options in ("?precision=float32", "")]
    assert (exact * quantised).sum(axis=1).min() > 0.98


async def test_a_bert_that_was_part_of_a_larger_model_in_half_precision_is_read(bert: Path) -> None:
    half = {f"bert.{name}": tensor.astype(np.float16) for name, tensor in bert_weights().items()}
    save_file(half | {"classifier.weight": np.zeros((2, 2), np.float16)}, bert / "model.safetensors")
    vectors = await opened(bert, "?precision=float32").embed(["cat sleeps"])
    assert vectors[0] == pytest.approx(unit(bert_states(bert_weights(), ids_of("cat sleeps")).mean(axis=0)), abs=0.02)


@pytest.mark.parametrize("name", list(POOLED))
async def test_what_an_exported_graph_gives_for_tokens_is_pooled(name: str, exported: Path) -> None:
    write(exported, {"1_Pooling/config.json": pooling(name)})
    vectors = await opened(exported).embed(TEXTS)
    assert vectors == pytest.approx(np.stack([unit(POOLED[name](table()[ids_of(text)])) for text in TEXTS]), abs=1e-5)


async def test_a_graph_that_pools_itself_is_left_to_it(exported: Path) -> None:
    (exported / "model.onnx").unlink()
    write_graph(exported / "onnx" / "model.onnx", outputs=("last_hidden_state", "sentence_embedding"))
    [vector] = await opened(exported).embed(["cat sleeps"])
    assert vector == pytest.approx(unit(table()[ids_of("cat sleeps")].min(axis=0)), abs=1e-5)


async def test_further_inputs_of_a_graph_are_given(exported: Path) -> None:
    names = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
    write_graph(exported / "model.onnx", outputs=("last_hidden_state",), inputs=names)
    assert (await opened(exported).embed(TEXTS)).shape == (len(TEXTS), SIZE)


async def test_a_text_beyond_the_limit_is_embedded_in_pieces(exported: Path) -> None:
    text = "cat " * 15 + "dog " * 4
    [vector] = await opened(exported).embed([text])
    pieces = [ids_of("cat " * 10), ids_of("cat " * 5 + "dog " * 4)]
    mean = sum((len(ids) * unit(table()[ids].mean(axis=0)) for ids in pieces), np.zeros(SIZE))
    assert vector == pytest.approx(unit(np.asarray(mean, np.float32)), abs=1e-5)


async def test_prompts_go_before_the_texts_of_their_kind(exported: Path) -> None:
    write(exported, {"config_sentence_transformers.json": {"prompts": {"query": "query ", "document": ""}}})
    embedder = opened(exported)
    query = (await embedder.embed(["cat"], kind=TextKind.QUERY))[0]
    document = (await embedder.embed(["cat"]))[0]
    assert query == pytest.approx(unit(table()[ids_of("query cat")].mean(axis=0)), abs=1e-5)
    assert document == pytest.approx(unit(table()[ids_of("cat")].mean(axis=0)), abs=1e-5)


def test_a_folder_named_like_a_known_model_has_its_prompts(exported: Path) -> None:
    renamed = exported.rename(exported.with_name("bge-small-en-v1.5"))
    prompts = opened(renamed)._encoder.prompts
    assert prompts[TextKind.QUERY].startswith("Represent this sentence")
    assert prompts[TextKind.DOCUMENT] == ""


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"sentence_bert_config.json": {"max_seq_length": 7}}, 7),
        ({"tokenizer_config.json": {"model_max_length": 9}}, 9),
        ({"tokenizer_config.json": {"model_max_length": 1e30}}, LIMIT),
        ({}, LIMIT),
        ({"config.json": {"hidden_size": SIZE}}, 512),
    ],
)
def test_the_limit_is_that_of_the_folder(files: Mapping[str, object], limit: int, exported: Path) -> None:
    write(exported, files)
    assert opened(exported)._encoder.max_tokens == limit


def test_names_tell_apart_weights_and_settings_but_not_places(bert: Path, tmp_path: Path) -> None:
    names = [opened(bert).name, opened(bert, "?precision=float32").name]
    write(bert, {"1_Pooling/config.json": pooling("cls")})
    names.append(opened(bert).name)
    save_file(bert_weights(seed=1), bert / "model.safetensors")
    names.append(opened(bert).name)
    assert len(set(names)) == 4
    moved = bert.rename(tmp_path / "elsewhere")
    moved = moved.rename(tmp_path / "bert")
    assert opened(moved).name == names[-1]


async def test_a_path_is_relative_to_the_workspace(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bert.parent)
    embedder = open_embedder("onnx:./bert", cache=bert.parent / "cache")
    assert (await embedder.embed(["cat"])).shape == (1, SIZE)


BROKEN: list[tuple[str, Mapping[str, Any], ErrorCode, str]] = [
    ("roberta", {"config.json": {**CONFIG, "model_type": "roberta"}}, ErrorCode.UNSUPPORTED, "is not a BERT"),
    ("relu", {"config.json": {**CONFIG, "hidden_act": "relu"}}, ErrorCode.UNSUPPORTED, "is not a BERT"),
    ("max", {"1_Pooling/config.json": pooling("max")}, ErrorCode.UNSUPPORTED, "is not a BERT"),
    ("none", {"1_Pooling/config.json": pooling("nothing")}, ErrorCode.UNSUPPORTED, "pools by nothing known"),
    ("dense", {"modules.json": [{"type": "sentence_transformers.models.Dense"}]}, ErrorCode.UNSUPPORTED, "Dense"),
    ("heads", {"config.json": {**CONFIG, "num_attention_heads": 0}}, ErrorCode.DAMAGED, "config.json"),
    ("no heads", {"config.json": {**CONFIG, "num_attention_heads": None}}, ErrorCode.UNSUPPORTED, "is not a BERT"),
    ("odd modules", {"modules.json": [{}]}, ErrorCode.DAMAGED, "modules.json"),
]


@pytest.mark.parametrize(("files", "code", "said"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_a_model_that_is_not_understood_is_refused_in_plain_words(
    files: Mapping[str, Any], code: ErrorCode, said: str, bert: Path
) -> None:
    write(bert, files)
    with pytest.raises(ModelError, match=said) as caught:
        opened(bert)
    assert caught.value.error_code is code


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
async def test_a_damaged_file_is_named(name: str, bert: Path) -> None:
    (bert / name).write_bytes(b"\xff scrambled")
    with pytest.raises(ModelError, match="bert") as caught:
        await opened(bert).embed(["cat"])
    assert caught.value.error_code is ErrorCode.DAMAGED


@pytest.mark.parametrize("name", ["tokenizer.json", "model.safetensors"])
def test_a_folder_without_a_model_is_told(name: str, bert: Path) -> None:
    (bert / name).unlink()
    with pytest.raises(ModelError, match="holds") as caught:
        opened(bert)
    assert caught.value.error_code is ErrorCode.MISSING_MODEL


async def test_a_graph_for_something_else_is_told(exported: Path) -> None:
    write_graph(exported / "model.onnx", outputs=("last_hidden_state",), inputs=("input_ids", "pixels"))
    with pytest.raises(ModelError, match="wants an input 'pixels'"):
        await opened(exported).embed(["cat"])
    write_graph(exported / "model.onnx", outputs=("last_hidden_state",))
    write(exported, {"config.json": {"hidden_size": SIZE + 1}})
    with pytest.raises(ModelError, match="gives vectors of shape"):
        await opened(exported).embed(["cat"])


def test_a_graph_has_the_precision_it_was_exported_with(exported: Path) -> None:
    with pytest.raises(ConfigError, match="precision"):
        opened(exported, "?precision=int8")


NAME = "all-MiniLM-L6-v2"


@pytest.mark.skipif(
    weights.find(NAME, cache=weights.cache_folder()) is None, reason=f"run: intelforge models pull {NAME}"
)
async def test_the_built_in_model_in_a_folder_gives_the_same_vectors(tmp_path: Path) -> None:
    found = weights.find(NAME, cache=weights.cache_folder())
    assert found
    folder = tmp_path / "minilm"
    write(folder, {"config.json": {**CONFIG, "hidden_size": 384, "num_attention_heads": 12, "layer_norm_eps": 1e-12}})
    write(folder, {"sentence_bert_config.json": {"max_seq_length": 256}})
    for file in weights.MODELS[NAME].files:
        (folder / file).symlink_to(found / file)
    texts = ["How do I cancel a task?", "two eggs and flour", "word " * 300]
    expected: Vectors = await open_embedder(f"onnx:{NAME}?precision=float32").embed(texts)
    assert await opened(folder, "?precision=float32").embed(texts) == pytest.approx(expected, abs=1e-5)
