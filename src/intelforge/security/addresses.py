"""Which hosts and addresses may be reached: public unicast ones, and nothing that leads back inside.

The networks are those of the IANA special-purpose address registries (RFC 6890 and its successors). The table is our
own because `ipaddress.is_global` differs between Python releases and lets embedded IPv4 addresses through.
"""

import ipaddress
import re
from collections.abc import Iterable

from intelforge.core.errors import ConfigError, EgressError, ErrorCode

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_REFUSED = tuple(
    (ipaddress.ip_network(network), reason)
    for network, reason in (
        ("0.0.0.0/8", "an unspecified address"),
        ("10.0.0.0/8", "a private address"),
        ("100.64.0.0/10", "a carrier-grade NAT address"),
        ("127.0.0.0/8", "a loopback address"),
        ("169.254.0.0/16", "a link-local address"),
        ("172.16.0.0/12", "a private address"),
        ("192.0.0.0/24", "a reserved address"),
        ("192.0.2.0/24", "a documentation address"),
        ("192.88.99.0/24", "a 6to4 relay address"),
        ("192.168.0.0/16", "a private address"),
        ("198.18.0.0/15", "a benchmarking address"),
        ("198.51.100.0/24", "a documentation address"),
        ("203.0.113.0/24", "a documentation address"),
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", "a reserved address"),
        ("::/128", "an unspecified address"),
        ("::1/128", "a loopback address"),
        ("::/96", "an IPv4-compatible address"),
        ("::ffff:0:0/96", "an IPv4-mapped address"),
        ("64:ff9b::/96", "a NAT64 address"),
        ("64:ff9b:1::/48", "a NAT64 address"),
        ("2001::/32", "a Teredo address"),
        ("2001::/23", "a reserved address"),
        ("2001:db8::/32", "a documentation address"),
        ("2002::/16", "a 6to4 address"),
        ("3fff::/20", "a documentation address"),
        ("fc00::/7", "a private address"),
        ("fe80::/10", "a link-local address"),
        ("fec0::/10", "a site-local address"),
        ("ff00::/8", "a multicast address"),
    )
)
_GLOBAL_IPV6 = ipaddress.ip_network("2000::/3")
_ISATAP = (0x00005EFE, 0x02005EFE)
"""upper half of the interface identifier that embeds an IPv4 address (RFC 5214)"""

_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def refusal(address: Address) -> str | None:
    """Why the address must not be reached, or None for a public unicast address."""
    for network, reason in _REFUSED:
        if address.version == network.version and address in network:
            return reason
    if isinstance(address, ipaddress.IPv6Address):
        if address not in _GLOBAL_IPV6 or address.scope_id is not None:
            return "a reserved address"
        if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
            return "an ISATAP address"
    return None


def literal(host: str) -> Address | None:
    """The address a host is written as in its one canonical way, or None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def canonical_host(host: str) -> str:
    """The host in lower case, without brackets and trailing dot.

    Raises EgressError for what is neither a name nor an address in its usual spelling: resolvers read `0x7f.1`,
    `0177.0.0.1` and `2130706433` as addresses, and readers do not.
    """
    plain = host.lower().removeprefix("[").removesuffix("]")
    address = literal(plain)
    if address is not None and "%" not in plain:
        return str(address)
    named = plain.removesuffix(".")
    if len(named) > 253 or not _NAME.fullmatch(named) or _NUMBER.fullmatch(named.rpartition(".")[2]):
        raise EgressError(
            f"{host[:100]!r} is not a host name or a plainly written address",
            hint="write the name, or the address as 192.0.2.1 or [2001:db8::1]",
            code=ErrorCode.BLOCKED,
        )
    return named


class HostList:
    """Hosts, or hosts with one port each, as `allow_hosts` lists them."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._entries = frozenset(_parse_entry(entry) for entry in entries)

    def __contains__(self, place: tuple[str, int]) -> bool:
        host, port = place
        return (host, port) in self._entries or (host, None) in self._entries


def _parse_entry(entry: str) -> tuple[str, int | None]:
    text = entry.strip()
    match = re.fullmatch(r"(\[[^\]]+\]|[^:\[\]]+)(?::([0-9]{1,5}))?", text)
    host, port = (match[1], match[2]) if match else (text, None)
    try:
        return canonical_host(host), int(port) if port else None
    except EgressError as error:
        raise ConfigError(f"allow_hosts: {error.message}", hint="write host or host:port") from error
