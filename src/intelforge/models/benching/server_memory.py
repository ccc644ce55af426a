"""Memory of the local server that runs a model."""

import asyncio
import contextlib
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import psutil

from intelforge.core.errors import EgressError
from intelforge.models.targets import Target

GIGA: Final = 1e9
SECONDS: Final = 2.0
UNKNOWN: Final = (None, "")

Measured = tuple[float | None, str]
"""GB, and of what; None when it was not found."""


async def server_memory(target: Target, client: httpx2.AsyncClient) -> Measured:
    """What the server of a model on this machine takes: what Ollama tells, else the process that listens there."""
    if not target.local or not target.base_url:
        return UNKNOWN
    if target.provider == "ollama":
        told = await _ollama(target, client)
        if told[0] is not None:
            return told
    port = urlsplit(target.base_url).port
    return UNKNOWN if port is None else await asyncio.to_thread(process_memory, port)


async def _ollama(target: Target, client: httpx2.AsyncClient) -> Measured:
    try:
        reply = await client.get(f"{target.base_url.removesuffix('/v1')}/api/ps", timeout=SECONDS)
        rows: list[dict[str, Any]] = reply.raise_for_status().json()["models"]
        wanted = {target.model, f"{target.model}:latest"}
        row = next((row for row in rows if row.get("name") in wanted), None)
        return (int(row["size"]) / GIGA, "the model as Ollama holds it") if row else UNKNOWN
    except (httpx2.HTTPError, EgressError, ValueError, KeyError, TypeError, AttributeError):
        return UNKNOWN


def process_memory(port: int) -> Measured:
    """Resident memory of the process that listens on a port of this machine, and of its children."""
    owner = _listening(port)
    if owner is None:
        return UNKNOWN
    total = 0
    with contextlib.suppress(psutil.Error):
        for process in (owner, *owner.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
        return total / GIGA, f"the process {owner.name()}"
    return UNKNOWN


def _listening(port: int) -> psutil.Process | None:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return process
    return None
