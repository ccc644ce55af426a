"""Fits the estimate of a family's token count to its true tokenizer, and measures its error on other texts.

    python benchmarks/token_estimates.py FOLDER… --tokenizer qwen=tokenizer.json --tokenizer llama=…

Texts are pieces of all files below the folders (.jsonl.gz gives its `text`, `code`, `prompt` or `html`). Two thirds of
them, by a hash, fit the coefficients; the error is that on the other third, in shares of the true count.
"""

import argparse
import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from intelforge.models.window.features import features_of

PIECE = 1500
FIELDS = ("text", "code", "prompt", "html", "question")


def pieces(folders: list[Path], limit: int) -> Iterator[tuple[str, str]]:
    """(name of the file, piece of it), at most `limit` for each folder, spread over its files."""
    for folder in folders:
        files = sorted(path for path in ([folder] if folder.is_file() else folder.rglob("*")) if path.is_file())
        found = [(str(path), text) for path in files for text in texts_of(path)]
        step = max(1, len(found) // limit)
        yield from found[::step][:limit]


def texts_of(path: Path) -> Iterator[str]:
    if path.name.endswith(".jsonl.gz"):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines):
                row = json.loads(line)
                text = next((row[field] for field in FIELDS if isinstance(row.get(field), str)), "")
                if number < 400 and len(text) > 60:
                    yield text[:PIECE]
        return
    try:
        text = path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError):
        return
    if len(text) > 60:
        middle = len(text) // 2
        yield text[:PIECE]
        if len(text) > 4 * PIECE:
            yield text[middle : middle + PIECE]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--tokenizer", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--limit", type=int, default=300, help="texts of each folder")
    arguments = parser.parse_args()
    texts = list(dict.fromkeys(pieces(arguments.folders, arguments.limit)))
    held_out = np.array([hashlib.sha256(f"{name}{text}".encode()).digest()[0] % 3 == 0 for name, text in texts])
    features = np.array([features_of(text).values() for _, text in texts], dtype=float)
    print(f"{len(texts)} texts, {int(held_out.sum())} of them held out")
    for entry in arguments.tokenizer:
        name, _, file = entry.partition("=")
        tokenizer = Tokenizer.from_file(file)
        true = np.array([len(tokenizer.encode(text, add_special_tokens=False).ids) for _, text in texts], dtype=float)
        fitted = fit(features[~held_out], true[~held_out])
        errors = np.abs(features[held_out] @ fitted - true[held_out]) / true[held_out]
        ascii_only = np.array([text.isascii() for _, text in texts])[held_out]
        plain = np.abs(features[held_out, 0] - true[held_out]) / true[held_out]
        bias = (features[held_out] @ fitted).sum() / true[held_out].sum() - 1
        print(
            json.dumps(
                {
                    "name": name,
                    "coefficients": [round(float(one), 3) for one in fitted],
                    "median": round(float(np.median(errors)), 4),
                    "p95": round(float(np.quantile(errors, 0.95)), 4),
                    "p95_ascii": round(float(np.quantile(errors[ascii_only], 0.95)), 4),
                    "p95_other": round(float(np.quantile(errors[~ascii_only], 0.95)), 4),
                    "p95_of_o200k_itself": round(float(np.quantile(plain, 0.95)), 4),
                    "bias": round(float(bias), 4),
                }
            )
        )


def fit(
    features: "np.ndarray[tuple[int, int], np.dtype[np.float64]]", true: "np.ndarray[tuple[int], np.dtype[np.float64]]"
) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Least squares of the relative error, by the texts' own weight; texts far off count less (two rounds)."""
    weights = 1 / true
    for _ in range(3):
        found = np.linalg.lstsq(features * weights[:, None], true * weights, rcond=None)[0]
        off = np.abs(features @ found - true) / true
        weights = 1 / (true * np.maximum(1.0, off / 0.05) ** 0.5)
    return np.asarray(found)


if __name__ == "__main__":
    main()
