"""Which addresses are public: a table of every kind that must not be called, and of some that may."""

import pytest

from service.domain.addresses import is_public

PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "93.184.216.34", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0"),
    *("126.255.255.255", "128.0.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0"),
    *("198.17.255.255", "198.20.0.0", "203.0.112.255", "203.0.114.0", "223.255.255.255"),
    *("2606:4700:4700::1111", "2a00:1450:4001:82a::200e", "2400::1", "2001:4860:4860::8888", "2620:4f:7fff::1"),
    *("::ffff:8.8.8.8", "64:ff9b::8.8.8.8"),
]
NOT_PUBLIC = [
    # This network, this computer, the link, the clouds' metadata.
    *("0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.254", "169.254.0.1", "169.254.169.254", "168.63.129.16"),
    *("::", "::1", "fe80::1", "fe80::1%eth0", "febf::1", "fd00:ec2::254"),
    # Private, shared, reserved.
    *("10.0.0.0", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "100.127.255.255"),
    *("100.100.100.200", "192.0.0.1", "192.0.0.192", "198.18.0.1", "198.19.255.255", "240.0.0.1", "255.255.255.255"),
    *("fc00::1", "fdff::1", "fec0::1", "feff::1", "100::1", "5f00::1", "4000::1", "1::1", "e000::1"),
    # Documentation, anycast of the infrastructure, multicast.
    *("192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1", "3fff:fff::1"),
    *("192.88.99.1", "192.31.196.1", "192.52.193.1", "192.175.48.1", "2620:4f:8000::1", "2001:20::1", "2001:2::1"),
    *("224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"),
    # IPv4 inside of IPv6: mapped, compatible, NAT64 with the known and with a local prefix, 6to4, Teredo.
    *("::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0:8.8.8.8"),
    *("::127.0.0.1", "::8.8.8.8", "64:ff9b::127.0.0.1", "64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808"),
    *("64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:a00:1::1", "2002:808:808::", "2001:0:808:808::80ff:fffe"),
    "2001::1",
    # No address at all, however a parser of addresses may read it.
    *("", "localhost", "127.1", "0x7f.1", "0x7f000001", "2130706433", "0177.0.0.1", "127.0.0.1.", " 8.8.8.8", "8.8.8"),
    *("127\u30020\u30020\u30021", "\u2460\u2461\u2466.0.0.1", "[::1]", "8.8.8.8/32", "1.1.1.1:80"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_address_when_it_is_of_the_public_internet_then_it_may_be_called(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_address_when_it_is_anything_else_then_it_may_not(address: str) -> None:
    assert not is_public(address)
