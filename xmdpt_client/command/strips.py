"""`xmdpt strip`: a person moves from one pose to another; pictures in their order, and one that shows them in a row."""

import argparse
import io
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from xmdpt_client.client import Client
from xmdpt_client.command.arguments import FORMATS
from xmdpt_client.command.bar import items_bar
from xmdpt_client.command.batches import InterruptedBatchError, MissingPicturesError, named_pose, say
from xmdpt_client.command.out_file import check_out, files_of, write_out
from xmdpt_client.command.sticks import draw_sticks
from xmdpt_client.errors import JobFailedError, JobStateError, NotFoundError, XmdptError
from xmdpt_client.inputs import Matrix
from xmdpt_client.strip_conversation import place_in_strip, seed_of_a_strip
from xmdpt_client.values import Batch, BatchResult, Picture

_DEFAULT_QUALITY = 90
_MAX_COUNT = 100


def make_strip(client: Client, options: argparse.Namespace) -> None:
    """Ask for the poses and for a picture of each, write these as they are fetched, then the one that shows all.

    Raises:
        MissingPicturesError: not every pose has a picture; those that have are written.
        InterruptedBatchError: somebody has stopped waiting.
        OSError, ValueError: a file can't be used.
        XmdptError: the service refuses or can't be reached.
    """
    # More than the service makes: it refuses them, and no list of a million names is made before.
    files = files_of(options.out, min(options.count, _MAX_COUNT))
    for file in (options.out, *files):
        check_out(file, force=options.force)
    poses = client.poses_between(named_pose(options.start), named_pose(options.end), options.count)
    format_name = options.format or FORMATS.get(options.out.suffix.lower(), "png")
    batch = client.batch(
        Matrix([options.source], poses),
        preset=options.preset,
        steps=options.steps,
        seed=seed_of_a_strip({"seed": options.seed}),
        guidance=options.guidance,
        sampler=options.sampler,
        format=format_name,
        quality=options.quality,
        fit="source",
    )
    try:
        if not options.quiet:
            say(f"{batch.id}: {batch.counts.total} pictures", sys.stderr)
        pictures = _pictures(client, batch, options)
    except KeyboardInterrupt:
        raise InterruptedBatchError(_cancelled(client, batch)) from None
    for place, picture in sorted(pictures.items()):
        write_out(picture, files[place], force=options.force)
    if options.json:
        say(json.dumps(client.get_batch(batch).document))
    if len(pictures) < len(files):
        missing = len(files) - len(pictures)
        raise MissingPicturesError(
            f"{missing} of {len(files)} pictures are missing: `xmdpt jobs list --batch {batch.id}`"
        )
    made = [picture for _, picture in sorted(pictures.items())]
    write_out(_strip(made, poses if options.with_poses else (), format_name, options), options.out, force=options.force)


def _pictures(client: Client, batch: Batch, options: argparse.Namespace) -> Mapping[int, Picture]:
    """Each pose's picture, of those that have become one."""
    with items_bar("making", quiet=options.quiet) as show:
        ended: list[BatchResult] = []
        for result in client.batch_results(batch):
            ended.append(result)
            if show:
                show(len(ended), batch.counts.total)
        pictures: dict[int, Picture] = {}
        for result in ended:
            try:
                pictures[place_in_strip(result)] = client.batch_picture(result)
            except (JobFailedError, JobStateError, NotFoundError):
                continue
    return pictures


def _strip(
    pictures: Sequence[Picture], poses: Sequence[Mapping[str, Any]], format_name: str, options: argparse.Namespace
) -> Picture:
    """All pictures side by side, their poses below."""
    images = [Image.open(io.BytesIO(picture.content)).convert("RGB") for picture in pictures]
    width, height = images[0].size
    strip = Image.new("RGB", (width * len(images), height * (2 if poses else 1)))
    for place, image in enumerate(images):
        strip.paste(image, (place * width, 0))
    for place, pose in enumerate(poses):
        strip.paste(draw_sticks(pose, (width, height)), (place * width, height))
    file = io.BytesIO()
    quality = {} if format_name == "png" else {"quality": options.quality or _DEFAULT_QUALITY}
    strip.save(file, format_name, **quality)
    return Picture(file.getvalue(), f"image/{format_name}", pictures[0].seed)


def _cancelled(client: Client, batch: Batch) -> str:
    try:
        return f"interrupted; {batch.id} is {client.cancel_batch(batch).status}"
    except XmdptError as error:
        return f"interrupted; {batch.id} goes on: {error}"
