"""The command that serves other programs: `serve`."""

import os
import socket
from typing import Annotated

import typer

from intelforge.core.errors import BackendError, ErrorCode
from intelforge.interfaces.cli.schema import ServeOutput
from intelforge.interfaces.cli.session import Session, command


def register(app: typer.Typer) -> None:
    command(app)(serve)


def serve(
    session: Session,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 8300,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that answer.")] = 1,
) -> None:
    """Serve the models as OpenAI does: /v1/chat/completions, /v1/embeddings, /v1/models.

    On an address that other machines reach, INTELFORGE_API_KEY must be set; clients send it as their API key.

    Example: intelforge serve, then OpenAI(base_url="http://127.0.0.1:8300/v1", api_key="none")
    """
    # Slow to import: no other command needs a server.
    from intelforge.interfaces.api.serve import KEY, Serving
    from intelforge.interfaces.api.serve import serve as serve_until_stopped

    folder = session.open().path
    serving = Serving(workspace=str(folder), host=host, port=port, workers=workers, key=os.environ.get(KEY, "").strip())
    serving.check()
    _check_free(host, port)
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
    session.show(ServeOutput(url=url, workspace=str(folder)), lambda: f"Serving {folder} on {url} (Ctrl-C stops it)")
    serve_until_stopped(serving)


def _check_free(host: str, port: int) -> None:
    """Raises BackendError when the address cannot be listened on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise BackendError(
                f"{host}:{port} cannot be listened on ({error.strerror or error})",
                hint="choose another: --port 8301",
                code=ErrorCode.UNREACHABLE,
            ) from error
