"""Questions out of a file, for measuring."""

import gzip
import json
from pathlib import Path
from typing import Any, Final

from intelforge.core.errors import ErrorCode, InvalidInputError, NotFoundError
from intelforge.models.response_cache.measure import Labelled

FIELDS: Final = ("question", "text", "query", "prompt")


def read_questions(path: Path) -> list[Labelled]:
    """The questions of a file: lines of JSON, plain or gzipped, or lines of text. Equal questions count once.

    Questions of one group have one answer: the group is the field `group`, else `relevant`, else the line itself.
    Raises NotFoundError, and InvalidInputError that names the line.
    """
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {path}", hint="check the path") from error
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path} cannot be read as text", hint="UTF-8, plain or .gz") from error
    found: dict[str, Labelled] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            question = _question(line.strip(), path, number)
            found.setdefault(question.text, question)
    return list(found.values())


def _question(line: str, path: Path, number: int) -> Labelled:
    if not line.startswith("{"):
        return Labelled(text=line, group=str(number))
    try:
        row: dict[str, Any] = json.loads(line)
    except ValueError as error:
        raise InvalidInputError(f"{path}, line {number}: {error}", hint="one JSON object a line") from error
    text = next((row[field].strip() for field in FIELDS if isinstance(row.get(field), str)), "")
    if not text:
        raise InvalidInputError(
            f"{path}, line {number}: there is no question",
            hint=f"put it into one of the fields {', '.join(FIELDS)}",
            code=ErrorCode.INVALID_INPUT,
        )
    group = row.get("group") or row.get("relevant")
    return Labelled(text=text, group=json.dumps(group, sort_keys=True) if group else str(number))
