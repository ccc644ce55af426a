"""The one guarded way out: http and https to vetted addresses, with caps on size, time and redirects."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpcore2
import httpx2

from intelforge.core.errors import EgressError, ErrorCode
from intelforge.security.addresses import HostList, canonical_host, literal, refusal
from intelforge.security.transport import VettedTransport

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Gives the addresses of a host name; raises OSError when there are none."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SAFE_ELSEWHERE = frozenset({"accept", "accept-language", "if-none-match", "if-modified-since", "user-agent"})
"""headers that may follow a redirect to another origin: none that could carry a secret"""
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What a fetch brought. `url` is the last one after redirects; header names are in lower case."""

    url: str
    status: int
    """2xx or 304"""
    headers: Mapping[str, str]
    body: bytes
    """after content decoding; empty for 304"""


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """The addresses the operating system gives, in its order of preference."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Egress:
    """Fetches URLs and makes HTTP clients whose every connection goes to a vetted address.

    A host is resolved once; if any of its addresses is not public the connection is refused, unless the host is in
    `allow_hosts` (`host` or `host:port`). Proxy settings of the environment are not used.
    """

    def __init__(
        self,
        *,
        allow_hosts: Collection[str] = (),
        timeout: float = 20.0,
        max_redirects: int = 5,
        resolve: Resolve = system_resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`timeout` is for a whole fetch, in seconds; `tls` replaces the system's trust store."""
        self._hosts = frozenset(allow_hosts)
        self._allowed = HostList(self._hosts)
        self._timeout = timeout
        self._max_redirects = max_redirects
        self._resolve = resolve
        self._tls = tls
        self._client: httpx2.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        client, self._client = self._client, None
        if client:
            await client.aclose()

    def transport(self, *, apart: bool = False) -> httpx2.AsyncBaseTransport:
        """A transport that vets every connection; it belongs to the client it is given to. `apart`: see `client`."""
        # Reading the trust store takes tens of milliseconds: done once, and only when something is to leave.
        self._tls = self._tls or httpcore2.default_ssl_context()
        return VettedTransport(self.vet, self._tls, apart=apart)

    def client(self, *, timeout: float | None = None, apart: bool = False) -> httpx2.AsyncClient:
        """A client for streaming and for the libraries of model providers; the caller closes it.

        `timeout` is in seconds for each of connecting, reading and writing. A refused host raises EgressError,
        other failures are httpx2's own. Redirects are followed only when the request asks for it, each one vetted.
        A client for few hosts may keep their connections `apart`: when one stalls, the others are still reached.
        """
        return httpx2.AsyncClient(
            transport=self.transport(apart=apart),
            trust_env=False,
            timeout=self._timeout if timeout is None else timeout,
            max_redirects=self._max_redirects,
        )

    def allow(self, *hosts: str) -> None:
        """Adds hosts (`host` or `host:port`) that the user named, whatever their addresses."""
        self._hosts |= {*hosts}
        self._allowed = HostList(self._hosts)

    def allows(self, host: str, port: int) -> bool:
        """Whether the workspace allows the host whatever its address."""
        return (canonical_host(host), port) in self._allowed

    async def vet(self, host: str, port: int) -> tuple[str, ...]:
        """The addresses that may be connected to for this host and port.

        Raises EgressError: BLOCKED when any of them is not public and the host is not allowed, UNREACHABLE when the
        name is not known.
        """
        name = canonical_host(host)
        addresses = (name,) if literal(name) else await self._look_up(name, port)
        if not self.allows(name, port):
            for address in addresses:
                _check_public(name, address)
        return addresses

    async def _look_up(self, name: str, port: int) -> tuple[str, ...]:
        try:
            addresses = tuple(await self._resolve(name, port))
        except (OSError, UnicodeError) as error:
            raise _unknown_host(name) from error
        if not addresses:
            raise _unknown_host(name)
        return addresses

    async def fetch(self, url: str, *, max_bytes: int, headers: Mapping[str, str] | None = None) -> Fetched:
        """GETs the URL, following redirects; at most `max_bytes` of body after decompression.

        Conditional headers may be given; the answer then may have status 304. Raises EgressError: NOT_FOUND for 404
        and 410, REFUSED, UNREACHABLE (also 429 and 5xx), BLOCKED, UNTRUSTED, TOO_LARGE, TIMED_OUT. Messages never
        hold user information or the query of a URL.
        """
        shown = shown_url(url)
        try:
            async with asyncio.timeout(self._timeout):
                return await self._follow(_checked_url(url), max_bytes, dict(headers or {}))
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise EgressError(
                f"{shown} did not answer within {self._timeout:g} s",
                hint="try again, or raise web_timeout",
                code=ErrorCode.TIMED_OUT,
            ) from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise _translated(shown, error) from error

    async def _follow(self, url: httpx2.URL, max_bytes: int, headers: dict[str, str]) -> Fetched:
        client = self._client = self._client or self.client()
        for _ in range(self._max_redirects + 1):
            request = client.build_request("GET", url, headers=headers)
            response = await client.send(request, stream=True)
            try:
                if response.status_code not in _REDIRECTS or "location" not in response.headers:
                    return await _read(response, max_bytes)
            finally:
                await response.aclose()
            target = _checked_url(str(url.join(response.headers["location"])))
            if _origin(target) != _origin(url):
                headers = {name: value for name, value in headers.items() if name.lower() in _SAFE_ELSEWHERE}
            url = target
        raise EgressError(
            f"{shown_url(str(url))} is behind more than {self._max_redirects} redirects",
            hint="check the address, or raise web_max_redirects",
            code=ErrorCode.REFUSED,
        )


async def _read(response: httpx2.Response, max_bytes: int) -> Fetched:
    shown = shown_url(str(response.request.url))
    if response.status_code >= 300 and response.status_code != 304:
        raise _status_error(shown, response.status_code)
    too_large = EgressError(
        f"{shown} is larger than {max_bytes / 1e6:g} MB", hint="raise max_file_mb", code=ErrorCode.TOO_LARGE
    )
    declared = response.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > max_bytes:
        raise too_large
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) > max_bytes:
            raise too_large
    return Fetched(
        url=str(response.request.url),
        status=response.status_code,
        headers={name.lower(): value for name, value in response.headers.items()},
        body=bytes(body),
    )


def shown_url(url: str) -> str:
    """The URL as it may be shown: without user information, query and fragment, cut after 200 characters."""
    scheme, separator, rest = url.partition("://") if "://" in url else ("", "", url)
    place = rest.partition("#")[0].partition("?")[0]
    authority, slash, path = place.partition("/")
    return f"{scheme[:20]}{separator}{authority.rpartition('@')[2]}{slash}{path}"[:200]


def _checked_url(text: str) -> httpx2.URL:
    """The URL with its host in canonical spelling. Raises EgressError for what must not be fetched."""
    try:
        url = httpx2.URL(text)
    except httpx2.InvalidURL as error:
        raise EgressError(
            f"{shown_url(text)!r} is not a valid URL", hint="check its spelling", code=ErrorCode.BLOCKED
        ) from error
    if url.scheme not in _PORTS or not url.host:
        raise EgressError(
            f"{shown_url(text)!r} is not fetched", hint="use an http or https URL", code=ErrorCode.BLOCKED
        )
    if url.userinfo:
        raise EgressError(
            f"{shown_url(text)} is given with a user name or password",
            hint="leave them out of the URL",
            code=ErrorCode.BLOCKED,
        )
    return url.copy_with(host=canonical_host(url.raw_host.decode("ascii")), fragment=None)


def _origin(url: httpx2.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or _PORTS[url.scheme]


def _check_public(name: str, address: str) -> None:
    parsed = literal(address)
    reason = refusal(parsed) if parsed else "not an address"
    if reason:
        where = name if name == address else f"{name} ({address})"
        raise EgressError(
            f"{where} is {reason}, which is not reached",
            hint=f"if it is meant, add {name} to the setting allow_hosts",
            code=ErrorCode.BLOCKED,
        )


def _unknown_host(name: str) -> EgressError:
    return EgressError(f"the host {name} is not known", hint="check its spelling and your connection")


def _status_error(shown: str, status: int) -> EgressError:
    if status in {404, 410}:
        return EgressError(f"{shown} is not there (HTTP {status})", hint="check the address", code=ErrorCode.NOT_FOUND)
    if status in {401, 403}:
        return EgressError(
            f"{shown} may not be read (HTTP {status})", hint="it asks to sign in", code=ErrorCode.REFUSED
        )
    if status == 429 or status >= 500:
        return EgressError(f"{shown} answered HTTP {status}", hint="try again later")
    return EgressError(f"{shown} answered HTTP {status}", hint="check the address", code=ErrorCode.REFUSED)


def _translated(shown: str, error: Exception) -> EgressError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            reason = getattr(cause, "verify_message", "") or cause.reason or "handshake failed"
            return EgressError(
                f"{shown} cannot be trusted: {reason}",
                hint="check the certificate of the site, or the clock of this machine",
                code=ErrorCode.UNTRUSTED,
            )
        cause = cause.__cause__ or cause.__context__
    return EgressError(
        f"{shown} cannot be reached: {type(error).__name__}", hint="check the address and your connection"
    )
