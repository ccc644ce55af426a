"""One connection of a client, which may neither send nor read so slowly that it is held open for nothing."""

import asyncio
import json
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from intelforge.interfaces.api import errors


class Connection(HttpToolsProtocol):
    """Uvicorn's, with limits of time and size that it does not have. A handler learns of their end as of a client's."""

    head_bytes: ClassVar[int] = 64 * 1024
    """of a request: its line and its headers"""
    head_seconds: ClassVar[float] = 30.0
    """until the head of a request is there, or the rest of a body that nobody reads"""
    stall_seconds: ClassVar[float] = 60.0
    """in which a client must read something of what waits for it"""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._sending: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None
        self._head = 0
        """bytes that came while the head was not whole"""
        self._in_head = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_rest()

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest_came()
        self._stop_watching()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._head = self._head + len(data) if self._in_head else 0
        if self._head > self.head_bytes and not self.transport.is_closing():
            self.send_400_response(f"the head of the request is larger than {self.head_bytes} bytes; send less")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._wait_for_rest()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._rest_came()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._rest_came()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if self.cycle.more_body:
            self._wait_for_rest()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """In OpenAI's form."""
        body = json.dumps(errors.body(400, msg)).encode()
        head = f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n" + head.encode() + body)
        self.transport.close()
        self._watch()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._watch()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        self._stop_watching()
        super().resume_writing()

    def _wait_for_rest(self) -> None:
        if self._sending is None:
            self._sending = self.loop.call_later(self.head_seconds, self.transport.abort)

    def _rest_came(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def _watch(self) -> None:
        """Looks again later whether the client has read anything of what waits for it."""
        self._stop_watching()
        if waiting := self.transport.get_write_buffer_size():
            self._reading = self.loop.call_later(self.stall_seconds, self._look, waiting)

    def _look(self, waited: int) -> None:
        if self.transport.get_write_buffer_size() >= waited:
            self.transport.abort()
        else:
            self._watch()

    def _stop_watching(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
