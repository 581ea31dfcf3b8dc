"""Which IP addresses are public, by the registries of IANA.

IPv6 by what is allowed, as most of its space is not assigned: global unicast (2000::/3), and IPv4 behind the well-known
prefix of NAT64, which is how a network without IPv4 reaches it. Addresses that carry an IPv4 address are as public as
that one, since a gateway may unwrap them.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052. Not 64:ff9b:1::/48 of RFC 8215, which translates to whatever a private network likes."""
_NOT_PUBLIC = (
    IPv4Network("192.0.0.0/24"),  # protocols' own; Python before 3.11.10 knows some of it
    IPv4Network("192.88.99.0/24"),  # relays of 6to4, given up by RFC 7526
    IPv6Network("3fff::/20"),  # documentation, RFC 9637; Python 3.11 does not know it
)
_ISATAP = (0x00005EFE, 0x02005EFE)
"""The first half of an interface identifier whose second half is an IPv4 address, RFC 5214."""


def parse_address(text: str) -> Address | None:
    """An address as `socket.getaddrinfo` and URLs write it; None for anything else.

    IPv4 in four decimal numbers without leading zeros alone; a zone (`fe80::1%eth0`) is part of an address here, and is
    never public.
    """
    try:
        return ip_address(text)
    except ValueError:
        return None


def is_public(address: Address) -> bool:
    """Whether the Internet at large can reach the address, whoever asks: no private, shared, local, documentation,
    multicast or reserved one, nor one that carries such an IPv4 address."""
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast and not address.is_reserved and not _listed(address)
    if address.scope_id is not None:
        return False
    if address in _NAT64:
        return is_public(_low_ipv4(address))
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    if address not in _GLOBAL_UNICAST or _listed(address):
        return False
    if address.teredo is not None:  # before `is_global`, which is False for all of Teredo
        return all(is_public(each) for each in address.teredo)
    if address.sixtofour is not None:
        return is_public(address.sixtofour)
    if not address.is_global:
        return False
    return not _is_isatap(address) or is_public(_low_ipv4(address))


def _listed(address: Address) -> bool:
    return any(address.version == network.version and address in network for network in _NOT_PUBLIC)


def _is_isatap(address: IPv6Address) -> bool:
    return (int(address) >> 32) & 0xFFFFFFFF in _ISATAP


def _low_ipv4(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFFFFFF)
