"""How weights are packed: bits for each, and what that costs in quality."""

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantisation:
    """One way to pack weights.

    Bits are those that llama.cpp measured on Llama 3.1 8B (`tools/quantize/README.md`), the loss is the perplexity it
    adds to Llama 3 8B on WikiText-2 (`tools/perplexity/README.md`).
    """

    name: str
    """as in an Ollama tag"""
    bits: float
    """for one weight, scales included"""
    loss: float
    """share by which perplexity grows"""


F16: Final = Quantisation(name="fp16", bits=16.0005, loss=0.0)
Q8_0: Final = Quantisation(name="q8_0", bits=8.5008, loss=0.0004)
Q6_K: Final = Quantisation(name="q6_K", bits=6.5633, loss=0.0035)
Q5_K_M: Final = Quantisation(name="q5_K_M", bits=5.7036, loss=0.0089)
Q4_K_M: Final = Quantisation(name="q4_K_M", bits=4.8944, loss=0.0282)
Q3_K_M: Final = Quantisation(name="q3_K_M", bits=3.9960, loss=0.1051)
MXFP4: Final = Quantisation(name="mxfp4", bits=4.25, loss=0.0)
"""in which gpt-oss was trained: 4 bits and a scale for each 32, https://arxiv.org/abs/2508.10925"""

QUANTISATIONS: Final = (F16, Q8_0, Q6_K, Q5_K_M, Q4_K_M, Q3_K_M, MXFP4)
DEFAULT: Final = Q4_K_M
"""what an Ollama tag without one means"""
_LIKE: Final = {"f16": F16, "bf16": F16, "q4_0": Q4_K_M, "q4_1": Q4_K_M, "q4_k_s": Q4_K_M, "iq4_xs": Q4_K_M}
_LIKE_MORE: Final = {"q5_0": Q5_K_M, "q5_1": Q5_K_M, "q5_k_s": Q5_K_M, "q3_k_s": Q3_K_M, "q3_k_l": Q3_K_M}
_NAMES: Final = {one.name.lower(): one for one in QUANTISATIONS} | _LIKE | _LIKE_MORE
_FOUND: Final = re.compile(r"(?:^|[-_:.])(" + "|".join(sorted(_NAMES, key=len, reverse=True)) + r")(?=$|[-:.])")


def quantisation_of(tag: str) -> Quantisation | None:
    """The quantisation that a tag or a file name says, or the nearest one known; None when it says none."""
    found = _FOUND.search(tag.lower())
    return _NAMES[found[1]] if found else None
