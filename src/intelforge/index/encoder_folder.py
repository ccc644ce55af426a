"""Sentence encoders in a folder of the user's, as sentence-transformers and the model hub keep them.

    model.onnx or onnx/model.onnx     any encoder, exported; what it gives for tokens is pooled here
    model.safetensors, config.json    a BERT
beside `tokenizer.json`; pooling, limits and prompts are those of the folder's configuration files.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, PositiveInt, RootModel, ValidationError

from intelforge.core.errors import ConfigError, ErrorCode, ModelError
from intelforge.index.embedders.known_models import facts_of
from intelforge.index.encoder import Encoder
from intelforge.index.protocol import TextKind
from intelforge.index.weights import TOKENIZER, WEIGHTS
from intelforge.index.written_graph import GRAPH_VERSION, PRECISIONS, WrittenGraph

GRAPHS: Final = ("model.onnx", "onnx/model.onnx")
MODULES: Final = ("Transformer", "Pooling", "Normalize")
PROMPTS: Final = {TextKind.QUERY: ("query",), TextKind.DOCUMENT: ("document", "passage", "corpus")}
"""what the prompts of a kind are called"""
EXPORT: Final = "export it to ONNX: optimum-cli export onnx --model FOLDER FOLDER"
USUAL_TOKENS: Final = 512
BLOCKS: Final = 64
BLOCK: Final = 1 << 14


class _Config(BaseModel):
    """`config.json`."""

    model_type: str = ""
    hidden_act: str = ""
    position_embedding_type: str = "absolute"
    hidden_size: PositiveInt | None = None
    num_attention_heads: PositiveInt | None = None
    layer_norm_eps: float = 1e-12
    max_position_embeddings: PositiveInt | None = None


class _Pooling(BaseModel, extra="allow"):
    """`1_Pooling/config.json`; mean when there is none, as sentence-transformers has it."""

    word_embedding_dimension: PositiveInt | None = None

    @property
    def modes(self) -> list[str]:
        chosen = [name for name, value in (self.model_extra or {}).items() if value is True]
        modes = [_POOLINGS.get(name, name) for name in chosen if name.startswith("pooling_mode_")]
        return modes if self.model_extra else ["mean"]


class _Sentences(BaseModel):
    """`sentence_bert_config.json`."""

    max_seq_length: PositiveInt | None = None


class _TokenizerConfig(BaseModel):
    """`tokenizer_config.json`; a limit that is not known is written as a number beyond all texts."""

    model_max_length: float | None = None


class _SentenceTransformers(BaseModel):
    """`config_sentence_transformers.json`."""

    prompts: Mapping[str, str] | None = None


class _Module(BaseModel):
    type: str


class _Modules(RootModel[list[_Module]]):
    """`modules.json`."""

    root: list[_Module] = []


_POOLINGS: Final = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "lasttoken",
}
Read = TypeVar("Read", bound=BaseModel)


def in_folder(folder: Path, precision: str | None, *, cache: Path) -> Encoder:
    """The encoder kept in a folder; `precision` is of a graph that has yet to be written.

    Reads its small files alone. Raises ModelError for a folder without a model, or with one that is not understood.
    """
    exported = exported_graph(folder)
    if exported and precision:
        raise ConfigError(f"{exported} has the precision it was exported with", hint="leave out ?precision=")
    _check_modules(folder)
    config, pooling = _read(folder / "config.json", _Config), _pooling(folder)
    digest = _digest(folder, exported or folder / WEIGHTS)
    name, graph, remedy = f"onnx:{folder.name}@{digest}", None, "export the model to ONNX again"
    if not exported:
        graph = _bert(folder, config, pooling, cache / f"{folder.name}-{digest}", precision or PRECISIONS[0])
        name, remedy = f"{name}.{GRAPH_VERSION}?precision={graph.precision}", f"delete {graph.path} and try again"
    return Encoder(
        name=name,
        dimensions=_dimensions(folder, config),
        max_tokens=max_tokens(folder),
        tokenizer=folder / TOKENIZER,
        read_tokenizer=(folder / TOKENIZER).read_bytes,
        graph=graph or (lambda: str(exported)),
        remedy=remedy,
        pooling=pooling,
        prompts=_prompts(folder),
    )


def exported_graph(folder: Path) -> Path | None:
    """The graph in a folder, if there is one; ModelError when it holds no tokenizer."""
    if not (folder / TOKENIZER).is_file():
        raise missing(folder, TOKENIZER)
    return next((folder / name for name in GRAPHS if (folder / name).is_file()), None)


def _bert(folder: Path, config: _Config, pooling: str, cache: Path, precision: str) -> WrittenGraph:
    usual = (config.model_type, config.hidden_act, config.position_embedding_type) == ("bert", "gelu", "absolute")
    if not usual or not config.num_attention_heads or pooling not in ("mean", "cls"):
        raise _not_understood(folder, "it has no model.onnx and is not a BERT with mean or cls pooling", EXPORT)
    return WrittenGraph(
        folder=cache,
        precision=precision,
        read=(folder / WEIGHTS).read_bytes,
        heads=config.num_attention_heads,
        epsilon=config.layer_norm_eps,
        pooling=pooling,
    )


def _read(path: Path, kind: type[Read]) -> Read:
    """What a file says; what its absence means when there is none. Raises ModelError DAMAGED."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return kind()
    except (OSError, ValidationError) as error:
        raise ModelError(
            f"{path} cannot be read as the configuration of a model",
            hint="copy the model again",
            code=ErrorCode.DAMAGED,
        ) from error


def _check_modules(folder: Path) -> None:
    modules = _read(folder / "modules.json", _Modules).root
    others = [name for module in modules if (name := module.type.rpartition(".")[2]) not in MODULES]
    if others:
        raise _not_understood(folder, f"it has a layer of the kind {others[0]}")


def _pooling(folder: Path) -> str:
    modes = _read(folder / "1_Pooling" / "config.json", _Pooling).modes
    if len(modes) != 1 or modes[0] not in _POOLINGS.values():
        raise _not_understood(folder, f"it pools by {' and '.join(modes) or 'nothing known'}")
    return modes[0]


def _prompts(folder: Path) -> Mapping[TextKind, str]:
    """Of the folder's configuration, else what is known of a model of the folder's name."""
    if given := _read(folder / "config_sentence_transformers.json", _SentenceTransformers).prompts:
        return {kind: next((given[name] for name in names if name in given), "") for kind, names in PROMPTS.items()}
    facts = facts_of(folder.name)
    return {kind: facts.prefix(kind) for kind in TextKind}


def max_tokens(folder: Path) -> int:
    """How many tokens the model in a folder reads at once, special ones counted."""
    if limit := _read(folder / "sentence_bert_config.json", _Sentences).max_seq_length:
        return limit
    written = _read(folder / "tokenizer_config.json", _TokenizerConfig).model_max_length
    positions = _read(folder / "config.json", _Config).max_position_embeddings
    return int(min((limit for limit in (written, positions) if limit), default=USUAL_TOKENS))


def _dimensions(folder: Path, config: _Config) -> int:
    found = _read(folder / "1_Pooling" / "config.json", _Pooling).word_embedding_dimension or config.hidden_size
    if not found:
        raise _not_understood(folder, "neither config.json nor 1_Pooling/config.json says how long its vectors are")
    return found


def _digest(folder: Path, model: Path) -> str:
    """Tells models apart by all that their vectors depend on; of the weights, blocks spread over the file."""
    digest = hashlib.sha256()
    try:
        for part in (model, model.with_name(f"{model.name}_data"), model.with_name(f"{model.name}.data")):
            if part == model or part.is_file():
                _add_sample(digest, part)
        for small in (
            TOKENIZER,
            "sentence_bert_config.json",
            "1_Pooling/config.json",
            "config_sentence_transformers.json",
        ):
            if (folder / small).is_file():
                digest.update((folder / small).read_bytes())
    except OSError as error:
        raise missing(folder, f"{' or '.join((*GRAPHS, WEIGHTS))} that can be read") from error
    return digest.hexdigest()[:8]


def _add_sample(digest: Any, path: Path) -> None:
    size = path.stat().st_size
    digest.update(size.to_bytes(8, "big"))
    with path.open("rb") as source:
        for number in range(BLOCKS):
            source.seek(max(0, size - BLOCK) * number // (BLOCKS - 1))
            digest.update(source.read(BLOCK))


def missing(folder: Path, what: str) -> ModelError:
    """A folder lacks what makes it one of a model."""
    return ModelError(
        f"{folder} holds no {what}",
        hint="name the folder of a sentence-transformers or ONNX model",
        code=ErrorCode.MISSING_MODEL,
    )


def _not_understood(folder: Path, reason: str, hint: str = "choose another model") -> ModelError:
    return ModelError(
        f"the model in {folder} is not understood: {reason}",
        hint=hint,
        code=ErrorCode.UNSUPPORTED,
    )
