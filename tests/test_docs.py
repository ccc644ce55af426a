"""The reference pages say what the code does, all of it, today."""

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from intelforge.core.settings import Settings
from intelforge.interfaces.cli.schema import OUTPUTS

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def docs() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference_pages", ROOT / "scripts" / "docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["cli.md", "configuration.md"])
def test_page_is_what_the_code_gives(docs: ModuleType, name: str) -> None:
    stale = f"docs/{name} is stale: run python scripts/docs.py"
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == docs.pages()[name], stale


def test_every_command_has_a_sentence_an_example_and_an_output_type(docs: ModuleType) -> None:
    contexts = list(docs.commands())
    assert {docs.words(context) for context in contexts} == set(OUTPUTS)
    for context in contexts:
        text, _, example = context.command.help.partition("Example: ")
        assert text.strip().endswith("."), context.command_path
        assert example.strip().startswith("intelforge "), context.command_path


def test_every_argument_and_option_has_its_sentence(docs: ModuleType) -> None:
    for context in docs.commands():
        for parameter in context.command.get_params(context):
            assert parameter.help, f"{context.command_path}: {parameter.name}"


def test_every_setting_has_its_sentence() -> None:
    assert all((info.description or "").endswith(".") for info in Settings.model_fields.values())


def test_every_type_named_in_a_schema_is_documented(docs: ModuleType) -> None:
    page = docs.cli_page()
    named = {part.partition('"')[0] for part in page.split('"#/$defs/')[1:]}
    assert named
    assert all(f"\n### {name}\n" in page for name in named)


GROUPS = ("dev", "stores")
"""extras that are for developers, or that name other extras"""


def test_every_dependency_is_listed_with_its_licence() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [entry for name, each in project["optional-dependencies"].items() if name not in GROUPS for entry in each]
    wanted = {re.split(r"[>\[]", entry)[0] for entry in (*project["dependencies"], *extras)}
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    listed = {line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")} - {"package"}
    assert listed == wanted
