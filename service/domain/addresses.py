"""Which network addresses a server may be made to call by somebody who only names a host: the public ones.

The one place of this rule. It resolves no names (`service.adapters.resolver`). The tables are of our own, so that a
Python with older ones calls no more.
"""

import ipaddress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

LOOPBACK = frozenset({"127.0.0.1", "::1"})

# Source: IANA IPv4 Special-Purpose Address Registry, RFC 5771, and the address at which Azure answers its guests.
_NOT_PUBLIC_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
# Source: IANA IPv6 Global Unicast Address Assignments and Special-Purpose Address Registry. In all other space nobody
# lives. Teredo (2001::/32) and 6to4 (2002::/16) lead into IPv4, whatever they carry, and are no longer in use.
_PUBLIC_V6 = IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = tuple(
    IPv6Network(network) for network in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)
_NAT64 = IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether it is an address of the public internet; False also for what is none.

    Args:
        address: as a resolver writes it. An IPv4 address that stands inside of an IPv6 one, mapped or by NAT64, is the
            one that counts.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    inner = _embedded(parsed)
    if isinstance(inner, IPv4Address):
        return not any(inner in network for network in _NOT_PUBLIC_V4)
    return inner in _PUBLIC_V6 and not any(inner in network for network in _NOT_PUBLIC_V6)


def _embedded(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(address, IPv4Address):
        return address
    if address.scope_id is None and address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address
