"""Settings as they are written: `intelforge.toml`, then `INTELFORGE_*`, then flags, each value with its origin.

A workspace is the folder that holds `intelforge.toml`; it is looked for upward from the working directory. Relative
paths in settings are relative to that folder.
"""

import os
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from intelforge.core.errors import ConfigError, NotFoundError, StorageError
from intelforge.core.registry import backends
from intelforge.core.reports import SettingValue
from intelforge.core.settings import (
    BACKENDS,
    ENV_PREFIX,
    LANGUAGE_MODEL_CHAIN,
    LANGUAGE_MODELS,
    MAY_BE_NONE,
    PLAIN_NAMES,
    SECRET_STORES,
    Settings,
)
from intelforge.core.url_secrets import without_password

FILE_NAME = "intelforge.toml"


def find_workspace(start: Path) -> Path:
    """The nearest folder, from `start` upward, that holds a settings file. Raises NotFoundError."""
    start = start.absolute()
    for folder in (start, *start.parents):
        if (folder / FILE_NAME).is_file():
            return folder
    raise NotFoundError(f"no workspace at {start} or above it", hint="run: intelforge init")


def read_settings_file(path: Path) -> dict[str, Any]:
    """The raw values of a settings file. Raises ConfigError naming file and line."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}", hint="mend that line") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text (byte {error.start})", hint="save it as UTF-8") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", hint="check its permissions") from error


def load_settings(
    folder: Path, *, flags: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None
) -> tuple[Settings, dict[str, str]]:
    """The settings of the workspace in `folder`, and where each one came from.

    Raises ConfigError for an unknown name or a wrong value, saying which setting, where, and what is accepted.
    """
    environment = os.environ if environment is None else environment
    path = folder / FILE_NAME
    values: dict[str, Any] = read_settings_file(path) if path.is_file() else {}
    origins = dict.fromkeys(values, str(path))
    for name, info in Settings.model_fields.items():
        variable = f"{ENV_PREFIX}{name.upper()}"
        if variable in environment:
            values[name] = _split(info, environment[variable])
            origins[name] = f"environment {variable}"
    for name, value in (flags or {}).items():
        if value is not None:
            values[name] = value
            origins[name] = "flag"
    try:
        return Settings(**values), origins
    except ValidationError as error:
        raise _config_error(error, origins) from error


def describe_settings(settings: Settings, origins: Mapping[str, str]) -> list[SettingValue]:
    """Every setting with value, origin, default and description, in the order of the table."""
    return [
        SettingValue(
            name=name,
            value=_shown(getattr(settings, name)),
            origin=origins.get(name, "default"),
            description=info.description or "",
            default=_shown(info.default),
        )
        for name, info in Settings.model_fields.items()
    ]


def write_setting(folder: Path, name: str, value: str) -> None:
    """Sets one value in the workspace's settings file, keeping its comments and order. Raises ConfigError."""
    info = Settings.model_fields.get(name)
    if info is None:
        raise ConfigError(f"there is no setting {name!r}", hint=f"known: {', '.join(Settings.model_fields)}")
    path = folder / FILE_NAME
    if path.is_file():
        read_settings_file(path)
    document = tomlkit.parse(path.read_text(encoding="utf-8")) if path.is_file() else tomlkit.document()
    try:
        checked = Settings(**{**document.unwrap(), name: _split(info, value)})
    except ValidationError as error:
        raise _config_error(error, {**dict.fromkeys(document, str(path)), name: "the value given"}) from error
    plain = getattr(checked, name)
    if kind := BACKENDS.get(name):
        _check_scheme(name, plain, [*backends(kind), *(["none"] if name in MAY_BE_NONE else [])])
    if name == "secrets":
        _check_scheme(name, plain, [*SECRET_STORES, *backends("secret_stores")])
    if name == "llm":
        for url in LANGUAGE_MODEL_CHAIN.split(plain.strip()):
            _check_scheme(name, url, [*LANGUAGE_MODELS, *backends("language_models")])
    document[name] = list(plain) if isinstance(plain, tuple) else plain
    temporary = path.with_suffix(".toml.new")
    try:
        temporary.write_text(tomlkit.dumps(document), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror}", hint="check its permissions and free space"
        ) from error


def _check_scheme(name: str, url: str, known: Sequence[str]) -> None:
    """Refuses a URL no backend could open: it would keep the workspace from opening at all."""
    scheme, colon, _ = url.partition(":")
    if scheme.strip().lower() not in known or not (colon or scheme in PLAIN_NAMES):
        raise ConfigError(
            f"setting {name!r}: there is no backend for {without_password(url)!r}", hint=f"known: {', '.join(known)}"
        )


def _split(info: FieldInfo, value: str) -> Any:
    if isinstance(info.default, tuple):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _shown(value: object) -> str:
    if value is PydanticUndefined:
        return ""
    return ", ".join(map(without_password, value)) if isinstance(value, tuple) else without_password(str(value))


def _config_error(error: ValidationError, origins: Mapping[str, str]) -> ConfigError:
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else "?"
    where = origins.get(name, "default")
    if first["type"] == "extra_forbidden":
        return ConfigError(
            f"there is no setting {name!r} (in {where})",
            hint=f"delete that line; known: {', '.join(Settings.model_fields)}",
        )
    given = without_password(str(first.get("input")))
    problem = "it must be a list" if first["type"] == "tuple_type" else first["msg"].lower()
    return ConfigError(
        f"setting {name!r} in {where}: {problem}, not {given[:80]!r}",
        hint=f"run: intelforge config set {name} {shlex.quote(_shown(Settings.model_fields[name].default))}",
    )
