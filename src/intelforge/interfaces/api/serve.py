"""The HTTP server: the application on a socket, in one process or several."""

import ipaddress
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from intelforge.core.errors import BackendError, ConfigError, ErrorCode
from intelforge.interfaces.api.app import create_app
from intelforge.interfaces.api.backend import Backend
from intelforge.interfaces.api.connection import Connection
from intelforge.interfaces.api.limits import MOST_REQUESTS, Limits
from intelforge.interfaces.api.parent import stop_with_parent
from intelforge.interfaces.api.start import looking

KEY: Final = "INTELFORGE_API_KEY"
"""The name of the secret that clients must bring; the processes of one server have it as an environment variable."""
JOB: Final = "INTELFORGE_SERVE_JOB"
"""The environment variable by which the processes of one server know what to serve."""
LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "::1")
APPLICATION: Final = "intelforge.interfaces.api.serve:application"
GRACE_SECONDS: Final = 20
"""that running requests have when the server is stopped"""
BACKLOG: Final = 2048
"""connections that wait until they are taken"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What to serve and where."""

    workspace: str | None
    """its folder; the nearest one when None"""
    host: str = "127.0.0.1"
    port: int = 8300
    workers: int = 1
    requests: int = MOST_REQUESTS
    """answered at once by each worker"""
    key: str = field(default="", repr=False)

    @property
    def local(self) -> bool:
        """Whether only programs of this machine reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def check(self) -> None:
        """Raises ConfigError for a server that anyone could use."""
        if not (self.local or self.key):
            raise ConfigError(
                f"{self.host} is reached from other machines, and {KEY} is not set",
                hint=f"export {KEY}=…, or put it where the setting `secrets` says (clients send it as a bearer token); "
                "or serve on 127.0.0.1",
            )


def listen(serving: Serving) -> socket.socket:
    """The socket at which clients wait from now on, until they are served.

    Raises ConfigError for a server that anyone could use, BackendError when the address cannot be listened on.
    """
    serving.check()
    listening = socket.socket(socket.AF_INET6 if ":" in serving.host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((serving.host, serving.port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise BackendError(
            f"{serving.host}:{serving.port} cannot be listened on ({error.strerror or error})",
            hint="choose another: --port 8301",
            code=ErrorCode.UNREACHABLE,
        ) from error
    return listening


def serve(serving: Serving, listening: socket.socket) -> None:
    """Serves until interrupted, and closes the socket."""
    os.environ[JOB] = json.dumps({name: value for name, value in asdict(serving).items() if name != "key"})
    os.environ[KEY] = serving.key
    config = uvicorn.Config(
        APPLICATION,
        factory=True,
        http=Connection,
        ws="none",
        workers=serving.workers,
        backlog=BACKLOG,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    with listening, suppress(KeyboardInterrupt):
        if serving.workers == 1:
            uvicorn.Server(config).run([listening])
        else:
            Multiprocess(config, [listening]).run()


def application() -> FastAPI:
    """The application that the environment describes: called once in each process."""
    serving = Serving(**json.loads(os.environ[JOB]), key=os.environ.get(KEY, ""))

    @asynccontextmanager
    async def opened() -> AsyncIterator[Backend]:
        from intelforge.workspace import Workspace  # slow: after the command line has been checked

        stop_with_parent()
        opening = Workspace.open(Path(serving.workspace) if serving.workspace else None)
        async with opening as workspace, workspace.costs.supervised(), looking(workspace.chatting.unwell):
            yield workspace.chatting

    return create_app(
        opened,
        key=serving.key,
        hosts=(*LOCAL_NAMES, serving.host) if serving.local and not serving.key else (),
        limits=Limits(requests=serving.requests),
    )
