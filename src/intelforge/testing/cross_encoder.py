"""A tiny cross-encoder in a folder: it counts the words that query and text have in common."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

SPECIAL: Final = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
INPUTS: Final = ("input_ids", "attention_mask", "token_type_ids")
OPTIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "Cast": {"to": TensorProto.INT64},
    "ReduceSum": {"keepdims": 0},
}
"""of the steps of the graph"""
LIMIT: Final = 32
"""tokens of a pair"""


def write_cross_encoder(
    folder: Path, words: Sequence[str], *, labels: int = 1, inputs: Sequence[str] = INPUTS, name: str = "model.onnx"
) -> Path:
    """Writes the folder of a model that knows these words. With two labels, the second is the count, the first its
    negative. It reads all of INPUTS, and ignores further ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"max_position_embeddings": LIMIT}), encoding="utf-8")
    tokenizer = Tokenizer(
        WordLevel({word: number for number, word in enumerate((*SPECIAL, *words))}, unk_token="[UNK]")  # noqa: S106
    )
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", SPECIAL.index("[CLS]")), ("[SEP]", SPECIAL.index("[SEP]"))],
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / name).parent.mkdir(exist_ok=True)
    onnx.save(_model(labels, inputs), folder / name)
    return folder


def _model(labels: int, inputs: Sequence[str]) -> onnx.ModelProto:
    signs = np.linspace(-1.0, 1.0, labels, dtype=np.float32) if labels > 1 else np.ones(1, np.float32)
    constants = {
        "words_from": np.array(len(SPECIAL)),
        "one": np.array(1),
        "last": np.array([2]),
        "middle": np.array([1]),
        "both": np.array([1, 2]),
        "signs": signs,
    }
    steps = [
        ("GreaterOrEqual", ["input_ids", "words_from"], "is_word"),
        ("Cast", ["is_word"], "word"),
        ("Mul", ["word", "attention_mask"], "said"),
        ("Mul", ["said", "token_type_ids"], "in_text"),
        ("Sub", ["one", "token_type_ids"], "untyped"),
        ("Mul", ["said", "untyped"], "in_query"),
        ("Unsqueeze", ["input_ids", "last"], "rows"),
        ("Unsqueeze", ["input_ids", "middle"], "columns"),
        ("Equal", ["rows", "columns"], "are_equal"),
        ("Cast", ["are_equal"], "equal"),
        ("Unsqueeze", ["in_query", "last"], "query_rows"),
        ("Unsqueeze", ["in_text", "middle"], "text_columns"),
        ("Mul", ["query_rows", "text_columns"], "pairs"),
        ("Mul", ["equal", "pairs"], "common"),
        ("ReduceSum", ["common", "both"], "count"),
        ("Unsqueeze", ["count", "middle"], "counts"),
        ("CastLike", ["counts", "signs"], "numbers"),
        ("Mul", ["numbers", "signs"], "logits"),
    ]
    nodes = [helper.make_node(kind, given, [made], **OPTIONS.get(kind, {})) for kind, given, made in steps]
    graph = helper.make_graph(
        nodes,
        "common_words",
        [helper.make_tensor_value_info(given, TensorProto.INT64, ["pairs", "tokens"]) for given in inputs],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["pairs", labels])],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
