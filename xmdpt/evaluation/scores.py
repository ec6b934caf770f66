"""From drawn pictures and true photos to figures: one row a pair, then the means and the distances between the sets.

Does not draw pictures nor write reports (`xmdpt.evaluation.pictures`, `xmdpt.evaluation.report`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from xmdpt.evaluation.dataset import Dataset
from xmdpt.evaluation.frechet import Statistics, frechet_distance
from xmdpt.evaluation.metrics import at_protocol_size, psnr, ssim, ssim_window_51
from xmdpt.evaluation.pairs import Pair
from xmdpt.evaluation.pictures import picture_path, read_picture
from xmdpt.evaluation.reference_photos import ReferenceStatistics
from xmdpt.pose_estimation import PoseEstimator
from xmdpt.pose_estimation.accuracy.pck import count_correct
from xmdpt.skeleton import MISSING
from xmdpt.spec import IMAGE_SIZE, NUM_KEY_POINTS

Pictures = NDArray[np.uint8]
PerPicture = Callable[[Pictures], NDArray[np.float32]]
PerPair = Callable[[Pictures, Pictures], NDArray[np.float32]]


@dataclass(frozen=True)
class Networks:
    """What is computed beside SSIM and PSNR; None where the user brought no weights.

    Attributes:
        source_vectors: of photos and pictures [B, 256, 256, 3], for extractor_frechet_distance.
        poses: for the pictures' poses.
        lpips: of pictures and targets at the protocol's size.
        inception: features at the protocol's size.
        fid_reference: statistics of the training photos; with `inception`.
    """

    source_vectors: PerPicture
    poses: PoseEstimator
    lpips: PerPair | None = None
    inception: PerPicture | None = None
    fid_reference: ReferenceStatistics | None = None


@dataclass
class Scores:
    """The figures of one evaluation.

    Attributes:
        per_pair: figures by name, one a pair, in the pairs' order.
        between_sets: figures of the whole set by name.
    """

    per_pair: dict[str, list[float]] = field(default_factory=dict)
    between_sets: dict[str, float] = field(default_factory=dict)


def score(dataset: Dataset, folder: Path, networks: Networks, batch_size: int) -> Scores:
    """Compare the picture of every pair with its target; shows progress on the error stream.

    Args:
        dataset: the pairs, all of which have their picture.
        folder: of pictures.
        networks: see there.
        batch_size: pictures that a network sees at once.

    Raises:
        InputError: a picture or a photo is damaged.
    """
    scores = Scores()
    drawn, true, seen = Statistics(), Statistics(), Statistics()
    num_correct, num_asked = 0, 0
    with tqdm(total=len(dataset.pairs), desc="scores", unit="picture") as progress:
        for start in range(0, len(dataset.pairs), batch_size):
            pairs = dataset.pairs[start : start + batch_size]
            pictures = np.stack([read_picture(picture_path(folder, pair)) for pair in pairs])
            targets = np.stack([dataset.target(pair) for pair in pairs])
            small_pictures, small_targets = _small(pictures), _small(targets)
            for sides in zip(pictures, targets, small_pictures, small_targets, strict=True):
                _append(scores.per_pair, _figures(*sides))
            for pair, picture in zip(pairs, pictures, strict=True):
                count = count_correct(
                    _pose(picture, dataset.target_aspect(pair), networks.poses), _asked(dataset, pair)
                )
                num_correct, num_asked = num_correct + count.num_correct, num_asked + count.num_true
            if networks.lpips:
                scores.per_pair.setdefault("lpips", []).extend(networks.lpips(small_pictures, small_targets).tolist())
            if networks.inception:
                seen.add(networks.inception(small_pictures))
            drawn.add(networks.source_vectors(pictures))
            true.add(networks.source_vectors(targets))
            progress.update(len(pairs))
    if num_asked:
        scores.between_sets["pck"] = num_correct / num_asked
    if networks.fid_reference:
        reference = networks.fid_reference
        scores.between_sets["fid"] = frechet_distance(
            seen.mean(), seen.covariance(), reference.mean, reference.covariance
        )
    scores.between_sets["extractor_frechet_distance"] = frechet_distance(
        drawn.mean(), drawn.covariance(), true.mean(), true.covariance()
    )
    return scores


def _pose(picture: Pictures, aspect: float, poses: PoseEstimator) -> NDArray[np.floating]:
    found = poses.estimate(picture, aspect)
    return np.full((NUM_KEY_POINTS, 2), MISSING) if found is None else found.key_points


def _asked(dataset: Dataset, pair: Pair) -> NDArray[np.float64]:
    """The key points that can be in the picture."""
    points = dataset.pose(pair)
    return np.where(((points >= 0) & (points < IMAGE_SIZE)).all(axis=1, keepdims=True), points, MISSING)


def _small(pictures: Pictures) -> Pictures:
    return np.stack([at_protocol_size(picture) for picture in pictures])


def _figures(picture: Pictures, target: Pictures, small_picture: Pictures, small_target: Pictures) -> dict[str, float]:
    return {
        "ssim": ssim(small_picture, small_target),
        "psnr": psnr(small_picture, small_target),
        "ssim_window_51": ssim_window_51(small_picture, small_target),
        "ssim_256x256": ssim(picture, target),
        "psnr_256x256": psnr(picture, target),
    }


def _append(rows: dict[str, list[float]], figures: dict[str, float]) -> None:
    for name, value in figures.items():
        rows.setdefault(name, []).append(value)
