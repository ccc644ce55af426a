"""Keys bound to their hosts: a provider's library never has the key, and no other host is ever sent it."""

from collections.abc import Mapping
from typing import Final

import httpx2

from intelforge.models.targets import Target

NO_KEY: Final = "none"
"""given to libraries that insist on a key; it is taken out again"""
CREDENTIALS: Final = ("authorization", "x-api-key", "api-key", "x-goog-api-key", "x-portkey-api-key")
"""headers in which a library may send what it takes for a key"""


class KeyBoundTransport(httpx2.AsyncBaseTransport):
    """Sends through a client that others use too, with the key when the request goes to the host that it belongs to.

    Redirects are not followed.
    """

    def __init__(self, client: httpx2.AsyncClient, origin: httpx2.URL, headers: Mapping[str, str]) -> None:
        self._client = client
        self._origin = _origin(origin)
        self._headers = dict(headers)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'://'.join(map(str, self._origin[:2]))})"

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        for name in CREDENTIALS:
            request.headers.pop(name, None)
        if _origin(request.url) == self._origin:
            request.headers.update(self._headers)
        return await self._client.send(request, stream=True, auth=None, follow_redirects=False)


def bound_client(target: Target, client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """A client for one model's library. It need not be closed: the connections are those of the client given."""
    return httpx2.AsyncClient(
        transport=KeyBoundTransport(client, httpx2.URL(target.base_url), key_headers(target)),
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
