"""A request's bytes become a checked submission: read within limits, parse, check, look up, decode, in this order.

The pieces are `strict_json`, `multipart`, `forms`, `schemas` and `uploads`; here is only their sequence.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import anyio.to_thread
from anyio import CapacityLimiter, Semaphore
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request

from service.api.forms import form_fields
from service.api.limits import UploadLimits
from service.api.multipart import parse_multipart
from service.api.pose_reading import ends_of, key_points_of, moved_as_asked
from service.api.pose_schemas import PoseFormsBody, check_pose_upload, check_strip
from service.api.schemas import (
    GenerationBody,
    OutputBody,
    SourceBody,
    SourcePhotoBody,
    check_body,
    check_source_upload,
)
from service.api.strict_json import parse_object
from service.api.uploads import decode_picture, find_person
from service.domain.errors import FieldIssue, NotFoundError, OverloadedError, RequestError
from service.domain.library import PictureKind
from service.domain.person import Frame, PersonInPhoto
from service.domain.pose import KeyPoints
from service.domain.request import DEFAULT_QUALITY, ImageFormat, OutputOptions, width_of_aspect
from service.domain.webhook import Webhook
from service.gateway.library import Library
from service.gateway.persons import Persons
from service.gateway.poses import draw_pose
from service.gateway.submission import JobOptions, Submission
from service.ports.pictures import DecodedPicture, PictureDecoder
from service.telemetry.spans import part
from xmdpt.spec import IMAGE_SIZE

# Each holds its photo in memory, and one look takes tens of milliseconds, with many persons a second.
_MAX_WAITING_LOOKS = 16
_Made = TypeVar("_Made")
_Other = TypeVar("_Other")
FormatChoice = Callable[[ImageFormat | None], ImageFormat]


def or_png(asked: ImageFormat | None) -> ImageFormat:
    """The format where `Accept` has no say."""
    return asked or ImageFormat.PNG


class SubmissionReader:
    """Reads submissions, and pictures for the library.

    Beyond their bytes only as many at a time as can be decoded, which bounds the memory.
    """

    def __init__(
        self,
        limits: UploadLimits,
        decoder: PictureDecoder,
        persons: Persons,
        default_retention_seconds: float,
        library: Library,
    ) -> None:
        self._limits, self._default_retention_seconds = limits, default_retention_seconds
        self._decoder, self._persons, self._library = decoder, persons, library
        self._turns = CapacityLimiter(decoder.num_at_a_time)
        # Of their own: who waits for a person must not keep others from having their pictures decoded.
        self._looks = Semaphore(persons.num_at_a_time)

    async def read(self, request: Request, tenant: str, choose_format: FormatChoice) -> Submission:
        """Read one request.

        Args:
            request: its body has not been read.
            tenant: whose pictures its ids can name.
            choose_format: from what `output.format` says to what will be written; may raise.

        Raises:
            RequestError: the request is not usable; names the field and the limit.
            StorageError: a picture was named by its id, and can't be looked up.
            OverloadedError: `overloaded`: no picture can be decoded at present.
            starlette.requests.ClientDisconnect: nobody is there any more.
        """
        checked, _ = await self._checked(request, lambda fields, _: check_body(fields))
        return await self.complete(checked, tenant, choose_format, request)

    async def complete(
        self, body: GenerationBody, tenant: str, choose_format: FormatChoice, request: Request
    ) -> Submission:
        """What a checked body asks for, with its pictures; arguments and errors as those of `read`.

        Args:
            body: it was read from the request, alone or with others.
            tenant: as there.
            choose_format: as there.
            request: whose body has been read.
        """
        chosen = _format(body.output, choose_format)
        source = await self._stored("source", body.source.id, tenant)
        pose = await self._stored("pose", body.pose.id, tenant)
        frame = await self._frame(body.source, "/source", request)
        photographed = await self._photographed(body.pose, "/pose", request)
        with part("decode"):
            photo, (skeleton, found_pose) = await _both(
                self._in_thread(self._photo, body, source or frame),
                self._in_thread(self._skeleton, body, pose or photographed),
            )
        options = self._options(body, chosen, photo.width_px, photo.height_px)
        return Submission(photo.pixels, skeleton, options, found_pose)

    def options(self, body: GenerationBody, width_px: int, height_px: int) -> JobOptions:
        """Everything of a checked body but its pictures.

        Args:
            body: without `output.format` it means png.
            width_px: of the photo as it was sent.
            height_px: likewise.

        Raises:
            RequestError: `validation`.
        """
        return self._options(body, _format(body.output, or_png), width_px, height_px)

    async def read_source(self, request: Request) -> DecodedPicture:
        """Read a photo for the library; raises as `read`."""
        photo, is_form = await self._checked(
            request,
            lambda fields, is_form: check_source_upload(fields if is_form else {"source": fields}),
            bare="/source",
        )
        with _bare("" if is_form else "/source"):
            pointer = "/source" if is_form else "/source/data"
            frame = await self._frame(photo, pointer, request)
            return await self._in_thread(self._decode, photo.data, pointer, frame)

    async def read_pose(self, request: Request) -> tuple[DecodedPicture, KeyPoints | None]:
        """Read a pose for the library: a drawing of 256 x 256 px, and what it was drawn from; raises as `read`."""
        pose, is_form = await self._checked(
            request, lambda fields, is_form: check_pose_upload(fields if is_form else {"pose": fields}), bare="/pose"
        )
        with _bare("" if is_form else "/pose"):
            photographed = await self._photographed(pose, "/pose" if is_form else "/pose/photo/data", request)
            pointer = "/pose" if is_form else "/pose/skeleton/data"
            pixels, key_points = await self._in_thread(self._pose, pose, pointer, photographed)
        return DecodedPicture(pixels, IMAGE_SIZE, IMAGE_SIZE), key_points

    async def read_way(self, request: Request) -> tuple[KeyPoints, KeyPoints, int]:
        """Read two poses and how many there are to be on the way; raises as `read`."""
        media_type(request.headers, "application/json")

        def ends(fields: dict[str, Any], _: bool) -> tuple[KeyPoints, KeyPoints, int]:
            strip = check_strip(fields)
            return *ends_of(strip, ""), strip.count

        made, _ = await self._checked(request, ends)
        return made

    async def _checked(
        self, request: Request, check: Callable[[dict[str, Any], bool], _Made], bare: str = ""
    ) -> tuple[_Made, bool]:
        """What `check`, in a thread, makes of the fields of the body, and whether that is a form.

        JSON that is to be the field `bare` and nothing else has pointers that begin below it.
        """
        content_type = request.headers.get("content-type", "")
        kind = media_type(request.headers, "multipart/form-data", "application/json")
        with part("receive"):
            body = await read_body(request, self._limits.max_body_bytes)
        request.state.is_body_read = True
        is_form = kind == "multipart/form-data"

        def checked() -> _Made:
            if is_form:
                return check(form_fields(parse_multipart(body, content_type), self._limits), True)
            with _bare(bare):
                return check(parse_object(body, self._limits.max_json_bytes), False)

        with part("parse"):
            return await self._in_thread(checked), is_form

    async def _frame(self, source: SourceBody | SourcePhotoBody, pointer: str, request: Request) -> Frame | None:
        """What of the photo is wanted; None for all of it."""
        if source.crop == "none" or source.data is None:
            return None
        return (await self._person(source.data, pointer, request)).frame

    async def _photographed(self, pose: PoseFormsBody, pointer: str, request: Request) -> KeyPoints | None:
        """The key points of the person in a photo, moved as asked, if the pose is one."""
        if pose.photo is None:
            return None
        found = (await self._person(pose.photo.data, pointer, request)).pose(pose.photo.frame)
        return moved_as_asked(found, pose, "/pose/photo")

    async def _person(self, content: bytes, pointer: str, request: Request) -> PersonInPhoto:
        """Of one photo at a time: the others wait, not too many of them, and whoever has left is passed over."""
        if self._looks.statistics().tasks_waiting >= _MAX_WAITING_LOOKS:
            raise OverloadedError("overloaded", "too many photos wait for a look at their persons; try again later")
        async with self._looks:
            if await request.is_disconnected():
                raise ClientDisconnect
            return await anyio.to_thread.run_sync(find_person, content, self._limits, pointer, self._persons)

    async def _in_thread(self, function: Callable[..., _Made], *arguments: Any) -> _Made:
        return await anyio.to_thread.run_sync(function, *arguments, limiter=self._turns)

    async def _stored(self, kind: PictureKind, picture_id: str | None, tenant: str) -> DecodedPicture | None:
        """The picture of the library that a request names, if it does."""
        if picture_id is None:
            return None
        try:
            stored = await self._library.find(picture_id, tenant, kind)
            return DecodedPicture(await self._library.pixels(stored), stored.width_px, stored.height_px)
        except NotFoundError:
            raise RequestError.of_field("validation", f"/{kind}/id", f"must name a {kind} of yours") from None

    def _photo(self, body: GenerationBody, source: DecodedPicture | Frame | None) -> DecodedPicture:
        """Of a picture that was not stored: what of it is wanted."""
        if isinstance(source, DecodedPicture):
            return source
        return self._decode(body.source.data or b"", "/source", source)

    def _skeleton(
        self, body: GenerationBody, pose: DecodedPicture | KeyPoints | None
    ) -> tuple[bytes, KeyPoints | None]:
        """The skeleton's pixels, and the pose of the person in a photo, if that gave it."""
        if isinstance(pose, DecodedPicture):
            return pose.pixels, None
        return self._pose(body.pose, "/pose", pose)[0], pose

    def _options(self, body: GenerationBody, chosen: ImageFormat, width_px: int, height_px: int) -> JobOptions:
        return JobOptions(
            model=body.model,
            seed=body.seed,
            num_steps=body.num_steps,
            guidance=body.guidance,
            sampler=body.sampler,
            output=_output(body, chosen, width_px, height_px),
            priority=body.priority,
            deadline_seconds=body.deadline_ms / 1000,
            retention_seconds=body.retention_s or self._default_retention_seconds,
            metadata=body.metadata,
            webhook=Webhook(body.webhook.url, tuple(body.webhook.events)) if body.webhook else None,
            num_images=body.num_images,
            preset=body.preset,
        )

    def _pose(
        self, pose: PoseFormsBody, pointer: str, photographed: KeyPoints | None
    ) -> tuple[bytes, KeyPoints | None]:
        """The skeleton's pixels, and what they were drawn from; the pointer is that of a picture."""
        if pose.skeleton:
            return self._decode(pose.skeleton.data, pointer).pixels, None
        key_points = photographed or key_points_of(pose)
        return draw_pose(key_points), key_points

    def _decode(self, content: bytes, pointer: str, frame: Frame | None = None) -> DecodedPicture:
        return decode_picture(content, self._limits, pointer, self._decoder, frame)


async def _both(first: Awaitable[_Made], second: Awaitable[_Other]) -> tuple[_Made, _Other]:
    """What both of them make, beside each other; an error of the first goes before one of the second."""
    made, other = await asyncio.gather(first, second, return_exceptions=True)
    for result in (made, other):
        if isinstance(result, BaseException):
            raise result
    return cast("tuple[_Made, _Other]", (made, other))


@contextmanager
def _bare(field: str) -> Iterator[None]:
    """The body is this field and nothing else: pointers begin below it; without a field they are as they are."""
    try:
        yield
    except RequestError as error:
        if not field:
            raise
        issues = tuple(FieldIssue(issue.pointer.removeprefix(field), issue.detail) for issue in error.issues)
        detail = error.detail
        if detail.startswith(field):
            # A fault of the whole field is one of the whole body.
            detail = detail.removeprefix(field) if detail.startswith(f"{field}/") else f"the body{detail[len(field) :]}"
        raise RequestError(error.code, detail, issues) from None


def media_type(headers: Headers, *offers: str) -> str:
    """The one of these that the body is said to be.

    Raises:
        RequestError: `media_type`, also for a body that would have to be unpacked.
    """
    given = headers.get("content-type", "").split(";", maxsplit=1)[0].strip().lower()
    if given not in offers:
        raise RequestError("media_type", f"Content-Type must be {' or '.join(offers)}")
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise RequestError("media_type", "Content-Encoding is not supported: send the body as it is")
    return given


async def read_body(request: Request, max_bytes: int) -> bytes:
    """Read as it comes, and stop at the limit: what the header announces is believed only if it is too much.

    Raises:
        RequestError: `body_too_large`.
        starlette.requests.ClientDisconnect: nobody is there any more.
    """
    announced = request.headers.get("content-length", "0")
    body = bytearray()
    if not announced.isdigit() or int(announced) <= max_bytes:
        async for chunk in request.stream():
            body += chunk
            if len(body) > max_bytes:
                break
        else:
            return bytes(body)
    raise RequestError("body_too_large", f"a request body may have {max_bytes} bytes")


def _format(output: OutputBody, choose_format: FormatChoice) -> ImageFormat:
    chosen = choose_format(output.format)
    if output.quality is not None and chosen is ImageFormat.PNG:
        raise RequestError.of_field("validation", "/output/quality", "goes with jpeg and webp, png is lossless")
    return chosen


def _output(body: GenerationBody, chosen: ImageFormat, width_px: int, height_px: int) -> OutputOptions:
    output = body.output
    return OutputOptions(
        format=chosen,
        quality=output.quality or DEFAULT_QUALITY,
        preview_every_steps=body.preview.every_steps,
        is_inline=output.delivery == "base64",
        width_px=width_of_aspect(width_px, height_px) if output.fit == "source" else None,
    )
