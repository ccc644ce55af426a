"""One run of a command: its global options, its streams, and the way to the workspace."""

import contextlib
import dataclasses
import functools
import inspect
import json as json_format
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Concatenate, ParamSpec, TypeVar

import typer
from rich.console import Console, RenderableType

from intelforge.core.errors import ErrorCode, IntelForgeError
from intelforge.interfaces.cli.backend import Backend
from intelforge.interfaces.cli.interrupts import STOPPING, Interrupts
from intelforge.interfaces.cli.schema import plain

if TYPE_CHECKING:
    from intelforge.interfaces.cli.progress import ProgressDisplay
    from intelforge.workspace import Workspace

T = TypeVar("T")
P = ParamSpec("P")

GLOBAL = "Global options"

Folder = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        "-w",
        metavar="PATH",
        help="The workspace's folder; else the nearest one upward.",
        rich_help_panel=GLOBAL,
    ),
]
Json = Annotated[
    bool, typer.Option("--json", metavar="", help="Print one JSON document instead of text.", rich_help_panel=GLOBAL)
]
Debug = Annotated[
    bool, typer.Option("--debug", metavar="", help="Show the traceback of an error.", rich_help_panel=GLOBAL)
]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What a command handler is given: parse, call the workspace through it, show the result through it."""

    load: Callable[[], Backend]
    output: Console
    errors: Console
    folder: Path | None = None
    json: bool = False
    debug: bool = False

    def show(self, result: object, render: Callable[[], RenderableType]) -> None:
        """Prints a result: as one line of JSON, or rendered for reading."""
        if self.json:
            sys.stdout.write(json_format.dumps(plain(result)) + "\n")
            sys.stdout.flush()
        else:
            self.output.print(render(), crop=False)

    def say(self, message: str) -> None:
        """Tells the reader something beside the result."""
        self.errors.print(message, style="dim", soft_wrap=True)

    def command(self, words: str) -> str:
        """How to call another command on the same workspace."""
        return f"intelforge -w {self.folder} {words}" if self.folder else f"intelforge {words}"

    def open(self) -> "Workspace":
        return self.load().open(self.folder)

    def use(self, work: "Callable[[Workspace], Awaitable[T]]", *, doing: str = "") -> T:
        """Opens the workspace and awaits `work` on it. Ctrl-C cancels it. A terminal shows what it is `doing`."""

        async def opened() -> T:
            with self._waiting(doing):
                async with self.open() as workspace:
                    return await work(workspace)

        return self.run(opened)

    def use_at_length(self, work: "Callable[[Workspace, ProgressDisplay], Awaitable[T]]") -> T:
        """Like `use`, for long work: with progress bars."""
        return self.run(lambda: self._at_length(work))

    def use_until_stopped(
        self,
        work: "Callable[[Workspace, ProgressDisplay], Awaitable[T]]",
        show: Callable[[T], None] = lambda result: None,
        *,
        then: str,
        stopping: str = STOPPING,
        stopped: str = "stopped; nothing is lost. Go on with",
    ) -> None:
        """Like `use_at_length`, for work that stops cleanly: the first Ctrl-C asks the workspace to, with `stopping`.

        Once it has stopped, its result is shown, then what `stopped` says of it with the command `then`, and the
        process ends with the code of an interrupt.
        """
        interrupts = Interrupts(say=self.say, stopping=stopping)
        show(self.run(lambda: self._at_length(work, interrupts), interrupts=interrupts, then=then))
        if interrupts.stopped:
            self.say(f"{stopped}: {self.command(then)}")
            raise typer.Exit(130)

    def _waiting(self, doing: str) -> contextlib.AbstractContextManager[object]:
        if not doing or self.json or not self.errors.is_terminal:
            return contextlib.nullcontext()
        return self.errors.status(f"{doing} …", spinner="dots" if self.errors.encoding.startswith("utf") else "line")

    async def _at_length(
        self, work: "Callable[[Workspace, ProgressDisplay], Awaitable[T]]", interrupts: Interrupts | None = None
    ) -> T:
        from intelforge.interfaces.cli.progress import progress_bars  # only long work draws them

        async with self.open() as workspace:
            if interrupts:
                interrupts.stop = workspace.stop
            with progress_bars(self.errors, shown=not self.json) as display:
                return await work(workspace, display)

    def run(
        self, work: Callable[[], Awaitable[T]], *, interrupts: Interrupts | None = None, then: str | None = None
    ) -> T:
        """Runs asynchronous work to its end. Raises IntelForgeError (interrupted) when Ctrl-C cancels it."""
        import asyncio  # not for `--help`, which is to come at once

        watched = interrupts or Interrupts(say=self.say)

        async def main() -> T:
            with watched.watching():
                return await work()

        try:
            return asyncio.run(main())
        except (asyncio.CancelledError, KeyboardInterrupt) as error:
            hint = f"go on with: {self.command(then)}" if then else ""
            raise IntelForgeError("interrupted", hint=hint, code=ErrorCode.INTERRUPTED) from error


Handler = Callable[Concatenate[Session, P], None]


def command(app: typer.Typer, name: str | None = None) -> Callable[[Handler[P]], Handler[P]]:
    """Registers a handler as a command that takes the global options too, wherever they stand in the line."""

    def register(handler: Handler[P]) -> Handler[P]:
        summary = first_sentence(handler.__doc__ or "")
        app.command(name or handler.__name__, short_help=summary)(with_global_options(handler))
        return handler

    return register


def group(app: typer.Typer) -> Callable[[Callable[[Session], None]], None]:
    """Registers what a group of commands does when none of them is named."""

    def register(handler: Callable[[Session], None]) -> None:
        def called(context: typer.Context, folder: Folder = None, json: Json = False, debug: Debug = False) -> None:
            session = add_globals(context, folder=folder, json=json, debug=debug)
            if context.invoked_subcommand is None:
                with _interruptible():
                    handler(session)

        app.callback(invoke_without_command=True)(called)

    return register


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Raises IntelForgeError (interrupted) for Ctrl-C, at which the framework would end without a word."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise IntelForgeError("interrupted", code=ErrorCode.INTERRUPTED) from error


def first_sentence(text: str) -> str:
    """What a list of commands says of one: all of its first sentence, where the framework would cut it short."""
    paragraph, _, _ = text.partition("\n\n")
    sentence, _, _ = " ".join(paragraph.split()).partition(". ")
    return f"{sentence.rstrip('.')}."


def add_globals(context: typer.Context, *, folder: Path | None, json: bool, debug: bool) -> Session:
    """Adds the global options given at this place in the line to those given before it."""
    outer: Session = context.obj
    session = dataclasses.replace(
        outer, folder=folder or outer.folder, json=json or outer.json, debug=debug or outer.debug
    )
    context.obj = session
    return session


def with_global_options(handler: Callable[Concatenate[Session, P], None]) -> Callable[..., None]:
    """The handler with `--workspace`, `--json` and `--debug` added to what it takes."""

    @functools.wraps(handler)
    def called(
        context: typer.Context, folder: Folder, json: Json, debug: Debug, *own: P.args, **rest: P.kwargs
    ) -> None:
        with _interruptible():
            handler(add_globals(context, folder=folder, json=json, debug=debug), *own, **rest)

    own = list(inspect.signature(handler, eval_str=True).parameters.values())[1:]
    keyword = inspect.Parameter.KEYWORD_ONLY
    shared = [
        inspect.Parameter("folder", keyword, default=None, annotation=Folder),
        inspect.Parameter("json", keyword, default=False, annotation=Json),
        inspect.Parameter("debug", keyword, default=False, annotation=Debug),
    ]
    parameters = [
        inspect.Parameter("context", keyword, annotation=typer.Context),
        *(parameter.replace(kind=keyword) for parameter in own),
        *shared,
    ]
    called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return called
