"""Keys bound to their hosts: a provider's library never has the key, and no other host is ever sent it."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from typing import Final

import httpx2

from intelforge.core.errors import ErrorCode, ModelError
from intelforge.models.failures import Failure, failure
from intelforge.models.providers import COMPATIBLE, COMPATIBLE_KEY, PORTKEY_VIRTUAL_KEY
from intelforge.models.targets import Target
from intelforge.security.servers import server_key

NO_KEY: Final = "none"
"""given to libraries that insist on a key; it is taken out again"""
CREDENTIALS: Final = ("authorization", "x-api-key", "api-key", "x-goog-api-key", "x-portkey-api-key")
"""headers in which a library may send what it takes for a key"""

MOST_BYTES: Final = 32 << 20
"""of a reply, or of one piece of a stream: a server that never ends must not fill the memory"""
MOST_STREAMED: Final = 256 << 20
"""bytes of a stream, in which each token may take a kilobyte"""
_OF_PACKED: Final = (b"content-encoding", b"content-length", b"transfer-encoding")
"""headers that are not true of a reply once it is unpacked"""

SENDING: Final[ContextVar[list[str] | None]] = ContextVar("sending", default=None)
"""takes the host of each request that is sent, for who must know whether one was"""


def with_key(target: Target, secrets: Mapping[str, str], *, allow_hosts: Collection[str] = ()) -> Target:
    """The target with the key that its provider wants, or that there is for its server.

    Raises ModelError REFUSED when a provider's is missing, when it cannot be a key, or when a server's would go over
    plain http to another machine than those of `allow_hosts`.
    """
    if target.facts is COMPATIBLE:
        place = httpx2.URL(target.base_url)
        key = server_key(COMPATIBLE_KEY, place, secrets, allow_hosts=allow_hosts)
        return replace(target, key=_sendable(key, target.name, target.keys))
    if not target.keys:
        return target
    key = next((key for name in target.keys if (key := secrets.get(name, "").strip())), "")
    if not key:
        raise _missing(f"{target.name} needs a key, and {' or '.join(target.keys)} is not set", target.keys[0])
    return replace(target, key=_sendable(key, target.name, target.keys), headers=_portkey_headers(target, secrets))


def _sendable(key: str, model: str, names: Sequence[str]) -> str:
    """The key, if it may stand in a header: what was copied with its dots or quotes may not."""
    if key.isascii() and key.isprintable() and " " not in key:
        return key
    raise ModelError(
        f"the key for {model} has characters that no key has",
        hint=f"copy it once more into {' or '.join(names)}, without blanks, quotes and dots",
        code=ErrorCode.REFUSED,
    )


def _portkey_headers(target: Target, secrets: Mapping[str, str]) -> dict[str, str]:
    """`@PROVIDER/MODEL` says itself whose key is spent; for a plain name the virtual key must be there."""
    if target.provider != "portkey":
        return {}
    if target.model.startswith("@"):
        return {"x-portkey-provider": target.model.partition("/")[0]}
    virtual = secrets.get(PORTKEY_VIRTUAL_KEY, "").strip()
    if not virtual:
        problem = f"{target.name} does not say whose key is spent, and {PORTKEY_VIRTUAL_KEY} is not set"
        raise _missing(problem, PORTKEY_VIRTUAL_KEY, "write it as portkey:@PROVIDER/MODEL, or ")
    return {"x-portkey-virtual-key": _sendable(virtual, target.name, (PORTKEY_VIRTUAL_KEY,))}


def _missing(problem: str, name: str, otherwise: str = "") -> ModelError:
    hint = f"{otherwise}export {name}=…, or put it where the setting `secrets` says"
    return ModelError(problem, hint=hint, code=ErrorCode.REFUSED)


class KeyBoundTransport(httpx2.AsyncBaseTransport):
    """Sends through a client that others use too, with the key when the request goes to the host that it belongs to.

    Redirects are not followed. A reply of more than MOST_BYTES ends with ProviderError, a stream with more than that in
    one piece or more than MOST_STREAMED in all.
    """

    def __init__(
        self, client: httpx2.AsyncClient, origin: httpx2.URL, headers: Mapping[str, str], *, name: str
    ) -> None:
        """`name` is that of the model, for messages."""
        self._client = client
        self._name = name
        self._origin = _origin(origin)
        self._headers = dict(headers)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'://'.join(map(str, self._origin[:2]))})"

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        for name in CREDENTIALS:
            request.headers.pop(name, None)
        if _origin(request.url) == self._origin:
            request.headers.update(self._headers)
        if (sent := SENDING.get()) is not None:
            sent.append(request.url.host)
        response = await self._client.send(request, stream=True, auth=None, follow_redirects=False)
        if "content-encoding" in response.headers:
            response = _unpacked(response)
        if isinstance(response.stream, httpx2.AsyncByteStream):
            in_pieces = response.headers.get("content-type", "").startswith("text/event-stream")
            response.stream = _Bounded(response.stream, self._name, in_pieces=in_pieces)
        return response


def _unpacked(response: httpx2.Response) -> httpx2.Response:
    """The same, not compressed: what it becomes is what must not fill the memory."""
    headers = [(name, value) for name, value in response.headers.raw if name.lower() not in _OF_PACKED]
    return httpx2.Response(
        response.status_code, headers=headers, stream=_Unpacked(response), extensions=response.extensions
    )


class _Unpacked(httpx2.AsyncByteStream):
    def __init__(self, response: httpx2.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._response.aiter_bytes():
            yield part

    async def aclose(self) -> None:
        await self._response.aclose()


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, name: str, *, in_pieces: bool) -> None:
        self._stream = stream
        self._name = name
        self._in_pieces = in_pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        piece = total = 0
        async for part in self._stream:
            total += len(part)
            piece += len(part)
            if piece > MOST_BYTES or total > MOST_STREAMED:
                what = f"{MOST_STREAMED >> 20} MB" if piece < total else f"{MOST_BYTES >> 20} MB"
                problem = f"{self._name} sent more than {what} for one reply"
                raise failure(Failure.MALFORMED, problem, hint="check that its address is its API's")
            if self._in_pieces and (b"\n\n" in part or b"\r\n\r\n" in part):
                piece = 0
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


def bound_client(target: Target, client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """A client for one model's library. It need not be closed: the connections are those of the client given."""
    return httpx2.AsyncClient(
        transport=KeyBoundTransport(client, httpx2.URL(target.base_url), key_headers(target), name=target.name),
        trust_env=False,
        timeout=client.timeout,
    )


def key_headers(target: Target) -> dict[str, str]:
    """What is sent to the provider's host alone."""
    headers = dict(target.headers)
    if target.key and target.facts:
        headers[target.facts.header] = f"Bearer {target.key}" if target.facts.bearer else target.key
    return headers


def _origin(url: httpx2.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80)
