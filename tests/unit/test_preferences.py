"""What `Accept` and `Prefer` mean: tables of the RFCs' own kind, and properties that hold for any text."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.limits import WaitLimits
from service.api.preferences import WaitPreference, negotiate, wait_preference
from service.domain.errors import ServiceError
from service.domain.request import ImageFormat
from tests.unit.builders import repeatable

LIMITS = WaitLimits(default_seconds=20, max_seconds=60)
FORMATS = {f"image/{name}": ImageFormat(name) for name in ("png", "jpeg", "webp")}
QUALITIES = st.integers(0, 1000).map(lambda thousandths: thousandths / 1000)


@pytest.mark.parametrize(
    ("accept", "answer"),
    [
        ("", ImageFormat.PNG),
        ("*/*", ImageFormat.PNG),
        ("image/*", ImageFormat.PNG),
        ("IMAGE/JPEG", ImageFormat.JPEG),
        ("image/jpeg, image/webp", ImageFormat.JPEG),
        ("image/webp, image/jpeg", ImageFormat.WEBP),
        ("image/webp;q=0.3,image/jpeg;q=0.7", ImageFormat.JPEG),
        ("image/jpeg ; q=0.7 , image/webp ; Q=0.8", ImageFormat.WEBP),
        ("image/*;q=1, image/png;q=0.5", ImageFormat.JPEG),
        ("image/png;q=0, image/jpeg;q=0, */*;q=0.1", ImageFormat.WEBP),
        ("image/*;q=0, */*", "json"),
        ("application/json", "json"),
        ("application/*, image/*;q=0.9", "json"),
        ("application/json, image/png", "json"),
        ("image/png, application/json", ImageFormat.PNG),
        ("*/*, application/json", "json"),
        ("image/png;q=1.000, application/json;q=0.999", ImageFormat.PNG),
        # What makes no sense is passed over.
        ("image/png;q=2, image/jpeg;q=0.1", ImageFormat.JPEG),
        ("image/png;q=-1, image/jpeg;q=abc, image/webp", ImageFormat.WEBP),
        ("image/png;q=0.1234, image/jpeg;q=0.1", ImageFormat.JPEG),
        (",,, image/webp ,", ImageFormat.WEBP),
        ("nonsense, */*", ImageFormat.PNG),
    ],
)
def test_accept_when_no_format_was_asked_for_then_the_best_range_decides(accept: str, answer: ImageFormat) -> None:
    assert negotiate(accept, None) == answer


@pytest.mark.parametrize("asked", ImageFormat)
def test_accept_when_a_format_was_asked_for_then_it_is_that_or_json(asked: ImageFormat) -> None:
    other = next(media for media, image in FORMATS.items() if image is not asked)

    assert negotiate("*/*", asked) is asked
    assert negotiate(f"{other}, */*;q=0.1", asked) is asked
    assert negotiate(f"{other}, application/json;q=0.1", asked) == "json"
    with pytest.raises(ServiceError) as error:
        negotiate(other, asked)
    assert error.value.code == "not_acceptable"
    assert asked.content_type in error.value.detail


@pytest.mark.parametrize(
    ("accept", "answer"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("text/html, image/png, */*;q=0.1", "json"),
        ("application/*", "json"),
        ("application/zip", "zip"),
        ("application/json;q=0.5, application/zip", "zip"),
        ("image/png, application/zip;q=0.1", "zip"),
    ],
)
def test_accept_when_there_are_several_pictures_then_no_file_of_one_is_answered(accept: str, answer: str) -> None:
    assert negotiate(accept, None, has_several=True) == answer
    assert negotiate(accept, ImageFormat.PNG, prefer_json=True, has_several=True) == answer


@pytest.mark.parametrize("accept", ["image/png", "image/*", "image/webp, image/png;q=0.1"])
def test_accept_when_there_are_several_pictures_and_only_pictures_are_accepted_then_not_acceptable(accept: str) -> None:
    with pytest.raises(ServiceError) as error:
        negotiate(accept, ImageFormat.PNG, has_several=True)

    assert error.value.code == "not_acceptable"
    assert "application/json, application/zip" in error.value.detail


@pytest.mark.parametrize("accept", ["text/html", "image/gif", "*/*;q=0", "image/png;q=0", "image", "*/png", "q=1"])
def test_accept_when_nothing_fits_then_not_acceptable(accept: str) -> None:
    with pytest.raises(ServiceError) as error:
        negotiate(accept, None)

    assert error.value.code == "not_acceptable"


@repeatable
@given(st.dictionaries(st.sampled_from([*FORMATS, "application/json"]), QUALITIES, min_size=1))
def test_accept_when_types_are_named_then_none_of_a_higher_quality_is_left_out(accepted: dict[str, float]) -> None:
    header = ", ".join(f"{media};q={quality:.3f}" for media, quality in accepted.items())
    best = max(accepted.values())

    if best == 0:
        with pytest.raises(ServiceError):
            negotiate(header, None)
    else:
        answer = negotiate(header, None)
        media = answer.content_type if isinstance(answer, ImageFormat) else "application/json"
        assert accepted[media] == best


@repeatable
@given(st.text(max_size=60), st.none() | st.sampled_from(ImageFormat))
def test_accept_when_it_is_any_text_then_an_answer_or_our_own_error(accept: str, asked: ImageFormat | None) -> None:
    with suppress(ServiceError):
        answer = negotiate(accept, asked)
        assert answer in ("json", "zip") or asked in (None, answer)


@pytest.mark.parametrize(
    ("prefer", "seconds", "applied"),
    [
        ("wait=0", 0, "wait=0"),
        ("wait=60", 60, "wait=60"),
        ("wait=007", 7, "wait=7"),
        (' WAIT = "5" ', 5, "wait=5"),
        ("wait=5; foo=bar", 5, "wait=5"),
        ("return=minimal, wait=5", 5, "wait=5"),
        ("wait=5, wait=6", 5, "wait=5"),
        ("respond-async", 0, "respond-async"),
        ("respond-async, wait=10", 10, "wait=10"),
        ("wait=10, respond-async", 10, "wait=10"),
        ("respond-async; wait=10", 0, "respond-async"),
        ("wait=61, respond-async", 0, "respond-async"),
    ],
)
def test_prefer_when_usable_then_it_says_how_long_and_how_it_is_told(prefer: str, seconds: int, applied: str) -> None:
    assert wait_preference(prefer, LIMITS) == WaitPreference(seconds, applied)


@pytest.mark.parametrize(
    "prefer",
    [
        "",
        ",",
        "wait",
        "wait=",
        "wait=61",
        "wait=-1",
        "wait=1.5",
        "wait=+5",
        "wait=1e1",
        "wait=٣",
        "wait=²",
        "waiting=5",
    ],
)
def test_prefer_when_not_usable_then_it_says_nothing(prefer: str) -> None:
    assert wait_preference(prefer, LIMITS) is None


def test_prefer_when_the_number_is_endless_then_it_costs_nothing_and_says_nothing() -> None:
    assert wait_preference("wait=" + "0" * 5000, LIMITS) is None
    assert wait_preference("wait=" + "9" * 5000, LIMITS) is None


@repeatable
@given(st.text(max_size=60))
def test_prefer_when_it_is_any_text_then_the_wait_is_within_the_limits(prefer: str) -> None:
    preference = wait_preference(prefer, LIMITS)

    assert preference is None or 0 <= preference.seconds <= LIMITS.max_seconds
