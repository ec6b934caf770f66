"""Key points that nobody annotated: estimated from the photos, and kept as a file that --key-points takes.

Does not find poses itself (`xmdpt.pose_estimation`).
"""

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from xmdpt.evaluation.dataset import Dataset
from xmdpt.evaluation.key_points import KeyPoints
from xmdpt.evaluation.mistakes import InputError, RunError
from xmdpt.evaluation.pairs import Pair
from xmdpt.pose_estimation import EstimatedPose, PoseEstimator
from xmdpt.spec import IMAGE_SIZE

_DIGEST = "photo_sha256"


def estimate_key_points(dataset: Dataset, estimator: PoseEstimator, path: Path) -> KeyPoints:
    """Estimate the poses of all target photos; shows progress on the error stream.

    Lines that the file already has stay if they are of the same photo, so a run that was stopped goes on; so do lines
    that bear no photo's digest, which somebody else wrote.

    Args:
        dataset: its photos are all there; its key points are not looked at.
        estimator: finds the poses.
        path: JSON lines; folder and file are made if need be.

    Raises:
        InputError: a photo or the file is damaged, or no person is found in a photo; the poses found are in the file.
        RunError: the file cannot be written.
    """
    kept, lines = _read(path), dict[str, str]()
    targets, without = dict[str, Pair](), list[Pair]()
    for pair in dataset.pairs:
        targets.setdefault(pair.target, pair)
    try:
        for name, pair in tqdm(targets.items(), desc="poses", unit="photo"):
            photo, aspect = dataset.target(pair), dataset.target_aspect(pair)
            digest = hashlib.sha256(photo.tobytes() + repr(aspect).encode()).hexdigest()
            known_digest, line = kept.get(name, ("", ""))
            if known_digest in {None, digest}:
                lines[name] = line
            elif pose := estimator.estimate(photo, aspect):
                lines[name] = _line(name, digest, pose)
            else:
                without.append(pair)
    finally:
        _write(path, lines.values())
    if without:
        rest = f", nor in {len(without) - 1} other photos" if len(without) > 1 else ""
        raise InputError(
            f"{dataset.pair_file}:{without[0].line}: no person is found in {without[0].target}{rest}; add the key "
            f"points to {path}, or leave the pair out"
        )
    return KeyPoints(path)


def _line(name: str, digest: str, pose: EstimatedPose) -> str:
    points = [
        point if is_seen else None for point, is_seen in zip(pose.key_points.tolist(), pose.confidence > 0, strict=True)
    ]
    return json.dumps({"name": name, "keypoints": points, "size": [IMAGE_SIZE, IMAGE_SIZE], _DIGEST: digest})


def _read(path: Path) -> dict[str, tuple[str | None, str]]:
    """Digest, if any, and line by name."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{path}: cannot be read; remove it") from None
    found = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            found[row["name"]] = (row.get(_DIGEST), line)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise InputError(f"{path}:{number}: not a line of key points; correct or remove it") from None
    return found


def _write(path: Path, lines: Iterable[str]) -> None:
    unfinished = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        # Renamed when whole: a run that is killed leaves no half file.
        os.replace(unfinished, path)
    except OSError as error:
        raise RunError(f"{path}: {error.strerror}; give another --out") from None
