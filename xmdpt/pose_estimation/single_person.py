"""The one person in a photo, or why its pose can't be taken from it: what the service asks for.

Does not find poses itself (`xmdpt.pose_estimation.estimator`). docs/pose-estimation.md says what each limit is worth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from xmdpt.pose_estimation.estimator import EstimatedPose, PoseEstimator
from xmdpt.pose_estimation.framing import Torso, person_frame, torso_of
from xmdpt.pose_estimation.parts import detect_in_parts
from xmdpt.pose_estimation.regions import Region
from xmdpt.preprocess import Frame

Reason = Literal["no_person", "several_persons", "person_too_small", "person_out_of_frame"]

# Of those surer than this 99 of 100 are persons' poses; moons and logos reach less.
_LEAST_SCORE = 0.7
# Torsos of smaller persons than this part of the largest one's length are of bystanders.
_COMPARABLE = 0.5
# Torsos that lie closer together than this part of the shorter one's length are of one person, found twice.
_LEAST_DISTANCE = 0.5
# Below it, key points come out far worse than on larger photos; of a whole person it is a height of 60 px or so.
LEAST_TORSO_PX = 16
# Each costs two runs of the landmark model; a crowd is known by its first members.
_MOST_REGIONS = 6


class UnsuitablePhotoError(Exception):
    """No pose is taken from this photo.

    Attributes:
        reason: which of the checks it fails.
        detail: what it must show, and what was found.
    """

    def __init__(self, reason: Reason, detail: str):
        super().__init__(detail)
        self.reason: Reason = reason
        self.detail = detail


@dataclass(frozen=True)
class FoundPerson:
    """The person in a photo.

    Attributes:
        key_points: [18, 2] float32 (x, y) in px of the photo; -1, -1 where missing.
        frame: around the person, as the model's photos show persons; may reach beyond the photo.
    """

    key_points: NDArray[np.float32]
    frame: Frame


def find_person(estimator: PoseEstimator, photo: NDArray[np.uint8]) -> FoundPerson:
    """Find the person in a photo: the only one, or by far the largest.

    Args:
        estimator: finds the poses.
        photo: [H, W, 3] uint8 RGB, upright and not stretched.

    Raises:
        UnsuitablePhotoError: nobody is found, several persons of comparable size, too small a person, or one of whom
            no shoulder or no hip is seen.
        ValueError: the photo has another dtype or shape.
    """
    poses = _poses(estimator, photo)
    if not poses:
        raise UnsuitablePhotoError(
            "no_person",
            "must show a person: upright, head included, and at least a fifth of the picture's longer side high; "
            "nobody was found",
        )
    pose, torso = _largest(_distinct(poses))
    if torso is None:
        raise UnsuitablePhotoError(
            "person_out_of_frame",
            f"must show the person from the head to the hips; {_unseen(pose)} in the picture",
        )
    if torso.length < LEAST_TORSO_PX:
        raise UnsuitablePhotoError(
            "person_too_small",
            f"must show the person larger: shoulders and hips at least {LEAST_TORSO_PX} px apart, not "
            f"{torso.length:.0f}; send a larger picture, or one that is cut to the person",
        )
    height, width = photo.shape[:2]
    return FoundPerson(pose.key_points, person_frame(pose.key_points, torso, width, height))


def _poses(estimator: PoseEstimator, photo: NDArray[np.uint8]) -> list[EstimatedPose]:
    """The pose of the most prominent person, then those of all regions if there are several; some may be there twice.

    If that is nobody: the persons who are small in the photo.
    """
    detected = estimator.detect(photo)
    first = estimator.most_prominent(photo, detected)
    if first is None or first.score < _LEAST_SCORE:
        return _poses_in(estimator, photo, detect_in_parts(estimator, photo))
    return [first, *(_poses_in(estimator, photo, detected) if len(detected) > 1 else [])]


def _poses_in(estimator: PoseEstimator, photo: NDArray[np.uint8], regions: Sequence[Region]) -> list[EstimatedPose]:
    poses = (estimator.pose_in(photo, region) for region in regions[:_MOST_REGIONS])
    return [pose for pose in poses if pose is not None and pose.score >= _LEAST_SCORE]


_Person = tuple[EstimatedPose, Torso | None]


def _distinct(poses: Sequence[EstimatedPose]) -> list[_Person]:
    """Each person once; those without a torso only if nobody has one, for nothing tells them from each other."""
    persons: list[_Person] = []
    for pose in poses:
        torso = torso_of(pose.key_points)
        if torso and all(_is_apart(torso, other) for _, other in persons if other):
            persons.append((pose, torso))
    return persons or [(poses[0], None)]


def _is_apart(one: Torso, other: Torso) -> bool:
    distance = float(np.hypot(*(one.middle - other.middle)))
    return distance >= _LEAST_DISTANCE * min(one.length, other.length)


def _largest(persons: Sequence[_Person]) -> _Person:
    """The person with the longest torso, if no other one's is of comparable length."""
    pose, torso = max(persons, key=lambda person: person[1].length if person[1] else 0.0)
    if torso is None:
        return pose, None
    num_comparable = sum(other is not None and other.length >= _COMPARABLE * torso.length for _, other in persons)
    if num_comparable > 1:
        raise UnsuitablePhotoError(
            "several_persons",
            f"must show one person, or one by far the largest; {num_comparable} of comparable size were found: cut the "
            "picture to one of them",
        )
    return pose, torso


def _unseen(pose: EstimatedPose) -> str:
    has_shoulder, has_hip = ((pose.confidence[places] > 0).any() for places in ([1, 2, 5], [8, 11]))
    if has_shoulder:
        return "no hip is"
    return "no shoulder is" if has_hip else "neither a shoulder nor a hip is"
