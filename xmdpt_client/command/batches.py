"""`xmdpt batch`: a file of items, or sources and poses, becomes a folder of pictures."""

import argparse
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from xmdpt_client.client import Client
from xmdpt_client.command.bar import items_bar
from xmdpt_client.command.endings import one_line
from xmdpt_client.command.out_folder import OutFolder
from xmdpt_client.errors import JobFailedError, JobStateError, NotFoundError, XmdptError
from xmdpt_client.inputs import Matrix
from xmdpt_client.values import Batch, BatchResult

_PRESET = re.compile(r"[a-z0-9_]+")
_MAX_FILE_BYTES = 100_000_000


class InterruptedBatchError(Exception):
    """Ctrl-C while a batch was being made; the text says what became of it."""


class MissingPicturesError(Exception):
    """The batch has ended, and not every item of it has a picture; the text says how many."""


def make_batch(client: Client, options: argparse.Namespace) -> None:
    """Submit a batch or take one up again, and write its pictures as they end.

    Raises:
        MissingPicturesError: not every item has a picture.
        InterruptedBatchError: somebody has stopped waiting.
        OSError, ValueError: a file or the folder can't be used.
        XmdptError: the service refuses or can't be reached.
    """
    folder = OutFolder(options.out)
    if options.resume:
        batch = client.get_batch(options.resume)
        folder.open()
    else:
        items = _items(options)
        folder.open_new(force=options.force)
        batch = _submitted(client, items, options)
        if not (options.detach or options.quiet):
            # Whatever happens to this command, somebody may want to go on.
            say(f"{batch.id}: {batch.counts.total} items", sys.stderr)
    if options.detach:
        say(json.dumps(batch.document) if options.json else batch.id)
        return
    try:
        num_missing = _collect(client, batch, folder, options)
    except KeyboardInterrupt:
        raise InterruptedBatchError(_left(client, batch, options)) from None
    except OSError as error:
        advice = f"{error.strerror}; {_advice(batch, options)}"
        raise OSError(error.errno, advice, error.filename) from None
    ended = client.get_batch(batch)
    if options.json:
        say(json.dumps(ended.document))
    elif not options.quiet:
        counts = ended.counts
        words = f"{counts.total - num_missing} of {counts.total} items have their pictures"
        say(f"{folder.path}: {words} ({batch.id})", sys.stderr)
    if num_missing:
        raise MissingPicturesError(f"{num_missing} items have no picture: {folder.results_path} says why")


def _items(options: argparse.Namespace) -> list[Mapping[str, Any]] | Matrix:
    if not options.items:
        return Matrix(options.sources, [named_pose(text) for text in options.poses])
    path: Path = options.items
    with path.open("rb") as file:
        content = file.read(_MAX_FILE_BYTES + 1)
    if len(content) > _MAX_FILE_BYTES:
        raise ValueError(f"{path} may have {_MAX_FILE_BYTES} bytes")
    lines = enumerate(content.split(b"\n"), 1)
    return [_item(line, f"{path}:{number}", path.parent) for number, line in lines if line.strip()]


def _item(line: bytes, place: str, folder: Path) -> Mapping[str, Any]:
    """One line of the file; the names of files in it go from the file's own folder."""
    try:
        item: Any = json.loads(line)
    except ValueError as error:
        raise ValueError(f"{place}: no JSON: {error}") from None
    if not isinstance(item, dict):
        raise ValueError(f"{place}: must be a JSON object")
    fields = cast("dict[str, Any]", item)
    named = {name: folder / fields[name] for name in ("source", "pose") if isinstance(fields.get(name), str)}
    for path in named.values():
        if not path.is_file():
            raise ValueError(f"{place}: {path}: no such file")
    return fields | named


def named_pose(text: str) -> Path | Mapping[str, str]:
    """A file, or the name of a preset where there is no such file."""
    path = Path(text)
    return {"preset": text} if _PRESET.fullmatch(text) and not path.exists() else path


def _submitted(client: Client, items: list[Mapping[str, Any]] | Matrix, options: argparse.Namespace) -> Batch:
    with items_bar("uploading", quiet=options.quiet) as show:
        return client.batch(
            items,
            on_progress=show,
            preset=options.preset,
            steps=options.steps,
            seed=options.seed,
            num_images=options.num_images,
            guidance=options.guidance,
            sampler=options.sampler,
            format=options.format,
            quality=options.quality,
        )


def _collect(client: Client, batch: Batch, folder: OutFolder, options: argparse.Namespace) -> int:
    """Write what ends until all has; returns how many items have no picture."""
    num_missing = 0
    with items_bar("making", quiet=options.quiet) as show, folder.results() as note:
        for result in client.batch_results(batch):
            line = _written(client, result, folder)
            num_missing += "files" not in line
            note(line)
            if show:
                show(result.number, batch.counts.total)
    return num_missing


def _written(client: Client, result: BatchResult, folder: OutFolder) -> Mapping[str, Any]:
    """The result's line, with the names of its files if all are there."""
    line = dict(result.document)
    if result.status != "succeeded":
        return line
    try:
        names = folder.names_of(result)
        for index, name in enumerate(names):
            if not folder.holds(name, result.outputs[index].sha256):
                folder.write(name, client.batch_picture(result, index).content)
    except (JobFailedError, JobStateError, NotFoundError) as error:
        return line | {"missing": one_line(str(error))}
    except ValueError as error:
        return line | {"missing": str(error)}
    return line | {"files": names}


def _left(client: Client, batch: Batch, options: argparse.Namespace) -> str:
    """What becomes of a batch that is not waited for any more: this command ends what it has begun itself."""
    advice = _advice(batch, options)
    if options.resume:
        return f"interrupted; {batch.id} is left alone: {advice}"
    try:
        return f"interrupted; {batch.id} is {client.cancel_batch(batch).status}"
    except XmdptError as error:
        return f"interrupted; {batch.id} is not cancelled: {error}; {advice}"


def _advice(batch: Batch, options: argparse.Namespace) -> str:
    return f"`xmdpt batch --resume {batch.id} -o {options.out}` goes on"


def say(text: str, stream: Any = None) -> None:
    """A line on standard output, or on another stream."""
    (stream or sys.stdout).write(text + "\n")
