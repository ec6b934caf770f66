"""What was found in a photo <-> text: as a process says it, and as it lies in the cache."""

import json
import math
from collections.abc import Sequence

from service.domain.errors import RequestError
from service.domain.person import UNSUITABLE_CODES, Finding, Frame, PersonInPhoto, UnsuitablePhoto
from service.domain.pose import parse_key_points


def person_text(points: Sequence[Sequence[float] | None], size: Sequence[float], frame: Sequence[float]) -> str:
    """A person; arguments as `PersonInPhoto` has them: 18 points and width, height of the photo, px."""
    return json.dumps({"points": points, "size": size, "frame": frame}, separators=(",", ":"), allow_nan=False)


def unsuitable_text(code: str, detail: str) -> str:
    """Why there is none."""
    return json.dumps({"code": code, "detail": detail}, separators=(",", ":"))


def text_of(finding: Finding) -> str:
    """Undo `finding_of`."""
    if isinstance(finding, UnsuitablePhoto):
        return unsuitable_text(finding.code, finding.detail)
    return person_text(finding.key_points.points, finding.key_points.size, finding.frame)


def finding_of(text: str) -> Finding:
    """Read what one of the others wrote; ValueError if it is anything else, whoever wrote that."""
    try:
        fields = json.loads(text)
        if "code" in fields:
            return _unsuitable(fields["code"], fields["detail"])
        whole, frame = Frame(0.0, 0.0, *_numbers(fields["size"])), Frame(*_numbers(fields["frame"]))
        # In either frame they must be what a client might have sent.
        key_points, _ = (
            parse_key_points(fields["points"], (each.width, each.height), (each.left, each.top))
            for each in (whole, frame)
        )
        return PersonInPhoto(key_points, frame)
    except (KeyError, TypeError, ValueError, OverflowError, RequestError) as error:
        raise ValueError("not what is found in a photo") from error


def _numbers(values: Sequence[float]) -> list[float]:
    """Finite ones; sides of a frame come last, and are of 1 px at least."""
    numbers = [float(value) for value in values]
    if not all(map(math.isfinite, numbers)) or min(numbers[-2:]) < 1:
        raise ValueError("not the sides of a frame")
    return numbers


def _unsuitable(code: object, detail: object) -> UnsuitablePhoto:
    if code not in UNSUITABLE_CODES or not isinstance(code, str) or not isinstance(detail, str):
        raise ValueError("not why a photo is unsuitable")
    return UnsuitablePhoto(code, detail)
