"""Asks an OpenAI-compatible server as fast as it answers, over connections that are kept open.

    python gateway_load.py URL KIND --model NAME --connections N --seconds S

Prints one JSON object: requests a second, and the time of each request. A wrong reply ends the run.
Only the standard library, so that asking takes little of the machine.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from itertools import count
from urllib.parse import urlsplit

KINDS = ("chat", "stream", "embeddings")
EXPECTED = {"chat": b"lazy dog", "stream": b"[DONE]", "embeddings": b'"embedding"'}
WARM_UP_SECONDS = 3.0


class Asker:
    """One connection, asking again as soon as it is answered."""

    def __init__(self, url: str, kind: str, model: str, key: str, numbers: "count[int]") -> None:
        place = urlsplit(url)
        self._host, self._port = place.hostname or "", place.port or 80
        self._path = f"{place.path}/{'embeddings' if kind == 'embeddings' else 'chat/completions'}"
        self._kind, self._model, self._key, self._numbers = kind, model, key, numbers
        self.seconds: list[tuple[float, float]] = []
        """when each request ended, and how long it took"""

    async def run(self, until: float) -> None:
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=1 << 22)
        try:
            while time.perf_counter() < until:
                began = time.perf_counter()
                writer.write(self._request())
                body = await self._reply(reader)
                ended = time.perf_counter()
                if EXPECTED[self._kind] not in body:
                    raise RuntimeError(f"a wrong reply: {body[:300]!r}")
                self.seconds.append((ended, ended - began))
        finally:
            writer.close()

    def _request(self) -> bytes:
        words = f"Question {next(self._numbers)}: what does the fox do?"  # never the same, so no cache can answer
        content: dict[str, object] = {"model": self._model}
        if self._kind == "embeddings":
            content |= {"input": words, "encoding_format": "float"}
        else:
            content |= {"messages": [{"role": "user", "content": words}], "stream": self._kind == "stream"}
        body = json.dumps(content).encode()
        head = (
            f"POST {self._path} HTTP/1.1\r\nhost: {self._host}:{self._port}\r\nauthorization: Bearer {self._key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    async def _reply(self, reader: asyncio.StreamReader) -> bytes:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(f"a wrong reply: {head!r} {await reader.read(2000)!r}")
        if b"chunked" in head:
            return await _chunked(reader)
        size = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        return await reader.readexactly(size)


async def _chunked(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        parts.append((await reader.readexactly(size + 2))[:-2])
    await reader.readexactly(2)
    return b"".join(parts)


async def load(url: str, kind: str, *, model: str, key: str, connections: int, seconds: float) -> dict[str, object]:
    """Requests a second and seconds of each request, after a warm-up that is not counted."""
    numbers = count()
    began = time.perf_counter() + WARM_UP_SECONDS
    askers = [Asker(url, kind, model, key, numbers) for _ in range(connections)]
    await asyncio.gather(*(asker.run(began + seconds) for asker in askers))
    told = [took for asker in askers for ended, took in asker.seconds if ended >= began]
    return {"requests": len(told), "per_second": len(told) / seconds, "seconds": told}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Asks an OpenAI-compatible server as fast as it answers.")
    parser.add_argument("url", metavar="URL", help="up to and with /v1")
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--model", default="test")
    parser.add_argument("--key", default="none")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = vars(parser.parse_args(arguments))
    print(json.dumps(asyncio.run(load(options.pop("url"), options.pop("kind"), **options))))


if __name__ == "__main__":
    main()
