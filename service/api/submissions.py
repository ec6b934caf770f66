"""A request's bytes become a checked submission: read within limits, parse, check, decode, in this order.

The pieces are `strict_json`, `multipart`, `forms`, `schemas` and `uploads`; here is only their sequence.
"""

import functools
from collections.abc import Callable
from typing import Any

import anyio.to_thread
from anyio import CapacityLimiter
from starlette.requests import Request

from service.api.forms import form_fields
from service.api.limits import UploadLimits
from service.api.multipart import parse_multipart
from service.api.schemas import GenerationBody, OutputBody, check_body
from service.api.strict_json import parse_object
from service.api.uploads import DecodedPicture, decode_photo, decode_skeleton
from service.domain.errors import RequestError
from service.domain.pose import parse_key_points
from service.domain.request import DEFAULT_QUALITY, ImageFormat, OutputOptions, width_of_aspect
from service.gateway.pose_presets import PRESETS
from service.gateway.poses import draw_pose
from service.gateway.submission import JobOptions, Submission

# A decoded picture of the largest size takes 50 MB and more: two at a time bound the gateway's memory.
_MAX_DECODERS = 2

FormatChoice = Callable[[ImageFormat | None], ImageFormat]


class SubmissionReader:
    """Reads submissions, at most two of them at a time beyond their bytes."""

    def __init__(self, limits: UploadLimits, default_retention_seconds: float) -> None:
        self._limits, self._default_retention_seconds = limits, default_retention_seconds
        self._decoders = CapacityLimiter(_MAX_DECODERS)

    async def read(self, request: Request, choose_format: FormatChoice) -> Submission:
        """Read one request.

        Args:
            request: its body has not been read.
            choose_format: from what `output.format` says to what will be written; may raise.

        Raises:
            RequestError: the request is not usable; names the field and the limit.
            starlette.requests.ClientDisconnect: nobody is there any more.
        """
        content_type = request.headers.get("content-type", "")
        media_type = _media_type(content_type, request.headers.get("content-encoding", "identity"))
        body = await _read_body(request, self._limits.max_body_bytes)
        request.state.is_body_read = True
        job = functools.partial(self._submission, body, media_type, content_type, choose_format)
        return await anyio.to_thread.run_sync(job, limiter=self._decoders)

    def _submission(self, body: bytes, media_type: str, content_type: str, choose_format: FormatChoice) -> Submission:
        fields: dict[str, Any]
        if media_type == "multipart/form-data":
            fields = form_fields(parse_multipart(body, content_type), self._limits)
        else:
            fields = parse_object(body, self._limits.max_json_bytes)
        checked = check_body(fields)
        chosen = _format(checked.output, choose_format)
        photo = decode_photo(checked.source.data, self._limits, "/source")
        return Submission(photo.pixels, self._skeleton(checked), self._options(checked, chosen, photo))

    def _options(self, body: GenerationBody, chosen: ImageFormat, photo: DecodedPicture) -> JobOptions:
        return JobOptions(
            model=body.model,
            seed=body.seed,
            num_steps=body.steps,
            guidance=body.guidance,
            sampler=body.sampler,
            output=_output(body, chosen, photo),
            priority=body.priority,
            deadline_seconds=body.deadline_ms / 1000,
            retention_seconds=body.retention_s or self._default_retention_seconds,
            metadata=body.metadata,
        )

    def _skeleton(self, body: GenerationBody) -> bytes:
        pose = body.pose
        if pose.skeleton:
            return decode_skeleton(pose.skeleton.data, self._limits, "/pose")
        if pose.preset:
            return PRESETS[pose.preset].skeleton
        width, height = pose.size or (0, 0)
        left, top = pose.origin or (0, 0)
        return draw_pose(parse_key_points(pose.keypoints or [], (width, height), (left, top)))


def _media_type(content_type: str, content_encoding: str) -> str:
    media_type = content_type.split(";", maxsplit=1)[0].strip().lower()
    if media_type not in ("multipart/form-data", "application/json"):
        raise RequestError("media_type", "Content-Type must be multipart/form-data or application/json")
    if content_encoding.strip().lower() != "identity":
        raise RequestError("media_type", "Content-Encoding is not supported: send the body as it is")
    return media_type


async def _read_body(request: Request, max_bytes: int) -> bytes:
    """Read as it comes, and stop at the limit: what the header announces is believed only if it is too much."""
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


def _output(body: GenerationBody, chosen: ImageFormat, photo: DecodedPicture) -> OutputOptions:
    output = body.output
    return OutputOptions(
        format=chosen,
        quality=output.quality or DEFAULT_QUALITY,
        preview_every_steps=body.preview.every_steps,
        is_inline=output.delivery == "base64",
        width_px=width_of_aspect(photo.width_px, photo.height_px) if output.fit == "source" else None,
    )
