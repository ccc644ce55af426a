"""Commands for language models: what is known of them, what they can do, how fast they are, and which fits."""

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from intelforge.core.errors import InvalidInputError
from intelforge.core.model_reports import BenchReport, Preference
from intelforge.interfaces.cli.accounting import Run, Team, User, accounting
from intelforge.interfaces.cli.confirming import DryRun, Yes, confirm
from intelforge.interfaces.cli.files import write_file
from intelforge.interfaces.cli.model_files import as_csv, as_svg
from intelforge.interfaces.cli.model_tables import (
    render_bench,
    render_cards,
    render_profile,
    render_recommendation,
    render_similarity,
)
from intelforge.interfaces.cli.schema import CacheOutput, ModelCardsOutput
from intelforge.interfaces.cli.session import Session, command

Name = Annotated[str, typer.Argument(metavar="NAME", help="The model, as the setting llm takes it.")]
Names = Annotated[list[str], typer.Argument(metavar="NAME…", help="The models, as the setting llm takes them.")]


def register(models: typer.Typer) -> None:
    command(models, "facts")(facts)
    command(models, "recommend")(recommend)
    command(models, "probe")(probe)
    command(models, "bench")(bench)
    command(models, "similar")(similar)
    command(models, "forget")(forget)


def facts(
    session: Session,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME…", help="The models; else the workspace's own and all that were probed."),
    ] = None,
) -> None:
    """Show what is known of language models: context, prices, abilities, memory, and what a probe measured.

    Example: intelforge models facts openai:gpt-5 ollama:qwen3:8b
    """
    found = session.use(lambda workspace: workspace.models.cards(*(names or ())))
    session.show(ModelCardsOutput(models=tuple(found)), lambda: render_cards(found))


def recommend(
    session: Session,
    preference: Annotated[
        Preference, typer.Option("--for", help="What matters most; balance reads along as it is written.")
    ] = Preference.BALANCE,
    memory: Annotated[
        float | None, typer.Option(metavar="GB", help="Memory for the model; else what this machine can spare.")
    ] = None,
    tokens: Annotated[
        int, typer.Option("--context", metavar="TOKENS", help="Length of conversation to have room for.")
    ] = 8192,
) -> None:
    """Say which local model and quantisation fits this machine, with the table behind it. It needs no workspace.

    Example: intelforge models recommend --for quality
    """
    load = session.load()
    found = session.run(lambda: load.recommend_model(preference, memory_gb=memory, context=tokens))
    session.show(found, lambda: render_recommendation(found))


def probe(
    session: Session,
    name: Name,
    *,
    tokens: Annotated[
        int | None,
        typer.Option("--context", metavar="TOKENS", help="Longest prompt to try; 0 for none. Long ones take time."),
    ] = None,
    user: User = "",
    team: Team = "",
    run: Run = "",
) -> None:
    """Find out what a model can do, and keep it: about 20 short calls, which cost what they cost.

    It tries JSON schemas, tools, citations, refusals, speed, and how long a prompt may truly be.

    Example: intelforge models probe ollama:qwen3:8b
    """
    caller = accounting(user, team, run)
    profile = session.use_at_length(
        lambda workspace, display: workspace.models.probe(
            name, context=tokens, accounting=caller, report=display.report
        )
    )
    session.show(profile, lambda: render_profile(profile))


def bench(
    session: Session,
    names: Names,
    *,
    prompts: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Prompts, one a line as text or JSON; else a short built-in set."),
    ] = None,
    repeat: Annotated[int, typer.Option(metavar="N", help="How often each prompt is asked, each way.")] = 3,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write every call to this file.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Draw the models side by side.")] = None,
    user: User = "",
    team: Team = "",
    run: Run = "",
) -> None:
    """Measure how fast models answer: first token, whole reply, tokens a second, memory; streamed and whole.

    Ctrl-C cancels the running call and shows what was measured before.

    Example: intelforge models bench ollama:qwen3:8b ollama:gemma3:4b --plot speed.svg
    """
    if plot and plot.suffix.lower() != ".svg":
        raise InvalidInputError(f"{plot} is not an SVG file", hint="name it FILE.svg")

    def done(report: BenchReport) -> None:
        session.show(report, lambda: render_bench(report))  # first: a file that cannot be written must not cost it
        if csv:
            write_file(csv, as_csv(report.calls))
        if plot:
            write_file(plot, as_svg(report.models))

    caller = accounting(user, team, run)
    session.use_until_stopped(
        lambda workspace, display: workspace.models.bench(
            names, prompts=prompts, repeat=repeat, accounting=caller, report=display.report
        ),
        done,
        then=f"models bench {shlex.join(names)}",
        stopping="stopping; press Ctrl-C again to leave without what was measured",
        stopped="stopped; that is what was measured until then. Begin anew with",
    )


def similar(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Questions: one a line, as text or JSON, or .gz of it.")],
    *,
    user: User = "",
    team: Team = "",
    run: Run = "",
) -> None:
    """Measure on your own questions how often the response cache would take one for another, and keep that.

    Questions of one `group` have one answer; others should never be given each other's reply. No model is asked.

    Example: intelforge models similar questions.jsonl
    """
    caller = accounting(user, team, run)
    found = session.use(lambda workspace: workspace.models.check_similarity(file, accounting=caller), doing="Comparing")
    session.show(found, lambda: render_similarity(found))


def forget(session: Session, yes: Yes = False, dry_run: DryRun = False) -> None:
    """Forget all replies of language models that are kept in the response cache. They cost money again then.

    Example: intelforge models forget --dry-run
    """
    count = session.use(lambda workspace: workspace.models.clear_cache(dry_run=True))
    if not dry_run:
        confirm(session, f"Forget {_replies(count)}?", yes=yes)
        count = session.use(lambda workspace: workspace.models.clear_cache())
    said = f"{'Would forget' if dry_run else 'Forgot'} {_replies(count)}."
    session.show(CacheOutput(forgotten=count, done=not dry_run), lambda: Text(said))


def _replies(count: int) -> str:
    return f"{count:,} kept {'reply' if count == 1 else 'replies'}"
