"""A decision in one sentence."""

from collections.abc import Sequence

from intelforge.models.router.values import Prediction

KNOWN: float = 0.2
"""the confidence below which a prediction is mostly what the catalogue says"""


def reason(chosen: Prediction, ranked: Sequence[Prediction], *, preference: str, explored: bool, refused: int) -> str:
    """Why `chosen`, with what is expected of it and of the one it was held against."""
    others = [one for one in ranked if one.model != chosen.model]
    said = f"{chosen.model}: {_expected(chosen)}"
    if explored:
        best = ranked[0]
        return f"{said}; tried to learn how it does, in place of {best.model} ({_expected(best)})."
    if not others:
        why = "the only one that can take it" if refused else "the only candidate"
        return f"{said}; {why}."
    other = others[0]
    why = f"worth most under `{preference}`, before {other.model} ({_expected(other)})"
    basis = "" if chosen.confidence >= KNOWN else "; few such requests were judged, so mostly by what was known before"
    left = f"; {refused} could not take it" if refused else ""
    return f"{said}; {why}{basis}{left}."


def _expected(one: Prediction) -> str:
    cost = "free" if one.cost == 0 else f"${one.cost:.2g}" if one.cost >= 1e-4 else f"${one.cost:.1e}"
    return f"quality {one.quality:.2f} ± {one.uncertainty:.2f}, {cost}, {one.latency:.1f} s"
