"""A receiver's address by its form, and the signature of a call."""

import base64
import hashlib
import hmac

import pytest

from service.domain.webhook import (
    MAX_URL_LENGTH,
    RETRY_SECONDS,
    SECRET_BYTES,
    Receiver,
    parse_receiver,
    secret_text,
    signature,
)

GOOD = {
    "https://example.com": Receiver(True, "example.com", 443, "/"),
    "HTTPS://Example.COM/Hook?a=b&c=%20": Receiver(True, "example.com", 443, "/Hook?a=b&c=%20"),
    "https://example.com?x": Receiver(True, "example.com", 443, "/?x"),
    "https://example.com:8443/h": Receiver(True, "example.com", 8443, "/h"),
    "https://xn--bcher-kva.example/@me": Receiver(True, "xn--bcher-kva.example", 443, "/@me"),
    "https://93.184.216.34/": Receiver(True, "93.184.216.34", 443, "/"),
    "https://[2606:4700::1111]:8443/": Receiver(True, "2606:4700::1111", 8443, "/"),
    "https://" + "a" * (MAX_URL_LENGTH - 8): Receiver(True, "a" * (MAX_URL_LENGTH - 8), 443, "/"),
    # Whether their addresses are public is not a matter of form.
    "https://localhost/": Receiver(True, "localhost", 443, "/"),
    "https://127.0.0.1/": Receiver(True, "127.0.0.1", 443, "/"),
    "https://[::ffff:127.0.0.1]/": Receiver(True, "::ffff:127.0.0.1", 443, "/"),
}
BAD = {
    "": "must be https",
    "example.com/hook": "must be https",
    "//example.com/": "must be https",
    "https:/example.com": "must be https",
    "https://": "must be https",
    "https:///hook": "must be https",
    "https://:443/": "must be https",
    "http://example.com/": "begin with https",
    "http://127.0.0.1:9000/": "begin with https",
    "ftp://example.com/": "begin with https",
    "file://localhost/etc/passwd": "begin with https",
    "file:///etc/passwd": "must be https",
    "gopher://example.com:443/": "begin with https",
    "javascript:alert(1)": "must be https",
    "https://example.com:80/": "443 and 8443",
    "https://example.com:22/": "443 and 8443",
    "https://example.com:65536/": "443 and 8443",
    "https://example.com:0443x/": "must be https",
    "https://example.com:/": "must be https",
    "https://user@example.com/": "must be https",
    "https://user:password@example.com/": "must be https",
    "https://example.com@127.0.0.1/": "must be https",
    "https://example.com\\@127.0.0.1/": "must be https",
    "https://example.com#@127.0.0.1/": "must be https",
    "https://example.com/#part": "fragment",
    "https://example.com /": "must be https",
    "https://example.com/\r\nHost: other": "must be https",
    "https://example.com/a b": "must be https",
    "https://example.com\t/": "must be https",
    "https://exa%6dple.com/": "must be https",
    "https://bücher.example/": "must be https",
    "https://127\u30020\u30020\u30021/": "must be https",
    "https://\uff11\uff12\uff17.0.0.1/": "must be https",
    "https://\u2460\u2461\u2466.0.0.1/": "must be https",
    "https://127.1/": "four decimal numbers",
    "https://127.0.1/": "four decimal numbers",
    "https://0x7f.1/": "four decimal numbers",
    "https://0x7f000001/": "four decimal numbers",
    "https://2130706433/": "four decimal numbers",
    "https://0177.0.0.1/": "four decimal numbers",
    "https://127.0.0.1./": "four decimal numbers",
    "https://127.0.0.0x1/": "four decimal numbers",
    "https://1.2.3.4.5/": "four decimal numbers",
    "https://example.256/": "four decimal numbers",
    "https://[::1%25eth0]/": "must be https",
    "https://[fe80::1%eth0]/": "must be https",
    "https://[:::1]/": "IPv6 address",
    "https://[127.0.0.1]/": "IPv6 address",
    "https://::1/": "must be https",
    "https://" + "a" * (MAX_URL_LENGTH - 7): "may have 2048",
}


@pytest.mark.parametrize("url", GOOD)
def test_receiver_when_its_address_is_well_formed_then_it_is_taken_apart(url: str) -> None:
    assert parse_receiver(url) == GOOD[url]


@pytest.mark.parametrize("url", BAD)
def test_receiver_when_its_address_breaks_a_rule_then_the_rule_is_named(url: str) -> None:
    with pytest.raises(ValueError, match=BAD[url]):
        parse_receiver(url)


@pytest.mark.parametrize(
    ("url", "port"), [("http://127.0.0.1/", 80), ("http://127.0.0.1:9000/", 9000), ("http://[::1]:9000", 9000)]
)
def test_receiver_when_this_is_development_then_this_computer_may_be_called_without_tls(url: str, port: int) -> None:
    receiver = parse_receiver(url, is_development=True)

    assert (receiver.is_tls, receiver.port) == (False, port)
    with pytest.raises(ValueError, match="begin with https"):
        parse_receiver(url)


@pytest.mark.parametrize(
    "url",
    [
        *("http://localhost/", "http://127.0.0.2/", "http://0.0.0.0/", "http://[::]/", "http://[::ffff:127.0.0.1]/"),
        *("http://10.0.0.1/", "http://127.1/", "http://user@127.0.0.1/", "https://example.com:9000/"),
        *("http://127.0.0.1:0/", "http://127.0.0.1:65536/"),
    ],
)
def test_receiver_when_this_is_development_then_every_other_rule_stays(url: str) -> None:
    with pytest.raises(ValueError, match=r"must|may"):
        parse_receiver(url, is_development=True)


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://Example.com/", "example.com"),
        ("https://example.com:443/", "example.com"),
        ("https://example.com:8443/", "example.com:8443"),
        ("https://[2606:4700::1111]/", "[2606:4700::1111]"),
        ("http://127.0.0.1:443/", "127.0.0.1:443"),
    ],
)
def test_authority_when_a_receiver_is_named_then_only_an_unusual_port_is_part_of_it(url: str, authority: str) -> None:
    assert parse_receiver(url, is_development=True).authority == authority


def test_signature_when_there_are_two_secrets_then_there_is_one_of_each() -> None:
    raw = [b"a" * SECRET_BYTES, b"b" * SECRET_BYTES]

    header = signature(map(secret_text, raw), "msg_1", 1_700_000_000, b'{"type": "x"}')

    content = b'msg_1.1700000000.{"type": "x"}'
    expected = [base64.b64encode(hmac.new(secret, content, hashlib.sha256).digest()).decode() for secret in raw]
    assert header == f"v1,{expected[0]} v1,{expected[1]}"


def test_signature_when_it_is_that_of_the_standards_example_then_it_is_equal() -> None:
    header = signature(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )

    assert header == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_tries_when_all_fail_then_they_take_a_day_and_a_third() -> None:
    assert [pause / 60 for pause in RETRY_SECONDS] == [5 / 60, 5, 30, 120, 300, 600, 840]
