"""Writes the reference pages that are made from the code: `docs/cli.md` and `docs/configuration.md`.

Run `python scripts/docs.py` after changing a command, an output or a setting; a test fails until it is done.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

import typer
from pydantic import ConfigDict, TypeAdapter
from pydantic.fields import FieldInfo

from intelforge.core.errors import OUTCOMES
from intelforge.core.settings import ENV_PREFIX, Settings
from intelforge.core.settings_file import FILE_NAME
from intelforge.interfaces.cli.main import build_app
from intelforge.interfaces.cli.schema import OUTPUTS, ErrorOutput

DOCS = Path(__file__).resolve().parent.parent / "docs"
MADE = "<!-- Made by scripts/docs.py; edit the code, then run it again. -->"
MACHINE_DEFAULTS = {"workers": "number of processors, at most 8"}
"""defaults that differ from machine to machine"""

CLI_INTRODUCTION = f"""# Command line

{MADE}

Every command works on a workspace: the folder given with `--workspace`, or else the nearest folder upward that holds
`{FILE_NAME}`. `--workspace`, `--json` and `--debug` may stand before or after the command.

- Results go to standard output; progress bars, notes and errors go to standard error. Bars are drawn only when
  standard error is a terminal. `NO_COLOR=1` turns colours off.
- An error is one line: what happened and how to mend it. Its code decides the exit code (see the end of this page).
- A batch goes on past bad items: `sync` ends with 0 when single items failed (`status` has the reasons), with 1 when
  a source failed as a whole.
- Ctrl-C during `sync`, and during work on the whole index, stops after the running batch and says how to go on; a
  second one stops at once. Either way nothing is lost, and the exit code is 130. During `models bench` it cancels the
  running call and shows what was measured before. What else asks a model ends at once, and its call is cancelled.
- Tables fit a terminal of 80 columns: names fold, numbers never do. `--json` and `--csv` have what they leave out.
- Text from documents is shown as text only: control characters and markup in it have no effect.

## Output for programs

With `--json` a command prints exactly one JSON document, on one line, to standard output; `sync --watch` prints one
line for each sync. Each command below names the type of its document, and the schemas are in [Types](#types). A command
that fails prints [`ErrorOutput`](#erroroutput) instead.
"""

CONFIGURATION_INTRODUCTION = f"""# Configuration

{MADE}

A value is looked for in this order; the first one found wins:

1. a flag, where a command has one;
2. the environment: `{ENV_PREFIX}` and the name in capitals, for example `{ENV_PREFIX}EMBEDDER=none:`;
3. `{FILE_NAME}` in the workspace's folder;
4. the default.

`intelforge config show` prints every value and where it came from, `intelforge config show NAME` what one means;
`intelforge config set NAME VALUE` changes the file.
Paths are relative to the workspace's folder. In the file a list is a TOML array; on the command line and in the
environment its parts are separated by commas.
"""


def main() -> None:
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"wrote docs/{name}\n")


def pages() -> dict[str, str]:
    """The text of every page, by its name in `docs/`."""
    return {"cli.md": cli_page(), "configuration.md": configuration_page()}


def cli_page() -> str:
    parts = [CLI_INTRODUCTION, *(command_section(context) for context in commands())]
    parts += ["## Types\n", *(type_section(name, schema) for name, schema in output_schemas().items())]
    return "\n".join([*parts, exit_codes()])


def commands() -> Iterator[Any]:
    """The context of every command that does something, in the order of the help."""
    root = typer.main.get_command(build_app())
    yield from _below(root, typer.Context(root, info_name="intelforge"))


def _below(group: Any, context: Any) -> Iterator[Any]:
    for name, command in group.commands.items():
        inner = typer.Context(command, info_name=name, parent=context)
        if not hasattr(command, "commands"):
            yield inner
            continue
        if command.invoke_without_command:
            yield inner
        yield from _below(command, inner)


def words(context: Any) -> str:
    """`sources list` for the context of that command."""
    return str(context.command_path).removeprefix("intelforge ")


def command_section(context: Any) -> str:
    command = context.command
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    text, _, example = (command.help or "").partition("Example: ")
    records = [record for parameter in command.get_params(context) if (record := parameter.get_help_record(context))]
    output = OUTPUTS[words(context)].__name__
    return "\n".join(
        [
            f"## intelforge {words(context)}\n",
            f"{text.strip()}\n",
            f"```console\n$ {example.strip()}\n```\n",
            f"Usage: `{usage}`\n",
            *_table(("Argument or option", "Meaning"), [(f"`{name}`", meaning) for name, meaning in records]),
            f"\nWith `--json`: [`{output}`](#{output.lower()}).\n",
        ]
    )


def output_schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema of every type that can be printed, by name. All fields are always there, and no others."""
    described = ConfigDict(use_attribute_docstrings=True)
    kinds = dict.fromkeys([*OUTPUTS.values(), ErrorOutput])
    adapters = [(kind.__name__, "serialization", TypeAdapter(tuple[kind], config=described)) for kind in kinds]  # type: ignore[valid-type]
    _, schema = TypeAdapter.json_schemas(adapters)  # type: ignore[arg-type]
    return {name: _strict(definition) for name, definition in sorted(schema["$defs"].items())}


def _strict(definition: dict[str, Any]) -> dict[str, Any]:
    """A definition without what is said elsewhere, closed against fields it does not name."""
    if "properties" not in definition:
        return {key: value for key, value in definition.items() if key != "title"}
    properties = {
        name: {key: value for key, value in schema.items() if key not in {"title", "default"}}
        for name, schema in definition["properties"].items()
    }
    return {
        "description": definition.get("description", ""),
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def type_section(name: str, schema: Mapping[str, Any]) -> str:
    return f"### {name}\n\n```json\n{json.dumps(schema, indent=2)}\n```\n"


def exit_codes() -> str:
    rows = [
        (str(outcome.exit_code), f"`{code.value}`", "yes" if outcome.retryable else "")
        for code, outcome in OUTCOMES.items()
    ]
    return "\n".join(
        ["## Exit codes\n", "0 is success.\n", *_table(("Exit code", "Error", "Trying again can help"), rows), ""]
    )


def configuration_page() -> str:
    rows = [
        (f"`{name}`", type_name(info), default_text(name, info), info.description or "")
        for name, info in Settings.model_fields.items()
    ]
    return "\n".join([CONFIGURATION_INTRODUCTION, *_table(("Setting", "Type", "Default", "Meaning"), rows), ""])


def type_name(info: FieldInfo) -> str:
    """The type as someone who writes the file thinks of it, with its bounds."""
    names = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    kind = info.annotation
    if get_origin(kind) is tuple:
        return f"list of {names[get_args(kind)[0]]}"
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    bounds = [
        f"{sign} {getattr(rule, key)}" for rule in info.metadata for key, sign in signs.items() if hasattr(rule, key)
    ]
    return ", ".join([names[kind] if kind in names else str(kind), *bounds])


def default_text(name: str, info: FieldInfo) -> str:
    if name in MACHINE_DEFAULTS:
        return MACHINE_DEFAULTS[name]
    if isinstance(info.default, tuple):
        return ", ".join(f"`{part}`" for part in info.default) or "none"
    return f"`{info.default}`"


def _table(headers: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    lines = [headers, tuple("---" for _ in headers), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


if __name__ == "__main__":
    main()
