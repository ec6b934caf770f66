"""The two models and the order in which they are asked: detect, choose a region, find landmarks, look again.

Does not decode what they answer (`xmdpt.pose_estimation.detections`, `xmdpt.pose_estimation.landmarks`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from xmdpt.pose_estimation.crops import cut, letterbox, resized
from xmdpt.pose_estimation.detections import regions
from xmdpt.pose_estimation.landmarks import Landmarks, landmarks
from xmdpt.pose_estimation.openpose import key_points
from xmdpt.pose_estimation.regions import Region, whole_picture
from xmdpt.skeleton import MISSING

_MODELS = Path(__file__).with_name("models")
_DETECTOR = "pose_detection.onnx"
_LANDMARKER = "pose_landmark_full.onnx"
# As in mediapipe. Cups and clocks reach more, so the detector must have seen a person as well.
_LEAST_SCORE = 0.5
# The detector is led by the face: where that is hidden, the whole picture may be the better region. Its score must be
# higher by this factor, for it is often a little higher where it is wrong: in a portrait it sees a small whole body.
_WHOLE_HANDICAP = 0.7
# Landmarks tell the region better than the detector does. Looking again there lowers mean errors by up to a fifth; the
# better crop's score may be a bit lower.
_LEAST_GAIN = 0.9
# What the service takes as a pose.
_FEWEST_POINTS = 3


@dataclass(frozen=True)
class EstimatedPose:
    """The pose of one person in a photo.

    Attributes:
        key_points: [18, 2] float32 (x, y) in px of the photo, in OpenPose (COCO-18) order; -1, -1 where missing.
        confidence: [18] float32 in 0..1, how visible each is; 0 where missing.
        score: 0..1, how sure it is that the pose is a person's.
    """

    key_points: NDArray[np.float32]
    confidence: NDArray[np.float32]
    score: float


class PoseEstimator:
    """Finds the pose of the one person in a photo; several threads may use it at once.

    Persons should be large in the photo, as in the model's photos. Back views with a hidden head, and persons of whom
    little is seen, are what it does worst.

    Source:
        Bazarevsky et al. 2020, "BlazePose: On-device Real-time Body Pose tracking"; weights and pipeline of
        google-ai-edge/mediapipe v0.10.21 (see NOTICE). The second region and the look at depths are ours.
    """

    def __init__(self, threads: int = 1):
        """Load the two models, 12.5 MB.

        Args:
            threads: of each run; 0 takes the physical cores.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Threads that wait by spinning would take the cores from others; constants that are folded are no news.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._detector, self._landmarker = (
            onnxruntime.InferenceSession(_MODELS / name, options, providers=["CPUExecutionProvider"])
            for name in (_DETECTOR, _LANDMARKER)
        )

    def estimate(self, photo: NDArray[np.uint8], aspect: float | None = None) -> EstimatedPose | None:
        """Find the pose of the most prominent person.

        Args:
            photo: [H, W, 3] uint8 RGB, upright.
            aspect: width by height of what the photo shows, where it was stretched to another shape since: 176 / 256
                for the model's squares of DeepFashion. None: it was not. Stretched persons are found less exactly.

        Returns:
            The pose in px of the photo as given; None if no person is found, or fewer than 3 points of one.

        Raises:
            ValueError: the photo has another dtype or shape, or aspect is not above 0.
        """
        _check(photo)
        natural = photo if aspect is None else _unstretched(photo, aspect)
        pose = self.most_prominent(natural, self.detect(natural))
        if pose is None or natural.shape == photo.shape:
            return pose
        scale = (photo.shape[1] / natural.shape[1], photo.shape[0] / natural.shape[0])
        points = np.where(pose.confidence[:, None] > 0, pose.key_points * scale, MISSING).astype(np.float32)
        return replace(pose, key_points=points)

    def most_prominent(self, photo: NDArray[np.uint8], detected: Sequence[Region]) -> EstimatedPose | None:
        """`estimate` of a photo that was not stretched, whose regions have been detected."""
        return self._looked_at_again(photo, self._first_look(photo, detected)) if detected else None

    def pose_in(self, photo: NDArray[np.uint8], region: Region) -> EstimatedPose | None:
        """Find the pose of the person whom a region shows.

        Args:
            photo: [H, W, 3] uint8 RGB, upright and not stretched.
            region: of `detect`.

        Returns:
            As `estimate`.
        """
        return self._looked_at_again(photo, self._landmarks(photo, region))

    def detect(self, photo: NDArray[np.uint8]) -> list[Region]:
        """Find the regions of all persons, by falling score; empty if none is found.

        Args:
            photo: [H, W, 3] uint8 RGB, upright and not stretched.

        Raises:
            ValueError: the photo has another dtype or shape.
        """
        _check(photo)
        shown = letterbox(photo)
        boxes, logits = self._detector.run(["Identity", "Identity_1"], {"input_1": shown.pixels[None]})
        return regions(np.asarray(boxes)[0], np.asarray(logits)[0, :, 0], shown)

    def _looked_at_again(self, photo: NDArray[np.uint8], found: Landmarks) -> EstimatedPose | None:
        again = self._landmarks(photo, found.region())
        if again.score >= _LEAST_GAIN * found.score:
            found = again
        points, confidence = key_points(found, photo.shape[1], photo.shape[0])
        if found.score < _LEAST_SCORE or (confidence > 0).sum() < _FEWEST_POINTS:
            return None
        return EstimatedPose(points.astype(np.float32), confidence, found.score)

    def _first_look(self, photo: NDArray[np.uint8], detected: Sequence[Region]) -> Landmarks:
        upright = [region for region in detected if region.is_upright]
        found = self._landmarks(photo, upright[0]) if upright else None
        if found and found.score >= _WHOLE_HANDICAP:
            return found
        whole = self._landmarks(photo, whole_picture(photo.shape[1], photo.shape[0]))
        return whole if found is None or _WHOLE_HANDICAP * whole.score > found.score else found

    def _landmarks(self, photo: NDArray[np.uint8], region: Region) -> Landmarks:
        crop = cut(photo, region)
        raw, presence, heat_maps = self._landmarker.run(
            ["Identity", "Identity_1", "Identity_3"], {"input_1": crop[None]}
        )
        return landmarks(np.asarray(raw)[0], float(np.asarray(presence).item()), np.asarray(heat_maps)[0], region)


def _check(photo: NDArray[np.uint8]) -> None:
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or photo.size == 0:
        raise ValueError(f"photo must be [H, W, 3] uint8, not {list(photo.shape)} {photo.dtype}")


def _unstretched(photo: NDArray[np.uint8], aspect: float) -> NDArray[np.uint8]:
    """Give a photo its true shape back; the height stays."""
    if not 0 < aspect < float("inf"):
        raise ValueError(f"aspect must be above 0, not {aspect}")
    return resized(photo, max(1, round(photo.shape[0] * aspect)), photo.shape[0])
