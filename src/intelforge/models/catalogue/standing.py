"""How models are likely to stand to each other before anyone has tried them: by size, age and purpose.

In doublings of size, of which only differences mean something. Parameters count by their logarithm (scaling laws), for
a mixture of experts the geometric mean of all and active ones (a rule of thumb of Mistral's authors), a year's newer
model as one of twice the size, less what quantisation loses, and less for a model made for one purpose.
"""

import math
import re
from typing import Final

from intelforge.models.catalogue.facts import ModelFacts
from intelforge.models.catalogue.open_models import BILLION, OpenModel
from intelforge.models.catalogue.quantisation import Quantisation
from intelforge.models.catalogue.tags import read_local

LOSS: Final = 8.0
"""doublings that perplexity grown by one would be worth: Q4_K_M costs a quarter of one, Q3_K_M most of one"""
SPECIAL: Final = 2.0
"""doublings that a model made for one purpose is behind on everything else"""
OLDEST: Final = 2024.0
UNDATED: Final = 2025.0
"""when a model is taken to be from whose name tells its size alone"""

_SIZE: Final = re.compile(r"(?:^|[-_:/])(?:(\d+)x)?e?(\d+(?:\.\d+)?)([bm])(?:-a(\d+(?:\.\d+)?)b)?(?=$|[-_:@])")
_PURPOSE: Final = re.compile(
    r"cod(?:e|er|ing|estral)|math|sql|guard|chatqa|medical|translat|(?:^|[-_:])base(?:$|[-_:])"
)


def doublings(model: OpenModel, packed: Quantisation | None = None) -> float:
    """Of a model whose make is known; not packed when it is served elsewhere."""
    return _grown(model.parameters, model.read, model.released) - LOSS * (packed.loss if packed else 0.0)


def expected_doublings(facts: ModelFacts) -> float | None:
    """Of any model; None where neither the catalogue nor its name tells how large it is."""
    name = facts.name.partition(":")[2].lower()
    model = facts.open_model or read_local(name).model
    if model:
        return doublings(model, facts.quantisation) - SPECIAL * bool(model.special)
    size = _SIZE.search(name)
    if size is None:
        return None
    experts, number, unit, active = size.groups()
    each = float(number) * (BILLION if unit == "b" else BILLION / 1000)
    read = float(active) * BILLION if active else each * (2 if experts else 1)  # two experts at a time, as Mixtral
    return _grown(each * int(experts or 1), read, UNDATED) - SPECIAL * bool(_PURPOSE.search(name))


def _grown(parameters: float, read: float, released: float) -> float:
    return math.log2(math.sqrt(parameters * read) / BILLION) + released - OLDEST
