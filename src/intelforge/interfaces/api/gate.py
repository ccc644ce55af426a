"""Who is let in: requests under a name of this server, and not more at once than it can answer."""

import re
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from intelforge.interfaces.api import errors

HEALTH: Final = "/healthz"
HOST: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\s:/?#@\[\]]+))(?::\d*)?", re.IGNORECASE)
"""a name, or an address of IPv6, and a port"""


@dataclass(slots=True)
class Gate:
    """An ASGI application before another. Whether the server is up is told however many it answers."""

    app: ASGIApp
    hosts: frozenset[str]
    """in lower case; any when empty"""
    most: int
    _inside: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif self.hosts and (name := host_of(scope)) not in self.hosts:
            await errors.respond(400, errors.body(400, _strange(name)))(scope, receive, send)
        elif self._inside >= self.most and scope["path"] != HEALTH:
            message = f"the server answers {self.most} requests already; try again"
            await errors.respond(503, errors.body(503, message), {"retry-after": "1"})(scope, receive, send)
        else:
            self._inside += 1
            try:
                await self.app(scope, receive, send)
            finally:
                self._inside -= 1


def host_of(scope: Scope) -> str:
    """The name by which the client calls the server, in lower case; empty when it gives none that makes sense."""
    given = b"".join(value for name, value in scope["headers"] if name == b"host")
    found = HOST.fullmatch(given.decode("latin-1"))
    return (found[1] or found[2]).lower() if found else ""


def _strange(name: str) -> str:
    hint = "call it localhost, or set INTELFORGE_API_KEY, with which it goes by any name"
    return f"this server does not go by the name {name[:60]!r}; {hint}"
