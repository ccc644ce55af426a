"""Commands that prepare a workspace: `init`, `config`, `models`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from intelforge.core.errors import InvalidInputError, NotFoundError
from intelforge.core.model_reports import ModelInfo
from intelforge.interfaces.cli import catalogue
from intelforge.interfaces.cli import models as language_models
from intelforge.interfaces.cli.sanitize import one_line
from intelforge.interfaces.cli.schema import InitOutput, ModelsOutput, SettingsOutput
from intelforge.interfaces.cli.session import Session, command, first_sentence, group
from intelforge.interfaces.cli.tables import render_meanings, render_models, render_settings

DEFAULT_MODEL = "all-MiniLM-L6-v2"
CONFIG_HELP = """Show and change settings. Without a further word, show them.

Example: intelforge config
"""
MODELS_HELP = """Fetch embedding models; check, look up, measure and choose language models.

Without a further word, list embedding models.

Example: intelforge models
"""


def register_init(app: typer.Typer) -> None:
    command(app)(init)


def register(app: typer.Typer) -> None:
    config = typer.Typer(help=CONFIG_HELP, short_help=first_sentence(CONFIG_HELP))
    group(config)(list_settings)
    command(config, "show")(show_settings)
    command(config, "set")(set_setting)
    app.add_typer(config, name="config")
    models = typer.Typer(help=MODELS_HELP, short_help=first_sentence(MODELS_HELP))
    group(models)(list_models)
    command(models, "list")(list_models)
    command(models, "pull")(pull)
    language_models.register(models)
    catalogue.register(models)
    app.add_typer(models, name="models")


def init(
    session: Session,
    path: Annotated[
        Path | None,
        typer.Argument(metavar="PATH", help="The folder that becomes a workspace; else the working directory."),
    ] = None,
) -> None:
    """Make a folder a workspace. Its settings are written to intelforge.toml in it.

    Example: intelforge init ~/knowledge
    """
    if path and session.folder:
        raise InvalidInputError("two folders are named", hint="give PATH or --workspace, not both")
    folder = session.load().init(session.folder or path or Path())
    session.show(
        InitOutput(path=str(folder)),
        lambda: Text(f"Workspace ready: {one_line(str(folder))}\nNext: intelforge add PATH_OR_URL"),
    )


def list_settings(session: Session) -> None:
    settings = session.open().settings()
    session.show(SettingsOutput(settings=tuple(settings)), lambda: render_settings(settings, Path.cwd()))


def show_settings(
    session: Session,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME…", help="These settings, with what they mean; else all.")
    ] = None,
) -> None:
    """Show settings, their values and their origins. Secrets are never shown.

    Example: intelforge config show llm llm_timeout
    """
    if not names:
        list_settings(session)
        return
    known = {setting.name: setting for setting in session.open().settings()}
    if unknown := [name for name in names if name not in known]:
        raise NotFoundError(f"there is no setting {unknown[0]!r}", hint="see: intelforge config show")
    settings = [known[name] for name in names]
    session.show(SettingsOutput(settings=tuple(settings)), lambda: render_meanings(settings, Path.cwd()))


def set_setting(
    session: Session,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The setting; config show lists all.", show_default=False)
    ],
    value: Annotated[
        str, typer.Argument(metavar="VALUE", help="Its new value; lists are separated by commas.", show_default=False)
    ],
) -> None:
    """Set one value in intelforge.toml. Comments in the file are kept.

    Example: intelforge config set embedder none:
    """
    backend = session.load()
    folder = backend.find_workspace(session.folder or Path.cwd())
    backend.write_setting(folder, name, value)
    settings = [setting for setting in backend.open(folder).settings() if setting.name == name]
    session.show(SettingsOutput(settings=tuple(settings)), lambda: render_settings(settings, Path.cwd()))


def list_models(session: Session) -> None:
    """List embedding models. It says which of them have their weights here.

    Example: intelforge models list
    """
    models = session.load().list_models()
    session.show(ModelsOutput(models=tuple(models)), lambda: render_models(models))


def pull(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The model; models list names them.")] = DEFAULT_MODEL,
) -> None:
    """Fetch the weights of an embedding model. They must have the known SHA-256. What is here already is
    not fetched again.

    Example: intelforge models pull all-MiniLM-L6-v2
    """
    backend = session.load()
    known = [model.name for model in backend.list_models()]
    if name not in known:
        raise NotFoundError(f"there is no model {name!r}", hint=f"known: {', '.join(known)}")

    async def pulled() -> ModelInfo:
        from intelforge.interfaces.cli.progress import progress_bars  # only long work draws them

        with progress_bars(session.errors, shown=not session.json, title="Fetching") as display:
            return await backend.pull_model(name, report=display.report)

    model = session.run(pulled, then=f"models pull {name}")
    session.show(ModelsOutput(models=(model,)), lambda: render_models([model]))
