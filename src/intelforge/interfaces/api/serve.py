"""The HTTP server: the application on a socket, in one process or several."""

import ipaddress
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI

from intelforge.core.errors import ConfigError
from intelforge.interfaces.api.app import create_app
from intelforge.interfaces.api.backend import Backend

KEY: Final = "INTELFORGE_API_KEY"
"""The environment variable with the key that clients must bring."""
JOB: Final = "INTELFORGE_SERVE_JOB"
"""The environment variable by which the processes of one server know what to serve."""
LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "::1", "[::1]")
APPLICATION: Final = "intelforge.interfaces.api.serve:application"
GRACE_SECONDS: Final = 20
"""that running requests have when the server is stopped"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What to serve and where."""

    workspace: str | None
    """its folder; the nearest one when None"""
    host: str = "127.0.0.1"
    port: int = 8300
    workers: int = 1
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
                hint=f"export {KEY}=… (clients send it as a bearer token), or serve on 127.0.0.1",
            )


def serve(serving: Serving) -> None:
    """Serves until interrupted. Raises ConfigError for a server that anyone could use."""
    serving.check()
    os.environ[JOB] = json.dumps({name: value for name, value in asdict(serving).items() if name != "key"})
    os.environ[KEY] = serving.key
    uvicorn.run(
        APPLICATION,
        factory=True,
        host=serving.host,
        port=serving.port,
        workers=serving.workers,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def application() -> FastAPI:
    """The application that the environment describes: called once in each process."""
    serving = Serving(**json.loads(os.environ[JOB]), key=os.environ.get(KEY, ""))

    @asynccontextmanager
    async def opened() -> AsyncIterator[Backend]:
        from intelforge.workspace import Workspace  # slow: after the command line has been checked

        opening = Workspace.open(Path(serving.workspace) if serving.workspace else None)
        async with opening as workspace, workspace.costs.supervised():
            yield workspace.chatting

    return create_app(
        opened, key=serving.key, hosts=(*LOCAL_NAMES, serving.host) if serving.local and not serving.key else ()
    )
