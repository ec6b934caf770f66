"""Which part of a stored file a client wants, and whether it has the file already (RFC 9110, sections 13 and 14).

Pure functions of header texts; they build no answers. A header that makes no sense is ignored, as the RFC asks.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from service.domain.errors import RangeNotSatisfiableError

# Everything that one call needs of a picture, and too few to make a small file into a large answer.
MAX_RANGES = 5

_OPAQUE_TAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')
# No file is as long as twenty digits tell: what is longer is no range, and no number to compute with.
_RANGE = re.compile(r"(\d{0,20})-(\d{0,20})", re.ASCII)


@dataclass(frozen=True)
class Conditions:
    """The header fields that a request for a file may carry, as texts; empty where absent.

    Attributes:
        if_none_match: the tags that the client has.
        ranges: `Range`; empty for every method but GET.
        if_range: the tag of which the client has some bytes.
    """

    if_none_match: str = ""
    ranges: str = ""
    if_range: str = ""


def entity_tag(sha256: str) -> str:
    """The strong `ETag` of a file with this hex digest."""
    return f'"sha256-{sha256}"'


def is_known(if_none_match: str, tag: str) -> bool:
    """Whether the client has the file of this tag already (weak comparison)."""
    return if_none_match.strip() == "*" or tag in _OPAQUE_TAG.findall(if_none_match)


def wanted_ranges(conditions: Conditions, tag: str, num_bytes: int) -> Sequence[range]:
    """The bytes to send.

    Args:
        conditions: of the request.
        tag: of the file.
        num_bytes: its length, > 0.

    Returns:
        At most 5 ranges of byte numbers, none empty and none overlapping another, in the order in which they were asked
        for; none if the whole file is to be sent.

    Raises:
        RangeNotSatisfiableError: more than 5, or all beyond the file.
    """
    # A date never matches: files have no other version than their tag.
    if conditions.if_range and conditions.if_range.strip() != tag:
        return ()
    asked = _parse(conditions.ranges, num_bytes)
    if len(asked) > MAX_RANGES:
        raise RangeNotSatisfiableError(f"Range may name {MAX_RANGES} ranges, not {len(asked)}", num_bytes)
    satisfiable = [span for span in asked if span]
    if asked and not satisfiable:
        raise RangeNotSatisfiableError(f"Range lies beyond the {num_bytes} bytes of the picture", num_bytes)
    return _coalesced(satisfiable)


def content_range(span: range, num_bytes: int) -> str:
    """The field `Content-Range` of a part."""
    return f"bytes {span.start}-{span.stop - 1}/{num_bytes}"


def multipart_byteranges(content: bytes, content_type: str, spans: Sequence[range], boundary: str) -> bytes:
    """The body `multipart/byteranges`; the boundary must not occur in the content."""
    parts = [
        f"\r\n--{boundary}\r\nContent-Type: {content_type}\r\n"
        f"Content-Range: {content_range(span, len(content))}\r\n\r\n".encode()
        + content[span.start : span.stop]
        for span in spans
    ]
    return b"".join(parts) + f"\r\n--{boundary}--\r\n".encode()


def _parse(ranges: str, num_bytes: int) -> Sequence[range]:
    """Every range of the header, an empty one where it is beyond the file; none if the header is malformed."""
    unit, _, listed = ranges.partition("=")
    texts = [text.strip(" \t") for text in listed.split(",")]
    matches = [_RANGE.fullmatch(text) for text in texts if text]
    spans: list[range] = []
    for match in matches:
        first, last = match.groups() if match else ("", "")
        if not (first or last) or (first and last and int(last) < int(first)):
            return ()
        if first:
            spans.append(range(int(first), min(int(last) + 1, num_bytes) if last else num_bytes))
        else:
            spans.append(range(max(0, num_bytes - int(last)), num_bytes))
    return spans if unit.strip(" \t").lower() == "bytes" else ()


def _coalesced(spans: Sequence[range]) -> Sequence[range]:
    """Ranges that share bytes become one, at the place of the last of them."""
    merged: list[range] = []
    for span in spans:
        whole = span
        for other in list(merged):
            if other.start < whole.stop and whole.start < other.stop:
                whole = range(min(whole.start, other.start), max(whole.stop, other.stop))
                merged.remove(other)
        merged.append(whole)
    return merged
