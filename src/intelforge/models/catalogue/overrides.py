"""Facts and prices that a user gives in a file, instead of the built-in ones.

{"openai:gpt-5": {"input_usd_per_million": 1.1, "output_usd_per_million": 8.8},
 "http://gpu.lan:8000/v1#my-model": {"context_window": 16384, "tools": true, "json_schema": false, "images": false}}
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from intelforge.core.errors import ConfigError
from intelforge.models.targets import named

Price = Annotated[Decimal | None, Field(ge=0)]


class Override(BaseModel):
    """What the file says of one model; what it does not say stays as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    context_window: Annotated[int | None, Field(gt=0)] = None
    tools: bool | None = None
    json_schema: bool | None = None
    images: bool | None = None
    input_usd_per_million: Price = None
    output_usd_per_million: Price = None
    cache_read_usd_per_million: Price = None
    cache_write_usd_per_million: Price = None


_FILE = TypeAdapter(dict[str, Override])


def read_overrides(path: Path) -> Mapping[str, Override]:
    """What a file says, by `provider:name`; it may name a model by its URL. Raises ConfigError that says where."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", hint="mend the setting `model_facts`") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}", hint="mend that line") from error
    try:
        found = _FILE.validate_python(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = " → ".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigError(
            f"{path}: {place}: {first['msg'].lower()}",
            hint=f"for each `provider:name` it takes: {', '.join(Override.model_fields)}",
        ) from error
    try:
        return {named(name): given for name, given in found.items()}
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.message}", hint=error.hint) from error
