"""One call of a receiver: what is sent, what an answer means, and that nothing leads to where nobody may call."""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from email.utils import formatdate

import pytest

from service.adapters import resolver, webhook_sender
from service.adapters.resolver import SystemResolver
from service.adapters.webhook_sender import HttpWebhookSender
from service.domain.addresses import LOOPBACK, is_public
from service.domain.webhook import Receiver, Webhook, parse_receiver
from service.gateway.receivers import Receivers
from service.ports.webhooks import ReceiverAnswer
from tests.fakes.certificates import make_tls
from tests.fakes.scripted_names import ScriptedNames
from tests.fakes.webhook_receiver import HANG, TAKEN, answer, running_receiver

NAME = "receiver.test"
BODY = '{"text": "é"}'.encode()
HEADERS = [("webhook-id", "msg_1"), ("webhook-timestamp", "1")]


def a_sender(timeout_seconds: float = 10.0) -> HttpWebhookSender:
    return HttpWebhookSender(ScriptedNames(["127.0.0.1"]), "1.2", timeout_seconds)


async def sent(script: bytes, timeout_seconds: float = 10.0) -> ReceiverAnswer:
    """What comes of a receiver that does this."""
    async with running_receiver([script]) as receiver:
        target = parse_receiver(receiver.url(), is_development=True)
        return await a_sender(timeout_seconds).send(target, HEADERS, BODY)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a receiver by the name, and of who trusts it."""
    return make_tls(tmp_path_factory.mktemp("tls"), NAME)


async def test_call_when_it_is_made_then_it_is_one_post_with_the_headers_and_the_body() -> None:
    async with running_receiver() as receiver:
        target = parse_receiver(receiver.url("/a/b?c=d"), is_development=True)

        assert await a_sender().send(target, HEADERS, BODY) == ReceiverAnswer(204, detail="status 204")

    (told,) = receiver.told
    assert (told.start, told.body) == ("POST /a/b?c=d HTTP/1.1", BODY)
    assert told.headers == {
        "host": f"127.0.0.1:{receiver.port}",
        "user-agent": "xmdpt-serve/1.2",
        "content-type": "application/json",
        "content-length": str(len(BODY)),
        "connection": "close",
        "webhook-id": "msg_1",
        "webhook-timestamp": "1",
    }


@pytest.mark.parametrize("status", [200, 299, 302, 400, 410, 500])
async def test_call_when_it_is_answered_then_the_status_is_told_and_no_redirect_followed(status: int) -> None:
    async with running_receiver() as other:
        redirect = answer(status, Location=other.url(), Set_Cookie="a=b")

        assert (await sent(redirect)).status == status

    assert other.num_connections == 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7.0), ("0", 0.0), ("", None), ("soon", None), ("-1", None), ("1.5", None), ("9" * 50, 9_999_999_999.0)],
)
async def test_retry_after_when_it_is_given_then_it_is_told_in_seconds(text: str, seconds: float | None) -> None:
    assert await sent(answer(503, Retry_After=text)) == ReceiverAnswer(503, seconds, detail="status 503")


@pytest.mark.parametrize(
    "date",
    [
        "Mon, 01 Jan 99999999999 00:00:00 GMT",
        "Mon, 01 Jan 2020 00:00:00 +99999999999999",
        "Mon, 99 Jan 2020 00:00:00 GMT",
    ],
)
async def test_retry_after_when_it_is_a_date_out_of_all_bounds_then_it_is_none_and_the_status_counts(date: str) -> None:
    result = await sent(answer(503, Retry_After=date))

    assert result.status == 503
    assert result.retry_after_seconds is None


@pytest.mark.parametrize("status", [200, 410, 500])
async def test_retry_after_when_the_receiver_is_not_busy_then_it_is_not_read(status: int) -> None:
    assert await sent(answer(status, Retry_After="7")) == ReceiverAnswer(status, detail=f"status {status}")


async def test_retry_after_when_it_is_a_date_then_it_is_told_in_seconds_from_now() -> None:
    later = await sent(answer(429, retry_after=formatdate(time.time() + 3600, usegmt=True)))
    past = await sent(answer(429, retry_after=formatdate(time.time() - 3600, usegmt=True)))

    assert later.retry_after_seconds
    assert 3500 < later.retry_after_seconds <= 3600
    assert past.retry_after_seconds == 0


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"200\r\n\r\n",
        b"\x00\xff\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 1_000_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000,
    ],
    ids=range(10),
)
async def test_call_when_the_answer_is_none_of_http_then_it_is_not_taken(reply: bytes) -> None:
    result = await sent(reply)

    assert (result.status, result.is_blocked) == (0, False)
    assert result.detail


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 10_000_000,
        b"HTTP/1.1 200\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n" + HANG,
    ],
    ids=["huge", "no reason", "early hints", "body never ends"],
)
async def test_call_when_the_status_says_that_it_was_taken_then_the_rest_of_the_answer_does_not_matter(
    reply: bytes,
) -> None:
    assert (await sent(reply)).status == 200


async def test_call_when_it_is_taken_within_its_time_then_the_rest_of_the_answer_may_come_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(webhook_sender, "_FAREWELL_SECONDS", 4.0)
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n" + HANG

    # Below the time for which the rest is read.
    assert (await sent(reply, timeout_seconds=3.0)).status == 200


@pytest.mark.parametrize("reply", [HANG, b"HTTP/1.1 200 OK\r\nA: " + HANG])
async def test_call_when_the_receiver_hangs_then_it_ends_with_its_time(reply: bytes) -> None:
    assert await sent(reply, timeout_seconds=0.2) == ReceiverAnswer(detail="no answer within 0.2 s")


async def test_call_when_nobody_listens_then_it_is_not_taken() -> None:
    async with running_receiver() as receiver:
        target = parse_receiver(receiver.url(), is_development=True)

    assert await a_sender().send(target, HEADERS, BODY) == ReceiverAnswer(detail="ConnectionRefusedError")


async def test_call_when_the_certificate_is_good_then_the_name_is_the_receivers_and_the_address_the_resolvers(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    async with running_receiver(tls=tls[0]) as receiver:
        names = ScriptedNames(["127.0.0.1"])
        sender = HttpWebhookSender(names, "1.2", may_call=LOOPBACK.__contains__, tls=tls[1])

        result = await sender.send(Receiver(True, NAME, receiver.port, "/"), HEADERS, BODY)

    assert result.status == 204
    assert names.asked == [(NAME, receiver.port)]
    assert receiver.told[0].headers["host"] == f"{NAME}:{receiver.port}"


async def test_call_when_the_certificate_is_another_ones_then_nothing_is_sent(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    async with running_receiver(tls=tls[0]) as receiver:
        for name, context in (("other.test", tls[1]), (NAME, None)):
            sender = HttpWebhookSender(ScriptedNames(["127.0.0.1"]), "1.2", may_call=LOOPBACK.__contains__, tls=context)

            result = await sender.send(Receiver(True, name, receiver.port, "/"), HEADERS, BODY)

            assert (result.status, result.detail) == (0, "SSLCertVerificationError")

    assert receiver.told == []


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["8.8.8.8", "127.0.0.1"],
        ["127.0.0.1", "8.8.8.8"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["10.0.0.1"],
        ["169.254.169.254"],
    ],
)
async def test_call_when_any_address_of_the_name_is_not_public_then_nothing_connects(addresses: Sequence[str]) -> None:
    async with running_receiver() as receiver:
        sender = HttpWebhookSender(ScriptedNames(addresses), "1.2")

        result = await sender.send(Receiver(True, NAME, receiver.port, "/"), HEADERS, BODY)

    assert (result.is_blocked, result.status, receiver.num_connections) == (True, 0, 0)


async def test_call_when_the_address_without_tls_is_not_this_computer_then_nothing_connects() -> None:
    sender = HttpWebhookSender(ScriptedNames(["8.8.8.8"]), "1.2")

    assert (await sender.send(Receiver(False, "127.0.0.1", 80, "/"), HEADERS, BODY)).is_blocked


async def test_call_when_the_name_is_asked_for_then_once_only_so_that_a_second_answer_changes_nothing(
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    asked_of_the_rule: list[str] = []

    def rule(address: str) -> bool:
        asked_of_the_rule.append(address)
        return address == "127.0.0.1"

    names = ScriptedNames(["127.0.0.1"], ["10.0.0.1"])
    async with running_receiver(tls=tls[0]) as receiver:
        sender = HttpWebhookSender(names, "1.2", may_call=rule, tls=tls[1])
        target = Receiver(True, NAME, receiver.port, "/")

        assert (await sender.send(target, HEADERS, BODY)).status == 204
        assert (await sender.send(target, HEADERS, BODY)).is_blocked

    assert asked_of_the_rule == ["127.0.0.1", "10.0.0.1"]
    assert receiver.num_connections == 1


async def test_name_when_it_is_public_at_the_submission_and_private_at_the_call_then_nothing_connects() -> None:
    names = ScriptedNames(["93.184.216.34"], ["127.0.0.1"])
    async with running_receiver() as receiver:
        await Receivers(names).check(Webhook(f"https://{NAME}:8443/"), {})

        result = await HttpWebhookSender(names, "1.2").send(Receiver(True, NAME, receiver.port, "/"), HEADERS, BODY)

    assert (result.is_blocked, receiver.num_connections, len(names.asked)) == (True, 0, 2)


async def test_call_when_the_first_address_is_dead_then_the_second_one_is_called() -> None:
    async with running_receiver() as receiver:
        target = Receiver(False, "127.0.0.1", receiver.port, "/")

        assert (
            await HttpWebhookSender(ScriptedNames(["::1", "127.0.0.1"]), "1.2").send(target, HEADERS, BODY)
        ).status == 204


async def test_call_when_the_name_has_no_address_then_it_is_not_taken() -> None:
    result = await HttpWebhookSender(ScriptedNames([]), "1.2").send(Receiver(True, NAME, 443, "/"), HEADERS, BODY)

    assert (result.status, result.is_blocked) == (0, False)


async def test_call_when_the_name_cannot_be_looked_up_now_then_it_is_not_taken_and_the_log_says_why() -> None:
    result = await HttpWebhookSender(ScriptedNames(None), "1.2").send(Receiver(True, NAME, 443, "/"), HEADERS, BODY)

    assert result == ReceiverAnswer(detail="the name can't be looked up at present")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "0x7f.1", "2130706433", "localhost", "::1"])
async def test_resolver_when_a_spelling_means_this_computer_then_its_address_is_told(host: str) -> None:
    addresses = await SystemResolver(1).addresses(host, 443)

    assert set(addresses) <= LOOPBACK
    assert addresses
    assert not any(map(is_public, addresses))


@pytest.mark.parametrize("host", ["a" * 300, "..", "\u00e9"])
async def test_resolver_when_there_can_be_no_such_host_then_there_is_no_address(host: str) -> None:
    assert await SystemResolver(1).addresses(host, 443) == ()


@pytest.mark.parametrize(
    ("fault", "addresses"),
    [
        *((socket.gaierror(code, "none"), ()) for code in (socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_FAIL)),
        *((socket.gaierror(code, "not now"), None) for code in (socket.EAI_AGAIN, socket.EAI_SYSTEM)),
        (OSError(24, "too many open files"), None),
    ],
    ids=repr,
)
async def test_resolver_when_it_gets_no_address_then_it_tells_whether_that_may_change(
    monkeypatch: pytest.MonkeyPatch, fault: OSError, addresses: Sequence[str] | None
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise fault

    # The system's answers depend on the network of the computer that the test runs on.
    monkeypatch.setattr(socket, "getaddrinfo", fail)

    assert await SystemResolver(1).addresses(NAME, 443) == addresses


async def test_calls_when_many_hang_then_others_are_made_meanwhile() -> None:
    async with running_receiver(otherwise=HANG) as hanging, running_receiver([TAKEN]) as well:
        sender = a_sender(timeout_seconds=60)
        slow = parse_receiver(hanging.url(), is_development=True)
        calls = [asyncio.create_task(sender.send(slow, HEADERS, BODY)) for _ in range(20)]
        await hanging.until(lambda: len(hanging.told) == 20)

        result = await sender.send(parse_receiver(well.url(), is_development=True), HEADERS, BODY)

        assert result.status == 204
        assert not any(call.done() for call in calls)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)


async def test_resolver_when_names_hang_then_no_more_threads_are_used_and_nobody_waits_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    goes_on = threading.Event()
    asked: list[bytes] = []

    def hang(host: bytes, *_: object, **__: object) -> list[object]:
        asked.append(host)
        goes_on.wait(20)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setattr(resolver, "_MAX_SECONDS", 1.0)
    names = SystemResolver(2)

    answers = await asyncio.gather(*(names.addresses(f"host{number}.test", 443) for number in range(5)))

    assert (answers, len(asked)) == ([None] * 5, 2)
    goes_on.set()
    async with asyncio.timeout(20):
        while names._free.locked():  # noqa: ASYNC110 - nothing tells it
            await asyncio.sleep(0.001)
