"""Servers that a user names by an address: what each is called, and the key that is for it alone."""

import re
from collections.abc import Collection, Mapping
from typing import Final

import httpx2

from intelforge.core.errors import ErrorCode, ModelError
from intelforge.security.addresses import HostList, literal, refusal

_PORTS: Final = {"http": 80, "https": 443}
_VERSION: Final = re.compile(r"/v\d+$")


def server_name(place: httpx2.URL) -> str:
    """`gpu.lan:8000` for http://gpu.lan:8000/v1, `models.example.com/team` for https://models.example.com/team/v1.

    The port is left out where it is the usual one of https, the version of the API always.
    """
    port = "" if place.scheme == "https" and _port(place) == _PORTS["https"] else f":{_port(place)}"
    host = f"[{place.host}]" if ":" in place.host else place.host.lower()
    path = _VERSION.sub("", place.path.rstrip("/"))
    return f"{host}{port}{path}"


def key_variables(prefix: str, place: httpx2.URL) -> tuple[str, ...]:
    """The names that the key of a server goes by, the first before the second: with its port, and without."""
    host = re.sub(r"[^A-Z0-9]", "_", place.host.upper())
    return f"{prefix}_{host}_{_port(place)}", f"{prefix}_{host}"


def server_key(prefix: str, place: httpx2.URL, secrets: Mapping[str, str], *, allow_hosts: Collection[str]) -> str:
    """The key of a server, empty when there is none.

    Raises ModelError REFUSED when it would go over plain http to another machine than those of `allow_hosts`.
    """
    key = next((key for name in key_variables(prefix, place) if (key := secrets.get(name, "").strip())), "")
    if key and place.scheme != "https" and not _trusted(place, allow_hosts):
        raise ModelError(
            f"the key for {place.host} would go over plain http, where anyone on the way can read it",
            hint=f"write https://, or add {place.host} to the setting allow_hosts if it is on a network of your own",
            code=ErrorCode.REFUSED,
        )
    return key


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    address = literal(host)
    return host == "localhost" or bool(address and address.is_loopback)


def _trusted(place: httpx2.URL, allow_hosts: Collection[str]) -> bool:
    """This machine, or one that the user allowed, unless its address is plainly a public one."""
    address = literal(place.host)
    public = address is not None and refusal(address) is None
    return is_loopback(place.host) or (not public and (place.host, _port(place)) in HostList(allow_hosts))


def _port(place: httpx2.URL) -> int:
    return place.port or _PORTS.get(place.scheme, 0)
