"""What each command does. It raises errors as they come: `xmdpt_client.command.endings` turns them into words."""

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from xmdpt_client.client import Client
from xmdpt_client.command.arguments import FORMATS
from xmdpt_client.command.bar import progress_bar
from xmdpt_client.command.batches import make_batch, named_pose
from xmdpt_client.command.out_file import check_out, files_of, write_out
from xmdpt_client.errors import XmdptError
from xmdpt_client.inputs import PhotoOfPose
from xmdpt_client.poses import moved
from xmdpt_client.values import Generation, Job, NumberRange, Preset

# A person waits at the shell: after some 4 seconds of trying it is better to know.
_MAX_RETRIES = 3


class InterruptedJobError(Exception):
    """Ctrl-C while a job was being made; the text says what became of the job."""


def run(options: argparse.Namespace) -> None:
    """Do what the command line says."""
    with Client(options.url, options.key, max_retries=_MAX_RETRIES) as client:
        if options.command == "generate":
            _generate(client, options)
        elif options.command == "batch":
            make_batch(client, options)
        elif options.command == "strip":
            # It needs Pillow, which takes its time to load.
            from xmdpt_client.command.strips import make_strip

            make_strip(client, options)
        elif options.command == "models":
            _models(client, options)
        elif options.verb == "list":
            _list(client, options)
        elif options.verb == "result":
            _result(client, options)
        else:
            _job(client, options)


def _generate(client: Client, options: argparse.Namespace) -> None:
    for file in files_of(options.out, options.num_images):
        check_out(file, force=options.force)
    pose = PhotoOfPose(options.pose_of) if options.pose_of else named_pose(options.pose)
    is_moved = options.mirror or options.fit
    job = client.submit(
        options.source,
        moved(pose, mirror=options.mirror, fit=options.fit) if is_moved else pose,
        preset=options.preset,
        steps=options.steps,
        seed=options.seed,
        num_images=options.num_images,
        guidance=options.guidance,
        sampler=options.sampler,
        format=options.format or FORMATS.get(options.out.suffix.lower()),
        quality=options.quality,
        crop="person" if options.crop else None,
    )
    try:
        with progress_bar(quiet=options.quiet) as show:
            ended = client.wait(job, options.timeout, show)
    except KeyboardInterrupt:
        raise InterruptedJobError(_cancelled(client, job)) from None
    _deliver(client.result(ended), ended, options)


def _cancelled(client: Client, job: Job) -> str:
    """Cancel the job of somebody who has stopped waiting; says what became of it."""
    try:
        return f"interrupted; {job.id} is {client.cancel(job.id).status}"
    except XmdptError as error:
        return f"interrupted; {job.id} goes on: {error}"


def _result(client: Client, options: argparse.Namespace) -> None:
    job = client.job(options.id)
    for file in files_of(options.out, len(job.outputs) or 1):
        check_out(file, force=options.force)
    _deliver(client.result(job), job, options)


def _deliver(generation: Generation, job: Job, options: argparse.Namespace) -> None:
    files = files_of(options.out, len(generation.pictures))
    for picture, file in zip(generation.pictures, files, strict=True):
        try:
            write_out(picture, file, force=options.force)
        except OSError as error:
            advice = f"{error.strerror}; `xmdpt jobs result {job.id}` fetches the picture again"
            raise OSError(error.errno, advice, str(file)) from None
        if not (options.json or options.quiet) and sys.stderr.isatty():
            _print_line(f"{file}: seed {picture.seed}, {job.id}", sys.stderr)
    if options.json:
        _print_json(job.document)


def _job(client: Client, options: argparse.Namespace) -> None:
    """Show, wait and cancel: all of them tell how the job stands."""
    if options.verb == "show":
        job = client.job(options.id)
    elif options.verb == "cancel":
        job = client.cancel(options.id)
    else:
        with progress_bar(quiet=options.quiet) as show:
            job = client.wait(options.id, options.timeout, show)
    if options.json:
        _print_json(job.document)
    else:
        _print_line(_job_line(job))
    if options.verb == "wait" and job.status != "succeeded":
        client.result(job)  # raises why it has no picture


def _list(client: Client, options: argparse.Namespace) -> None:
    """All of the jobs, page by page."""
    cursor, is_last = None, False
    while not is_last:
        page = client.jobs(status=options.status, batch=options.batch, limit=100, cursor=cursor)
        for job in page.jobs:
            if options.json:
                _print_json(job.document)
            else:
                name = job.document.get("custom_id")
                _print_line(f"{name}, {_job_line(job)}" if name else _job_line(job))
        cursor, is_last = page.next_cursor, page.next_cursor is None


def _job_line(job: Job) -> str:
    progress = job.progress
    parts = [job.id, job.status, f"step {progress.step} of {progress.steps}", f"seed {job.seed}"]
    if job.status == "queued":
        parts.append(f"{job.position} ahead")
    if progress.eta:
        parts.append(f"ends in {progress.eta.p50_seconds:.1f} s, most likely within {progress.eta.p90_seconds:.1f} s")
    if job.error:
        parts.append(str(job.error))
    return ", ".join(parts)


def _models(client: Client, options: argparse.Namespace) -> None:
    models = client.models()
    if options.json:
        _print_json([model.document for model in models])
        return
    for model in models:
        trained = "" if model.is_trained else ", untrained: its pictures are noise"
        _print_line(f"{model.name}, {model.size[0]} x {model.size[1]} px{trained}")
        _print_line(f"  steps     {_range(model.steps)}")
        for preset in model.presets:
            _print_line(f"  preset    {_preset(preset)}")
        _print_line(f"  guidance  {_range(model.guidance)}")
        _print_line(f"  sampler   {', '.join(model.samplers)}")
        _print_line(f"  format    {', '.join(model.formats)}")
        _print_line(f"  digest    {model.digest}")


def _preset(preset: Preset) -> str:
    likeness = "" if preset.psnr_db is None else f", {preset.psnr_db:.1f} dB to exact"
    return f"{preset.name}: {preset.steps} steps in {preset.precision}{likeness}"


def _range(numbers: NumberRange) -> str:
    return f"{numbers.min:g} to {numbers.max:g} ({numbers.default:g})"


def _print_json(document: Mapping[str, Any] | list[Mapping[str, Any]]) -> None:
    _print_line(json.dumps(document))


def _print_line(text: str, stream: Any = None) -> None:
    (stream or sys.stdout).write(text + "\n")
