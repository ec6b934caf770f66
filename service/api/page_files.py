"""The files that pages for people are made of: found once, sent compressed where they are kept so, never sent twice.

It says nothing of what the pages do (`service.api.pages`, `service.api.swagger_page`).
"""

import gzip
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.requests import Request
from starlette.responses import Response

from service.api.conditional import entity_tag, is_known
from service.domain.errors import NotFoundError

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
    "webp": "image/webp",
    "json": "application/json",
}
# A page may load what this gateway serves and call it, and nothing of anybody else.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


@dataclass(frozen=True)
class PageFile:
    """One of them.

    Attributes:
        content: as it is kept.
        media_type: of what it is when it is not compressed.
        is_compressed: it is kept as gzip.
        tag: of its content, for `ETag`.
    """

    content: bytes
    media_type: str
    is_compressed: bool
    tag: str

    def answer(self, request: Request) -> Response:
        """The file, or 304 for who has it; a page comes with what it may load."""
        headers = {"Cache-Control": "no-cache", "ETag": self.tag}
        if self.is_compressed:
            headers["Vary"] = "Accept-Encoding"
        if self.media_type == _TYPES["html"]:
            headers["Content-Security-Policy"] = _POLICY
        if is_known(",".join(request.headers.getlist("if-none-match")), self.tag):
            return Response(status_code=304, headers=headers)
        content = self.content
        if self.is_compressed and _takes_gzip(request.headers.get("accept-encoding", "")):
            headers["Content-Encoding"] = "gzip"
        elif self.is_compressed:
            content = gzip.decompress(content)
        return Response(content, headers=headers, media_type=self.media_type)


class PageFiles:
    """A folder of this package, by the names under which its files are asked for."""

    def __init__(self, folder: str) -> None:
        """Read the folder; what is of none of the types that a page can load, such as a licence, is left out."""
        self._found: Mapping[str, PageFile] = dict(_walk(files("service.api") / folder))

    @property
    def names(self) -> list[str]:
        """Of all files, as paths below the folder."""
        return list(self._found)

    def page(self, name: str) -> PageFile:
        """A page, which is asked for by an address of its own."""
        return self._found[name]

    def part(self, name: str) -> PageFile:
        """What a page loads; NotFoundError if there is no such file, or it is a page itself."""
        if name not in self._found or name.endswith(".html"):
            raise NotFoundError("there is no such file")
        return self._found[name]


def _walk(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, PageFile]]:
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
            continue
        name = entry.name.removesuffix(".gz")
        media_type = _TYPES.get(name.rpartition(".")[2])
        if media_type:
            content = entry.read_bytes()
            tag = entity_tag(hashlib.sha256(content).hexdigest())
            yield prefix + name, PageFile(content, media_type, name != entry.name, tag)


def _takes_gzip(accepted: str) -> bool:
    choices = {part.strip().replace(" ", "").lower() for part in accepted.split(",")}
    return any(choice.partition(";")[0] == "gzip" and not choice.endswith((";q=0", ";q=0.0")) for choice in choices)
