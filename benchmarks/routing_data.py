"""The data of the routing benchmark: prompts with what each model made of them, and folds that share no prompt."""

import gzip
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from embedded import EmbeddedTexts
from numpy.typing import NDArray

from intelforge.core.errors import ModelError
from intelforge.models.catalogue.catalogue import Catalogue
from intelforge.models.router.candidates import expected_quality
from intelforge.models.router.reading import read_request
from intelforge.models.router.values import Candidate, RequestFeatures
from intelforge.models.router.words import PLACES

Rows = NDArray[np.int64]
WEAK, STRONG = "weak", "strong"
WEAK_PRICE, STRONG_PRICE = 0.6, 30.0
"""US dollars for a million tokens, of Mixtral 8x7B and GPT-4 when they were asked; no measure here depends on them"""
OUTPUT_TOKENS = 200
GZIP = b"\x1f\x8b"
NEAR = 0.9
"""the cosine of hashed words from which two prompts are taken for the same"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Prompts, and the score of each model for each of them."""

    name: str
    prompts: tuple[str, ...]
    subjects: NDArray[np.str_]
    candidates: tuple[Candidate, ...]
    scores: NDArray[np.float64]
    """shape (prompts, candidates), from 0 to 1"""

    def part(self, rows: NDArray[np.bool_], name: str) -> "Table":
        return Table(
            name=name,
            prompts=tuple(prompt for prompt, kept in zip(self.prompts, rows, strict=True) if kept),
            subjects=self.subjects[rows],
            candidates=self.candidates,
            scores=self.scores[rows],
        )


def read_two_models(path: Path) -> dict[str, Table]:
    """A table for each benchmark in the file."""
    rows = _rows(path)
    both = Table(
        name="two models",
        prompts=tuple(row["prompt"] for row in rows),
        subjects=np.asarray([row["subject"] for row in rows]),
        candidates=(
            Candidate(name=WEAK, input_price=WEAK_PRICE, output_price=WEAK_PRICE, prior=0.6),
            Candidate(name=STRONG, input_price=STRONG_PRICE, output_price=STRONG_PRICE, prior=0.7),
        ),
        scores=np.asarray([[row[WEAK], row[STRONG]] for row in rows], float),
    )
    of = np.asarray([row["benchmark"] for row in rows])
    return {name: both.part(of == name, name) for name in dict.fromkeys(of.tolist())}


def read_nine_models(path: Path, prices: Mapping[str, Any]) -> Table:
    """The table of the file; the models' priors are those of the product for such names and prices."""
    rows = _rows(path)
    names = sorted(rows[0]["scores"])
    catalogue = Catalogue(environment={})
    paid = {name: (float(prices[name]["input_price"]), float(prices[name]["output_price"])) for name in names}
    return Table(
        name="nine models",
        prompts=tuple(row["question"] for row in rows),
        subjects=np.asarray([str(row.get("cluster_id", "")) for row in rows]),
        candidates=tuple(
            Candidate(
                name=name,
                input_price=paid[name][0],
                output_price=paid[name][1],
                prior=expected_quality(catalogue.facts(f"compatible:{name}"), output_price=paid[name][1]),
            )
            for name in names
        ),
        scores=np.asarray([[row["scores"][name] for name in names] for row in rows], float),
    )


def features(prompts: Sequence[str], vectors: NDArray[np.float32] | None) -> list[RequestFeatures]:
    """The prompts as the router reads them."""
    return [
        read_request(prompt, embedding=None if vectors is None else vectors[row], output_tokens=OUTPUT_TOKENS)
        for row, prompt in enumerate(prompts)
    ]


def embedded(prompts: Sequence[str], url: str) -> NDArray[np.float32] | None:
    """The prompts' vectors; None without an embedder, or when its weights are not here."""
    if url == "none:":
        return None
    try:
        return EmbeddedTexts(url).vectors(prompts)
    except ModelError as error:
        print(f"without vectors: {error}", file=sys.stderr)
        return None


def alike(requests: Sequence[RequestFeatures]) -> Rows:
    """A number for each request, the same for those whose words are nearly the same."""
    words = np.zeros((len(requests), PLACES), np.float32)
    for row, one in enumerate(requests):
        words[row, one.words[0]] = one.words[1]
    words /= np.maximum(np.linalg.norm(words, axis=1, keepdims=True), 1e-9)
    parent = np.arange(len(requests))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = int(parent[row])
        return row

    for start in range(0, len(requests), 1000):
        near = np.argwhere(words[start : start + 1000] @ words.T > NEAR)
        for one, other in near[near[:, 0] + start < near[:, 1]]:
            parent[root(int(other))] = root(int(one) + start)
    return np.asarray([root(row) for row in range(len(requests))])


def folds(keys: Sequence[object], count: int, *, seed: str = "") -> Rows:
    """The fold of each key: equal keys share one, and folds are of about equal size in keys."""
    order = sorted({str(key) for key in keys}, key=lambda key: hashlib.sha256(f"{seed}{key}".encode()).digest())
    fold = {key: place % count for place, key in enumerate(order)}
    return np.asarray([fold[str(key)] for key in keys])


def _rows(path: Path) -> list[dict[str, Any]]:
    read = path.read_bytes()
    text = gzip.decompress(read) if read.startswith(GZIP) else read
    return [json.loads(line) for line in text.splitlines() if line.strip()]
