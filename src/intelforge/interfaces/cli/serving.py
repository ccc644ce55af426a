"""The command that serves other programs: `serve`."""

from typing import Annotated

import typer

from intelforge.interfaces.cli.schema import ServeOutput
from intelforge.interfaces.cli.session import Session, command


def register(app: typer.Typer) -> None:
    command(app)(serve)


def serve(
    session: Session,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port to listen on; 0 for any that is free.")] = 8300,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that answer.")] = 1,
    requests: Annotated[int, typer.Option(min=1, help="Requests that each process answers at once.")] = 512,
) -> None:
    """Serve the models as OpenAI does: /v1/chat/completions, /v1/embeddings, /v1/models.

    On an address that other machines reach, INTELFORGE_API_KEY must be set; clients send it as their API key.

    Example: intelforge serve, then OpenAI(base_url="http://127.0.0.1:8300/v1", api_key="none")
    """
    # Slow to import: no other command needs a server.
    from intelforge.interfaces.api.serve import KEY, Serving, listen
    from intelforge.interfaces.api.serve import serve as serve_until_stopped

    workspace = session.open()
    folder, key = workspace.path, workspace.chatting.secret(KEY)
    serving = Serving(workspace=str(folder), host=host, port=port, workers=workers, requests=requests, key=key)
    listening = listen(serving)
    url = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}/v1"
    session.show(ServeOutput(url=url, workspace=str(folder)), lambda: f"Serving {folder} on {url} (Ctrl-C stops it)")
    serve_until_stopped(serving, listening)
