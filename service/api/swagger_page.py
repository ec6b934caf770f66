"""/docs: the API's description as a page to try it on, made of files of this package alone.

Whether it is served at all is the composition root's decision.
"""

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.api.page_files import PageFiles

router = APIRouter(prefix="/docs", include_in_schema=False)

_FILES = PageFiles("swagger_ui")


@router.get("")
async def page(request: Request) -> Response:
    """Needs no key: it holds nothing but the description, and asks for a key itself."""
    return _FILES.page("page.html").answer(request)


@router.get("/{name}")
async def part(request: Request, name: str) -> Response:
    """A file of the page."""
    return _FILES.part(name).answer(request)
