"""ParetoBandit beside the router: itself, from its wheel, in an environment of its own, made when it is missing."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import peer_environments
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Floats = NDArray[np.float64]
Program = Callable[[Path, Path], None]
"""Takes the file to read and the file to write."""

NAME: Final = "ParetoBandit"
PEER: Final = "paretobandit"
ENVIRONMENTS: Final = Path(__file__).parent.parent / ".bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What it learns from and what it is asked."""

    vectors: NDArray[np.float32]
    scores: Floats
    prices: Floats
    splits: Sequence[tuple[Rows, Rows]]
    """the rows to learn from, and those to route by what was learned"""


class UnavailableError(Exception):
    """It cannot be installed or run here, for the reason given."""


def program() -> Program:
    """What runs it. Raises UnavailableError."""
    try:
        python = peer_environments.prepared(PEER, ENVIRONMENTS)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UnavailableError(f"its environment cannot be made: {error}") from error
    script = peer_environments.PEERS / f"route_{PEER}.py"

    def run(source: Path, target: Path) -> None:
        command = [str(python), str(script), str(source), str(target)]
        ended = subprocess.run(command, check=False, stdout=sys.stderr, stderr=subprocess.PIPE, text=True)
        if ended.returncode:
            raise UnavailableError((ended.stderr.strip().splitlines() or ["it failed and did not say why"])[-1])

    return run


def routed(given: Given, measure: Callable[[Floats], Any], *, made: Callable[[], Program] = program) -> Any:
    """What is measured of the chance it gives each model and its choice, shape (rows, models + 1), or why it is left
    out."""
    numbers: dict[str, Any] = {"vectors": given.vectors, "scores": given.scores, "prices": given.prices}
    for number, (train, test) in enumerate(given.splits):
        numbers |= {f"train{number}": train, f"test{number}": test}
    try:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "in.npz", Path(folder) / "out.npy"
            np.savez(source, **numbers)
            made()(source, target)
            return measure(np.asarray(np.load(target, allow_pickle=False), float))
    except UnavailableError as error:
        print(f"without {NAME}: {error}", file=sys.stderr)
        return f"left out: {error}"
