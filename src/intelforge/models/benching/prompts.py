"""What models are asked when they are measured."""

import json
from pathlib import Path
from typing import Final

from intelforge.core.errors import InvalidInputError, NotFoundError

PROMPTS: Final = (
    "In one sentence: what is a mutex?",
    "Write a Python function that merges two sorted lists, with a docstring. No explanation.",
    "Explain to a new colleague in about 150 words how a database index works and what it costs.",
    "Here is a note. Summarise it in one sentence.\n\n"
    + "The committee met, heard the report on the harbour, and put off the decision on the new crane to May. " * 20,
)
"""short and long, in words and in code"""
FIELDS: Final = ("prompt", "question", "text")


def read_prompts(path: Path) -> tuple[str, ...]:
    """The prompts of a file: one a line, as text or as JSON with a field `prompt`.

    Raises NotFoundError, and InvalidInputError that names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file {path}", hint="check the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path} cannot be read as text", hint="it must be UTF-8") from error
    found = [_prompt(line.strip(), path, number) for number, line in enumerate(lines, start=1) if line.strip()]
    if not found:
        raise InvalidInputError(f"{path} has no prompts", hint="write one on each line")
    return tuple(found)


def _prompt(line: str, path: Path, number: int) -> str:
    if not line.startswith("{"):
        return line
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InvalidInputError(f"{path}, line {number}: {error}", hint="one JSON object a line") from error
    text = next((row[field] for field in FIELDS if isinstance(row.get(field), str) and row[field].strip()), "")
    if not text:
        raise InvalidInputError(f"{path}, line {number}: there is no prompt", hint="put it into the field `prompt`")
    return str(text)
