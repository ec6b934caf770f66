"""The command line of `xmdpt`: names, ranges and help. What is done with it is `xmdpt_client.command.actions`'."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from xmdpt_client.client import DEFAULT_URL

STANDARD_OUTPUT = Path("-")
FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}

_EPILOG = """\
environment:
  XMDPT_URL      address of the service, if --url is not given
  XMDPT_API_KEY  key, if --key is not given; other users of the computer can't see it there

exit status:
  0  done
  1  the service failed, something else answers at its address, or an item of a batch has no picture
  2  the command line, a file, or an address can't be used
  3  the service refuses: the request, the key, or the id is wrong
  4  the job has no picture: failed, cancelled, not ended yet, or deleted after its time
  5  try again later: nobody answers, the service is full, or the time to wait is over
  130  interrupted; the job or batch that was being made is cancelled, once the service has named it
"""


AddParser = Callable[..., argparse.ArgumentParser]
"""`add_parser` of a group of commands."""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="xmdpt",
        description="A photo and a pose go in, the same person in that pose comes out.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_generate(commands.add_parser)
    _add_batch(commands.add_parser)
    _add_strip(commands.add_parser)
    jobs = commands.add_parser("jobs", help="list jobs, look at a job, wait for it, cancel it, fetch its picture")
    verbs = jobs.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, text in (
        ("show", "the job as it stands"),
        ("wait", "wait until it has ended"),
        ("cancel", "end a job that is no longer wanted"),
        ("result", "write the pictures of a job that has ended"),
    ):
        command = _add(verbs.add_parser, verb, text)
        command.add_argument("id", metavar="ID", help="job_ and 32 hex digits")
        if verb == "wait":
            _add_timeout(command)
        if verb == "result":
            _add_out(command)
    listing = _add(verbs.add_parser, "list", "the jobs of this key, the newest first")
    listing.add_argument("--batch", metavar="ID", help="only those of this batch: bat_ and 32 hex digits")
    listing.add_argument(
        "--status", help="only those that are queued, running, cancelling, succeeded, failed, cancelled"
    )
    _add(commands.add_parser, "models", "what the service can do")
    return top


def _add_generate(add_parser: AddParser) -> None:
    command = _add(add_parser, "generate", "make pictures and write them to files")
    command.add_argument("source", type=Path, metavar="PHOTO", help="the person: a PNG, JPEG or WebP file")
    pose = command.add_mutually_exclusive_group(required=True)
    pose.add_argument("--pose", help="key points (a .json file: docs/poses.md), a skeleton picture, or a preset's name")
    pose.add_argument("--pose-of", type=Path, metavar="PHOTO", help="a photo of somebody in the pose that is wanted")
    command.add_argument("--crop", action="store_true", help="of PHOTO, take the frame around the person")
    command.add_argument("--mirror", action="store_true", help="swap left and right of a pose that has key points")
    command.add_argument("--fit", action="store_true", help="have it fill the picture")
    _add_out(command)
    _add_params(command, "what OUT ends in, else png")
    _add_timeout(command)


def _add_batch(add_parser: AddParser) -> None:
    command = _add(
        add_parser, "batch", "make many pictures, and write them to a folder as they end; Ctrl-C cancels what is left"
    )
    command.add_argument(
        "items",
        type=Path,
        nargs="?",
        metavar="ITEMS",
        help='a line an item: {"custom_id": "a", "source": "photo.jpg", "pose": "pose.json"}, and what a request may '
        "hold besides (docs/api.md); files are named from the folder of ITEMS",
    )
    command.add_argument("--sources", type=Path, nargs="+", metavar="PHOTO", help="instead: each of these persons ...")
    command.add_argument(
        "--poses", nargs="+", metavar="POSE", help="... in each of these poses: files, or preset names"
    )
    command.add_argument("--resume", metavar="ID", help="instead: go on with a batch, and fetch what is missing")
    command.add_argument(
        "-o",
        "--out",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="for the pictures and results.jsonl; new or empty",
    )
    command.add_argument("--force", action="store_true", help="write into a folder that holds something")
    command.add_argument("--detach", action="store_true", help="submit, print the batch's id and don't wait")
    _add_params(command, "png")


def _add_strip(add_parser: AddParser) -> None:
    command = _add(
        add_parser, "strip", "have a person move from one pose to another, and show that in a row; Ctrl-C cancels"
    )
    command.add_argument("source", type=Path, metavar="PHOTO", help="the person: a PNG, JPEG or WebP file")
    for name, target, which in (("--from", "start", "first"), ("--to", "end", "last")):
        command.add_argument(
            name, dest=target, required=True, metavar="POSE", help=f"the {which} pose: a .json file, or a preset's name"
        )
    command.add_argument("--count", type=int, default=8, metavar="N", help="2 to 100 pictures, with both ends (8)")
    _add_out(command)
    command.add_argument("--with-poses", action="store_true", help="draw each picture's pose below it")
    _add_sampling(command, "what OUT ends in, else png")


def check_batch(command_line: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Exactly one of the three ways to name a batch; ends the program otherwise."""
    is_matrix = bool(options.sources or options.poses)
    if [options.items is not None, is_matrix, options.resume is not None].count(True) != 1:
        command_line.error("give ITEMS, --sources with --poses, or --resume")
    if is_matrix and not (options.sources and options.poses):
        command_line.error("--sources and --poses belong together")
    if options.resume and options.detach:
        command_line.error("--resume waits, so it can't be used with --detach")


def _add_params(command: argparse.ArgumentParser, default_format: str) -> None:
    command.add_argument(
        "--num-images", type=int, default=1, metavar="N", help="1 to 8 (1); several are written to OUT-0, OUT-1, ..."
    )
    _add_sampling(command, default_format)


def _add_sampling(command: argparse.ArgumentParser, default_format: str) -> None:
    command.add_argument(
        "--preset", help="exact, fast or draft, as `xmdpt models` lists them (exact); --steps beside it comes first"
    )
    command.add_argument("--steps", type=int, help="denoising steps, 2 to 250 (50; of draft 20)")
    command.add_argument("--seed", type=int, help="the same request with the same seed gives the same picture (drawn)")
    command.add_argument("--guidance", type=float, help="1 to 10; 1 is none (2)")
    command.add_argument("--sampler", help="ddim or dpmpp_2m (ddim)")
    command.add_argument("--format", choices=("png", "jpeg", "webp"), help=f"({default_format})")
    command.add_argument("--quality", type=int, help="1 to 100, of jpeg and webp (90)")


def _add(add_parser: AddParser, name: str, text: str) -> argparse.ArgumentParser:
    """A command with the options that all have."""
    command = add_parser(
        name, help=text, description=text, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    environment = os.environ
    command.add_argument("--url", default=environment.get("XMDPT_URL") or DEFAULT_URL, help="address of the service")
    command.add_argument("--key", default=environment.get("XMDPT_API_KEY") or None, help="API key")
    command.add_argument("--json", action="store_true", help="for machines: the service's own JSON on standard output")
    command.add_argument("--quiet", action="store_true", help="no progress bar and no closing line")
    return command


def _add_out(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "-o", "--out", type=Path, required=True, help="file to write, - for standard output; one that exists is kept"
    )
    command.add_argument("--force", action="store_true", help="write over a file that exists")


def _add_timeout(command: argparse.ArgumentParser) -> None:
    command.add_argument("--timeout", type=float, metavar="SECONDS", help="wait for so long at most (without end)")
