"""multipart/form-data (RFC 7578) from memory: no temporary files, every count bounded.

It splits a body into parts; what they mean is up to `service.api.forms`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, MultipartState, parse_options_header

from service.domain.errors import RequestError

MAX_FILES = 2
MAX_FIELDS = 32
_MAX_BOUNDARY = 70  # RFC 2046, section 5.1.1


@dataclass
class Part:
    """One part of a form.

    Attributes:
        name: of the field.
        is_file: it has a file name.
        content_type: as the sender says, lower case, without parameters; empty if it says nothing.
        content: the bytes.
    """

    name: str = ""
    is_file: bool = False
    content_type: str = ""
    content: bytearray = field(default_factory=bytearray)


class _Collector:
    """Receives the parser's callbacks and keeps the parts."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self._header_name = bytearray()
        self._header_value = bytearray()

    def on_part_begin(self) -> None:
        self.parts.append(Part())

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def on_header_end(self) -> None:
        value, options = parse_options_header(self._header_value.decode("latin-1"))
        header, part = bytes(self._header_name).lower(), self.parts[-1]
        if header == b"content-disposition" and value == b"form-data" and b"name" in options:
            part.name = options[b"name"].decode("utf-8", "replace")
            part.is_file = b"filename" in options
        elif header == b"content-type":
            part.content_type = value.decode("latin-1")
        elif header == b"content-transfer-encoding" and value not in (b"binary", b"8bit", b"7bit"):
            raise RequestError("malformed_request", "a part of the form has a transfer encoding; send it as it is")
        self._header_name, self._header_value = bytearray(), bytearray()

    def on_headers_finished(self) -> None:
        if not self.parts[-1].name:
            raise RequestError("malformed_request", "a part of the form has no name")
        num_files = sum(part.is_file for part in self.parts)
        if num_files > MAX_FILES or len(self.parts) - num_files > MAX_FIELDS:
            raise RequestError(
                "malformed_request", f"a form may have {MAX_FILES} files and {MAX_FIELDS} other fields, not more"
            )

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].content += memoryview(data)[start:end]


def parse_multipart(body: bytes, content_type: str) -> Sequence[Part]:
    """Split a form into its parts, in their order.

    Args:
        body: the whole body.
        content_type: the request's header, which names the boundary.

    Raises:
        RequestError: `malformed_request`: no boundary, a broken or unfinished form, too many parts.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= _MAX_BOUNDARY:
        raise RequestError("malformed_request", f"Content-Type must name a boundary of 1 to {_MAX_BOUNDARY} characters")
    collector = _Collector()
    names = ("part_begin", "header_field", "header_value", "header_end", "headers_finished", "part_data")
    try:
        parser = MultipartParser(boundary, {f"on_{name}": getattr(collector, f"on_{name}") for name in names})  # pyright: ignore[reportArgumentType]
        parser.write(body)
    except FormParserError:
        raise RequestError("malformed_request", "the multipart form is broken") from None
    if parser.state != MultipartState.END:
        raise RequestError("malformed_request", "the multipart form ends before its last boundary")
    return collector.parts
