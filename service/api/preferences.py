"""What a client prefers: how long to wait (`Prefer`, RFC 7240) and what to get (`Accept`, RFC 9110).

Pure functions of header texts; a part of a header that makes no sense is ignored, as both RFCs ask.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from service.api.limits import WaitLimits
from service.domain.errors import ServiceError
from service.domain.request import ImageFormat

Answer = ImageFormat | Literal["json", "zip"]

_Q = re.compile(r"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.ASCII)
_TYPES = {"json": "application/json", "zip": "application/zip"}


@dataclass(frozen=True)
class WaitPreference:
    """How long to wait, and how `Preference-Applied` tells it.

    Attributes:
        seconds: 0 answers at once.
        applied: the header's value.
    """

    seconds: int
    applied: str


def wait_preference(prefer: str, limits: WaitLimits) -> WaitPreference | None:
    """Read `Prefer: wait=N` and `respond-async`; None if it names neither in a usable way.

    With both, `wait` says for how long to wait before the answer is asynchronous, as RFC 7240 does.
    """
    names: dict[str, str] = {}
    for item in prefer.split(","):
        name, _, value = item.split(";")[0].partition("=")
        names.setdefault(name.strip().lower(), value.strip().strip('"'))
    wait = names.get("wait", "")
    if wait.isascii() and wait.isdigit() and len(wait) <= 9 and int(wait) <= limits.max_seconds:
        return WaitPreference(int(wait), f"wait={int(wait)}")
    return WaitPreference(0, "respond-async") if "respond-async" in names else None


def negotiate(
    accept: str, asked: ImageFormat | None, *, prefer_json: bool = False, has_several: bool = False
) -> Answer:
    """Choose the form of a finished job's answer.

    Args:
        accept: the header; empty accepts everything.
        asked: `output.format` of the request, which `Accept` must not contradict.
        prefer_json: what `Accept` wants as much as the picture is the job object.
        has_several: there are several pictures, which no single file holds.

    Returns:
        The picture's format, "json" for the job object, or "zip" for an archive of both.

    Raises:
        ServiceError: `not_acceptable`.
    """
    ranges = _media_ranges(accept or "*/*")
    formats: list[Answer] = [] if has_several else [asked] if asked else list(ImageFormat)
    answers: list[Answer] = ["json", *formats, "zip"] if prefer_json else [*formats, "json", "zip"]
    best: tuple[tuple[float, int, int], Answer] | None = None
    for answer in answers:
        rank = _rank(ranges, _media_type(answer))
        if rank[0] > 0 and (best is None or rank > best[0]):
            best = (rank, answer)
    if best is None:
        offer = ", ".join(map(_media_type, answers))
        raise ServiceError("not_acceptable", f"this request can answer {offer}; Accept names none of them")
    return best[1]


def choose_type(accept: str, offers: Sequence[str]) -> str:
    """Of these media types the one that the header likes best, of equals the first; ServiceError: `not_acceptable`."""
    ranges = _media_ranges(accept or "*/*")
    best = max(offers, key=lambda offer: _rank(ranges, offer)[0])
    if _rank(ranges, best)[0] == 0:
        raise ServiceError("not_acceptable", f"this address answers {' or '.join(offers)}; Accept names none of them")
    return best


def _media_type(answer: Answer) -> str:
    return answer.content_type if isinstance(answer, ImageFormat) else _TYPES[answer]


def _media_ranges(accept: str) -> list[tuple[str, float]]:
    ranges: list[tuple[str, float]] = []
    for item in accept.split(","):
        media, *parameters = (part.strip().lower() for part in item.split(";"))
        quality = next((part.partition("=")[2].strip() for part in parameters if part.startswith("q=")), "1")
        if _Q.fullmatch(quality):
            ranges.append((media, float(quality)))
    return ranges


def _rank(ranges: list[tuple[str, float]], content_type: str) -> tuple[float, int, int]:
    """(quality, specificity, earliness) of the most specific range that holds the type; quality 0 if none does."""
    patterns = ("*/*", content_type.split("/", maxsplit=1)[0] + "/*", content_type)
    matches = [
        (patterns.index(media), -place, quality) for place, (media, quality) in enumerate(ranges) if media in patterns
    ]
    if not matches:
        return (0.0, 0, 0)
    specificity, earliness, quality = max(matches)
    return (quality, specificity, earliness)
