"""The commands put together, and how the process ends."""

import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer
from rich.console import Console

from intelforge import __version__
from intelforge.interfaces.cli import (
    answering,
    costs,
    demo,
    diagnosis,
    indexing,
    routing,
    serving,
    setup,
    sources,
    syncing,
)
from intelforge.interfaces.cli.backend import Backend, load_backend
from intelforge.interfaces.cli.errors import report_error
from intelforge.interfaces.cli.session import Debug, Folder, Json, Session, add_globals

HELP = """Ask your own folders, repositories and pages, and check every answer to the character.

Begin with: intelforge init, add PATH_OR_URL, sync, then ask "…". Or see it work: intelforge demo
"""


def build_app() -> typer.Typer:
    """The whole command line, in the order in which a new user needs it."""
    app = typer.Typer(help=HELP, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.callback(invoke_without_command=True)(_root)
    setup.register_init(app)
    sources.register(app)
    syncing.register(app)
    answering.register(app)
    setup.register(app)
    indexing.register(app)
    costs.register(app)
    routing.register(app)
    serving.register(app)
    diagnosis.register(app)
    demo.register(app)
    return app


def run(arguments: Sequence[str], load: Callable[[], Backend] = load_backend) -> int:
    """Runs one command line and gives its exit code; nothing but what it prints leaves it."""
    _never_fail_on_encoding()
    session = Session(load=load, output=_console(), errors=_console(stderr=True))
    try:
        code = build_app()(list(arguments), standalone_mode=False, obj=session, prog_name="intelforge")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except typer.Abort:
        return report_error(KeyboardInterrupt(), arguments)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    except BaseException as error:  # noqa: BLE001  the process ends here, with one line
        return report_error(error, arguments)
    return code if isinstance(code, int) else 0


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", metavar="", help="Print the version.", is_eager=True, callback=_version)
    ] = False,
    folder: Folder = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    add_globals(context, folder=folder, json=json, debug=debug)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _console(*, stderr: bool = False) -> Console:
    """A stream on which text is only ever text: what documents hold is never taken for markup."""
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False)


def _never_fail_on_encoding() -> None:
    """A terminal that cannot show a character shows a substitute."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
