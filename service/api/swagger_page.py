"""/docs: the API's description as a page to try it on, made of files of this package alone.

Whether it is served at all is the composition root's decision.
"""

import gzip
from importlib.resources import files

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.domain.errors import NotFoundError

router = APIRouter(prefix="/docs", include_in_schema=False)

_FOLDER = files("service.api") / "swagger_ui"
_SCRIPT, _STYLE = "text/javascript; charset=utf-8", "text/css; charset=utf-8"
_TYPES = {"swagger-ui-bundle.js": _SCRIPT, "start.js": _SCRIPT, "swagger-ui.css": _STYLE}
_HEADERS = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
# The page may load what this gateway serves and call it, and nothing of anybody else.
_PAGE_POLICY = "; ".join(
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


@router.get("")
async def page() -> Response:
    """Needs no key: it holds nothing but the description, and asks for a key itself."""
    content = (_FOLDER / "page.html").read_bytes()
    return Response(content, headers=_HEADERS | {"Content-Security-Policy": _PAGE_POLICY}, media_type="text/html")


@router.get("/{name}")
async def part(request: Request, name: str) -> Response:
    """A file of the page; the large ones are kept compressed and sent as they are to whoever takes that."""
    if name not in _TYPES:
        raise NotFoundError("there is no such file")
    compressed = _FOLDER / f"{name}.gz"
    if not compressed.is_file():
        return Response((_FOLDER / name).read_bytes(), headers=_HEADERS, media_type=_TYPES[name])
    content = compressed.read_bytes()
    if _takes_gzip(request.headers.get("accept-encoding", "")):
        return Response(content, headers=_HEADERS | {"Content-Encoding": "gzip"}, media_type=_TYPES[name])
    return Response(gzip.decompress(content), headers=_HEADERS, media_type=_TYPES[name])


def _takes_gzip(accepted: str) -> bool:
    choices = {part.strip().replace(" ", "").lower() for part in accepted.split(",")}
    return any(choice.partition(";")[0] == "gzip" and not choice.endswith((";q=0", ";q=0.0")) for choice in choices)
