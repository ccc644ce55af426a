"""A provider on a loopback socket that speaks as OpenAI does and answers at once: what is left is the gateway's time.

    python provider.py PORT

Only the standard library, and no more work for a request than finding its end.
"""

import asyncio
import json
import sys

TEXT = "The quick brown fox jumps over the lazy dog."
PIECES = [TEXT[start : start + 5] for start in range(0, len(TEXT), 5)]
DIMENSIONS = 384
USAGE = {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}
ABOUT = {"id": "chatcmpl-1", "created": 1_700_000_000, "model": "test"}


def _reply(body: object) -> bytes:
    content = json.dumps(body).encode()
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: "
        + str(len(content)).encode()
        + b"\r\n\r\n"
        + content
    )


def _completion() -> bytes:
    message = {"role": "assistant", "content": TEXT}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return _reply({**ABOUT, "object": "chat.completion", "choices": [choice], "usage": USAGE})


def _stream() -> bytes:
    deltas: list[tuple[object, str | None]] = [*(({"content": piece}, None) for piece in PIECES), ({}, "stop")]
    chunks = [
        {
            **ABOUT,
            "object": "chat.completion.chunk",
            "choices": [{"index": 0, "delta": delta, "finish_reason": end}],
        }
        for delta, end in deltas
    ]
    chunks.append({**ABOUT, "object": "chat.completion.chunk", "choices": [], "usage": USAGE})
    lines = [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks] + [b"data: [DONE]\n\n"]
    body = b"".join(f"{len(line):x}\r\n".encode() + line + b"\r\n" for line in lines) + b"0\r\n\r\n"
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n" + body


def _embedding() -> bytes:
    vector = [0.05] * DIMENSIONS
    data = [{"object": "embedding", "index": 0, "embedding": vector}]
    return _reply({"object": "list", "data": data, "model": "test", "usage": USAGE})


COMPLETION, STREAM, EMBEDDING = _completion(), _stream(), _embedding()


class Provider(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            head = self._read[:end].lower()
            _, _, after = head.partition(b"content-length:")
            size = int(after.partition(b"\r\n")[0] or 0)
            if len(self._read) < end + 4 + size:
                return
            body, self._read = self._read[end + 4 : end + 4 + size], self._read[end + 4 + size :]
            if b"/embeddings" in head.partition(b"\r\n")[0]:
                self._transport.write(EMBEDDING)
            elif b'"stream":true' in body.replace(b" ", b""):
                self._transport.write(STREAM)
            else:
                self._transport.write(COMPLETION)


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", port)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
