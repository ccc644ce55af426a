"""Commands that find and quote: `search`, `ask`, `show`."""

from pathlib import Path
from typing import Annotated

import typer

from intelforge.core.errors import InvalidInputError
from intelforge.core.search import SearchRequest
from intelforge.interfaces.cli.accounting import Run, Team, User, accounting
from intelforge.interfaces.cli.render import render_answer, render_shown, shown_text
from intelforge.interfaces.cli.render_search import render_search
from intelforge.interfaces.cli.schema import AskOutput, SearchOutput, ShowOutput
from intelforge.interfaces.cli.session import Session, command

Within = Annotated[str | None, typer.Option("--source", metavar="SOURCE", help="Only in this source (id or URI).")]


def register(app: typer.Typer) -> None:
    command(app)(search)
    command(app)(ask)
    command(app)(show)


def search(
    session: Session,
    query: Annotated[str, typer.Argument(metavar="QUERY", help="Words or a question.", show_default=False)] = "",
    *,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="How many hits at most.")] = 10,
    source: Within = None,
    like: Annotated[
        str | None, typer.Option("--like", metavar="DOCUMENT", help="Find what is like this document (id, path, URL).")
    ] = None,
    rerank: Annotated[
        bool, typer.Option("--rerank", metavar="", help="Take a closer look at the best, for half a second.")
    ] = False,
    diverse: Annotated[
        bool, typer.Option("--diverse", metavar="", help="Leave out what is much like a hit above it.")
    ] = False,
    facets: Annotated[
        bool, typer.Option("--facets", metavar="", help="Count documents by source, kind, language, type and tag.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", metavar="", help="Tell how each score came about, and how it was searched.")
    ] = False,
    cursor: Annotated[
        str | None, typer.Option("--cursor", metavar="TOKEN", help="Go on after the page that gave this token.")
    ] = None,
    user: User = "",
    team: Team = "",
    run: Run = "",
) -> None:
    """Find passages by words and by meaning. The best comes first; each has its place and a snippet.

    A query may hold "exact phrases", -words that must not be there, and fields: source: kind: lang: type: tag: path:
    since: until: quality:, each with a minus before it to leave out what it names. With --like, a query holds fields
    and -words only.

    Example: intelforge search 'retry "back off" lang:python path:src/** since:30d -test' --limit 5 --facets
    """
    request = SearchRequest(
        query=query,
        limit=limit,
        source=source,
        like=like,
        cursor=cursor,
        rerank=rerank,
        diverse=diverse,
        facets=facets,
        explain=explain,
    )
    result = session.use(lambda workspace: workspace.search(request, accounting=accounting(user, team, run)))
    session.show(SearchOutput.of(query, result), lambda: render_search(result, Path.cwd()))


def ask(
    session: Session,
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="The question, in quotes.")],
    *,
    source: Within = None,
    user: User = "",
    team: Team = "",
    run: Run = "",
) -> None:
    """Answer a question with citations. Every sentence names the lines it rests on, and quotes them.

    What a language model takes for it counts for the user, team and agent run that are named.

    Example: intelforge ask "How does asyncio.wait_for treat cancellation?" --user ann --team platform
    """
    answer = session.use(
        lambda workspace: workspace.ask(question, source=source, accounting=accounting(user, team, run)),
        doing="Answering",
    )
    output = AskOutput(found=answer.found, text=answer.text, answer=answer)
    session.show(output, lambda: render_answer(answer, Path.cwd()))


def show(
    session: Session,
    document: Annotated[
        str, typer.Argument(metavar="DOCUMENT", help="A document's id, path or URL.", show_default=False)
    ],
    span: Annotated[
        str | None, typer.Option(metavar="START:END", help="Only these characters, counted from 0; END is not in.")
    ] = None,
) -> None:
    """Show a stored document, or a span of it. This is what citations are checked against.

    Example: intelforge show docs/guide.md --span 120:260
    """
    bounds = parse_span(span) if span is not None else None
    shown = session.use(lambda workspace: workspace.show(document, span=bounds))
    session.show(ShowOutput(text=shown_text(shown), shown=shown), lambda: render_shown(shown, Path.cwd()))


def parse_span(span: str) -> tuple[int, int]:
    """`120:260` gives (120, 260). Raises InvalidInputError."""
    start, colon, end = span.partition(":")
    if not (colon and start.isdecimal() and end.isdecimal() and int(start) <= int(end)):
        raise InvalidInputError(f"{span!r} is not a span", hint="write START:END in characters, for example 120:260")
    return int(start), int(end)
