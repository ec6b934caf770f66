"""The items of a batch: what each asks for, as a line of the batch's manifest.

Which values are allowed is checked before (`service.api.batch_reader`); pixels are never here.
"""

import json
from dataclasses import dataclass
from typing import Any, cast

from service.domain.batch import ItemFailure
from service.domain.errors import NewerVersionError
from service.domain.job import Priority
from service.domain.pose import KeyPoints, key_points_from_fields
from service.domain.request import ImageFormat, OutputOptions, Sampler
from service.domain.stored_form import stored_form
from service.gateway.submission import JobOptions
from xmdpt.presets import Preset


@dataclass(frozen=True)
class ItemPose:
    """A pose, in exactly one of these ways.

    Attributes:
        pose_id: of the library.
        preset: a name.
        key_points: the points themselves.
    """

    pose_id: str | None = None
    preset: str | None = None
    key_points: KeyPoints | None = None


@dataclass(frozen=True)
class BatchItem:
    """One item.

    Attributes:
        number: its place in the call, from 0; it decides the job's id.
        custom_id: the client's name for it, or one of ours.
        cost: its row-steps.
        options: None if it can't become a job.
        source_id: of the library; None if its pictures came with the call and are stored as the job's input.
        pose: likewise, but that key points which were found in such a picture are told.
        failure: why it can't become a job.
    """

    number: int
    custom_id: str
    cost: int = 0
    options: JobOptions | None = None
    source_id: str | None = None
    pose: ItemPose | None = None
    failure: ItemFailure | None = None


def item_to_line(item: BatchItem) -> bytes:
    """JSON without a line feed."""
    return json.dumps(stored_form(item), separators=(",", ":"), allow_nan=False).encode()


def canonical(item: BatchItem) -> bytes:
    """Equal for equal items, in whatever order their fields were given."""
    return json.dumps(stored_form(item), sort_keys=True).encode()


def item_from_line(line: bytes) -> BatchItem:
    """Undo `item_to_line`.

    Raises:
        NewerVersionError: it has something that this version does not know.
        ValueError: the line is not one of its.
    """
    fields = _fields(line)
    try:
        made: dict[str, Any] = {
            "options": _options(fields["options"]) if fields["options"] else None,
            "pose": _pose(fields["pose"]) if fields["pose"] else None,
            "failure": _failure(fields["failure"]) if fields["failure"] else None,
        }
        return BatchItem(**(fields | made))
    except (KeyError, IndexError) as error:
        raise ValueError("a line of the manifest is not whole") from error
    except (TypeError, ValueError) as error:
        raise NewerVersionError("a line of the manifest is of a newer version") from error


def item_to_end_from_line(line: bytes) -> BatchItem:
    """As much of an item as it takes to end it without a job, whichever version wrote it; ValueError as above."""
    fields = _fields(line)
    try:
        return BatchItem(
            fields["number"],
            fields["custom_id"],
            fields["cost"],
            source_id=fields["source_id"],
            failure=_failure(fields["failure"]) if fields["failure"] else None,
        )
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError("a line of the manifest is not whole") from error


def _fields(line: bytes) -> dict[str, Any]:
    read = json.loads(line)
    if not isinstance(read, dict):
        raise ValueError("a line of the manifest is no object")
    return cast("dict[str, Any]", read)


def _options(fields: dict[str, Any]) -> JobOptions:
    output = fields["output"]
    made: dict[str, Any] = {
        "sampler": Sampler(fields["sampler"]),
        "preset": Preset(fields.get("preset", Preset.EXACT)),
        "output": OutputOptions(**(output | {"format": ImageFormat(output["format"])})),
        "priority": Priority(fields["priority"]),
    }
    return JobOptions(**(fields | made))


def _pose(fields: dict[str, Any]) -> ItemPose:
    points = fields["key_points"]
    made: dict[str, Any] = {"key_points": None if points is None else key_points_from_fields(points)}
    return ItemPose(**(fields | made))


def _failure(fields: dict[str, Any]) -> ItemFailure:
    return ItemFailure(fields["code"], fields["detail"], tuple((issue[0], issue[1]) for issue in fields["issues"]))
