"""`python -m xmdpt`: what can be asked of the model itself.

Only words, files and exit statuses; the work is in `xmdpt.parity` and `xmdpt.pose_estimation`.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from xmdpt.preprocess import to_upright


class _RefusalError(Exception):
    """A command ends early, with one line for people and its exit status."""

    def __init__(self, reason: str, status: int):
        super().__init__(reason)
        self.status = status


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, 1 for a failed check or no person, 2 for a mistake in the call."""
    parser = argparse.ArgumentParser(
        prog="python -m xmdpt", description="Check X-MDPT against the official numbers; find poses in photos."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    parity = commands.add_parser("parity", help="recompute a folder of golden numbers and print a table of errors")
    parity.add_argument("--golden", type=Path, required=True, metavar="DIR", help="folder of golden .npz files")
    parity.add_argument(
        "--variant", type=str.upper, choices=("S", "B", "L"), help="one size (default: all that the folder holds)"
    )
    pose = commands.add_parser(
        "pose", help="find the pose of the person in a photo, in the form that the service takes"
    )
    pose.add_argument("photo", type=Path, metavar="PHOTO", help="picture file; one person, as large as possible")
    pose.add_argument("--out", type=Path, metavar="FILE", help="where to write the JSON (default: the terminal)")
    pose.add_argument("--overlay", type=Path, metavar="FILE", help="where to draw the skeleton over the photo")
    options = parser.parse_args(arguments)
    try:
        if options.command == "pose":
            return _pose(options.photo, options.out, options.overlay)
        if not options.golden.is_dir():
            raise _RefusalError(f"--golden {options.golden}: no such folder", 2)
        return _parity(options.golden, options.variant)
    except _RefusalError as error:
        print(f"python -m xmdpt {options.command}: {error}", file=sys.stderr)
        return error.status


def _parity(folder: Path, size: str | None) -> int:
    from xmdpt.parity import SIZES, Skipped, parity

    held = tuple(size for size in SIZES if any(folder.glob(f"*_{size}*.npz")))
    num_checks, num_failed = 0, 0
    print(f"{'name':<44} {'error':>9} {'tolerance':>9}")
    for outcome in parity(folder, (size,) if size else held):
        if isinstance(outcome, Skipped):
            print(f"{outcome.name:<44} skipped: {outcome.reason}", flush=True)
            continue
        num_checks += 1
        num_failed += not outcome.is_within_tolerance
        verdict = "ok" if outcome.is_within_tolerance else "FAILED"
        print(f"{outcome.name:<44} {outcome.error:>9.1e} {outcome.tolerance:>9.0e} {verdict}", flush=True)
    if not num_checks:
        print(f"FAILED: {folder} holds nothing to compare", file=sys.stderr)
        return 2
    print(f"{num_checks} compared, {num_failed} over tolerance")
    return 1 if num_failed else 0


def _pose(path: Path, out: Path | None, overlay_path: Path | None) -> int:
    try:
        from xmdpt.pose_estimation import PoseEstimator
        from xmdpt.pose_estimation.presentation import overlay, pose_document
    except ModuleNotFoundError as error:
        raise _RefusalError(f"{error.name} is not installed; install xmdpt-serve[cpu]", 1) from None
    photo = _photo(path)
    pose = PoseEstimator().estimate(photo)
    if pose is None:
        raise _RefusalError(f"{path}: no person is found", 1)
    document = json.dumps(pose_document(pose, width=photo.shape[1], height=photo.shape[0]))
    try:
        if overlay_path:
            Image.fromarray(overlay(photo, pose)).save(overlay_path)
        if out:
            out.write_text(f"{document}\n")
        else:
            print(document)
    except OSError as error:
        raise _RefusalError(f"{error.filename or overlay_path or out}: {error.strerror or error}", 2) from None
    except ValueError as error:  # Pillow knows formats by their extensions
        raise _RefusalError(f"{overlay_path}: {error}", 2) from None
    num_seen = int((pose.confidence > 0).sum())
    print(f"{num_seen} of {len(pose.confidence)} key points, score {pose.score:.2f}", file=sys.stderr)
    return 0


def _photo(path: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            return np.array(to_upright(image))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or "not a picture that can be decoded"
        raise _RefusalError(f"{path}: {reason}", 2) from None


if __name__ == "__main__":
    sys.exit(main())
