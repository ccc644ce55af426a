"""No address that leads back inside ever passes, however it is written."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intelforge.core.errors import ConfigError, EgressError, ErrorCode
from intelforge.security.addresses import HostList, canonical_host, refusal


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_what_passes_is_global_and_unicast(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if refusal(address) is None:
        assert address.is_global
        assert not address.is_multicast


@given(st.ip_addresses(v=4))
def test_an_embedded_ipv4_address_never_passes(inner: ipaddress.IPv4Address) -> None:
    low = int(inner)
    embedded = {
        "mapped": (0xFFFF << 32) | low,
        "compatible": low,
        "6to4": (0x2002 << 112) | (low << 80) | 1,
        "nat64": (0x64FF9B << 96) | low,
        "local nat64": (0x64FF9B0001 << 80) | low,
        "teredo": (0x20010000 << 96) | (low ^ 0xFFFFFFFF),
        "isatap": (0x20014860 << 96) | (0x5EFE << 32) | low,
        "global isatap": (0x20014860 << 96) | (0x02005EFE << 32) | low,
    }
    assert {name for name, value in embedded.items() if refusal(ipaddress.IPv6Address(value)) is None} == set()


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("127.0.0.1", "loopback"),
        ("10.1.2.3", "private"),
        ("172.31.255.255", "private"),
        ("192.168.0.1", "private"),
        ("169.254.169.254", "link-local"),
        ("100.64.0.1", "carrier-grade NAT"),
        ("0.0.0.0", "unspecified"),
        ("224.0.0.1", "multicast"),
        ("255.255.255.255", "reserved"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("fe80::1", "link-local"),
        ("fd00::1", "private"),
        ("ff02::1", "multicast"),
        ("::ffff:8.8.8.8", "IPv4-mapped"),
        ("2002:808:808::1", "6to4"),
        ("64:ff9b::808:808", "NAT64"),
        ("2001:0:1::1", "Teredo"),
        ("2001:db8::1", "documentation"),
        ("4000::1", "reserved"),
    ],
)
def test_refusal_names_the_reason(address: str, reason: str) -> None:
    assert reason in str(refusal(ipaddress.ip_address(address)))


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00::1"])
def test_public_addresses_pass(address: str) -> None:
    assert refusal(ipaddress.ip_address(address)) is None


@pytest.mark.parametrize(
    "host",
    [
        "0x7f.0.0.1", "0177.0.0.1", "2130706433", "127.1", "127.0.0.1.", "0x7f000001", "example.0x7f", "a.1",
        "fe80::1%eth0", "fe80::1%25eth0", "ex ample", "exam/ple", "exa\x00mple", "", ".", "..", "a..b", "-a.example",
        "a" * 64 + ".example", "%31.example", "a.example..",
    ],
)  # fmt: skip
def test_a_host_in_a_strange_spelling_is_refused(host: str) -> None:
    with pytest.raises(EgressError) as caught:
        canonical_host(host)
    assert caught.value.error_code is ErrorCode.BLOCKED


@given(st.integers(0, 2**32 - 1), st.sampled_from(["{:d}", "{:#x}", "{:#o}", "0{:o}"]))
def test_numbers_are_never_names(value: int, spelling: str) -> None:
    with pytest.raises(EgressError):
        canonical_host(spelling.format(value).replace("0o", "0"))


@pytest.mark.parametrize(
    ("host", "canonical"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("[2001:DB8:0::1]", "2001:db8::1"),
        ("10.0.0.1", "10.0.0.1"),
        ("my_host", "my_host"),
    ],
)
def test_a_host_has_one_spelling(host: str, canonical: str) -> None:
    assert canonical_host(host) == canonical


def test_a_host_is_allowed_for_all_ports_or_for_one() -> None:
    hosts = HostList(["Intranet.example", "wiki.example:8080", "[::1]:81", "10.0.0.1"])
    assert ("intranet.example", 1) in hosts
    assert ("wiki.example", 8080) in hosts
    assert ("wiki.example", 80) not in hosts
    assert ("::1", 81) in hosts
    assert ("::1", 80) not in hosts
    assert ("10.0.0.1", 443) in hosts
    assert ("other.example", 80) not in hosts


@pytest.mark.parametrize("entry", ["", "http://example.com", "0x7f.1", "example.com:port", "a b"])
def test_an_entry_that_is_no_host_is_a_config_error(entry: str) -> None:
    with pytest.raises(ConfigError, match="allow_hosts"):
        HostList([entry])
