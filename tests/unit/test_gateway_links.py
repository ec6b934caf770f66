"""Signed addresses: what was given out is let in for an hour, and nothing else."""

from urllib.parse import parse_qs, urlsplit

import pytest

from service.domain.errors import AccessError
from service.gateway.links import PLAIN, Links

PATH = "/v1/jobs/job_" + "1" * 32 + "/result"
SECRET = b"s" * 32


class Clock:
    now = 1_000_000.5

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def links(clock: Clock) -> Links:
    return Links(SECRET, clock)


def parts(address: str) -> tuple[str, str, str, str]:
    """Arguments of `check`."""
    split = urlsplit(address)
    query = {name: values[0] for name, values in parse_qs(split.query).items()}
    return split.path, query.get("index", "0"), query["expires"], query["signature"]


def is_good(links: Links, *address: str) -> bool:
    try:
        links.check(*address)
    except AccessError:
        return False
    return True


@pytest.mark.parametrize("index", [0, 7])
def test_link_when_it_was_given_out_then_it_holds_for_an_hour_and_not_much_longer(
    links: Links, clock: Clock, index: int
) -> None:
    address = parts(links.address(PATH, index))
    given_at = clock.now

    for seconds, is_in_time in ((0, True), (3600, True), (3901, False)):
        clock.now = given_at + seconds
        assert is_good(links, *address) is is_in_time, seconds


def test_link_when_it_is_made_again_soon_then_it_is_the_same(links: Links, clock: Clock) -> None:
    first = links.address(PATH, 1)
    clock.now += 1

    assert links.address(PATH, 1) == first
    assert first.startswith(f"{PATH}?index=1&expires=")


def test_link_when_its_time_is_over_then_the_error_says_so(links: Links, clock: Clock) -> None:
    address = parts(links.address(PATH))
    clock.now += 4000

    with pytest.raises(AccessError, match="the time of this address is over"):
        links.check(*address)


@pytest.mark.parametrize("changed", range(4))
def test_link_when_a_part_of_it_is_another_then_it_is_none(links: Links, changed: int) -> None:
    address = list(parts(links.address(PATH, 1)))
    others = (PATH.replace("1", "2"), "2", "99999999999", "x" * 43)
    address[changed] = others[changed]

    with pytest.raises(AccessError, match="signature"):
        links.check(*address)


@pytest.mark.parametrize("text", ["", "x", "-1", "1e9", "\ud800", "é" * 1000])
@pytest.mark.parametrize("place", [1, 2, 3])
def test_link_when_a_part_is_any_text_then_it_is_none(links: Links, place: int, text: str) -> None:
    address = list(parts(links.address(PATH)))
    address[place] = text

    assert not is_good(links, *address)


def test_link_when_the_secret_is_another_then_it_is_none(links: Links, clock: Clock) -> None:
    assert not is_good(Links(b"t" * 32, clock), *parts(links.address(PATH)))


def test_link_when_there_is_no_secret_then_it_is_the_plain_address_and_nothing_is_a_signature(links: Links) -> None:
    assert (PLAIN.address(PATH), PLAIN.address(PATH, 3)) == (PATH, f"{PATH}?index=3")
    assert not is_good(PLAIN, *parts(links.address(PATH)))
    assert not is_good(PLAIN, PATH, "0", "99999999999", "")
