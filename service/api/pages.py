"""/playground and /status: pages for people, made of files of this package, which call the API as any client does.

Whether they are served is the composition root's decision.
"""

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from service.api.page_files import PageFiles

router = APIRouter(include_in_schema=False)

_FILES = PageFiles("pages")


@router.get("/")
async def home() -> Response:
    """A browser that was given the bare address is led on; it may be led elsewhere one day, hence not for ever."""
    return RedirectResponse("/playground", status_code=302)


@router.get("/playground")
async def playground(request: Request) -> Response:
    """Needs no key: it holds nothing of anybody, and asks for a key when the API wants one."""
    return _FILES.page("playground/index.html").answer(request)


@router.get("/status")
async def status(request: Request) -> Response:
    """Likewise."""
    return _FILES.page("status/index.html").answer(request)


@router.get("/pages/{name:path}")
async def part(request: Request, name: str) -> Response:
    """A file of theirs."""
    return _FILES.part(name).answer(request)
