"""The measurement of similar questions, as it is kept."""

import json
from dataclasses import asdict
from datetime import datetime
from typing import Final

from intelforge.core.model_reports import SimilarityCheck, SimilarityRow

CHECK_FACT: Final = "response_cache.similarity"
"""under which name it is kept"""


def write_check(check: SimilarityCheck) -> str:
    return json.dumps({**asdict(check), "at": check.at.isoformat()})


def read_check(text: str | None) -> SimilarityCheck | None:
    """The measurement; None when there is none, or one that a later version wrote."""
    if text is None:
        return None
    try:
        value = json.loads(text)
        rows = tuple(SimilarityRow(**row) for row in value["rows"])
        examples = tuple((str(first), str(second)) for first, second in value["examples"])
        read = {"rows": rows, "examples": examples, "at": datetime.fromisoformat(value["at"])}
        return SimilarityCheck(**{**value, **read})
    except (KeyError, TypeError, ValueError):
        return None
