"""The process that finds the person in a photo: `python -m service.adapters.blazepose_process MEMORY CPU_SECONDS`."""

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.adapters.decoder_process import serve
from service.adapters.finding_texts import person_text, unsuitable_text
from xmdpt.pose_estimation import FoundPerson, PoseEstimator, Region, UnsuitablePhotoError, find_person
from xmdpt.preprocess import Frame, to_upright
from xmdpt.skeleton import MISSING


def main() -> None:
    """Answer until the input ends."""
    # Threads would count as memory, and other processes have work as well.
    cv2.setNumThreads(1)
    estimator = PoseEstimator(threads=1)
    # Once whatever the photo: what the models load with their first run is loaded before rights are given up.
    estimator.pose_in(np.zeros((64, 64, 3), np.uint8), Region((32, 32), 64, 0, 0))

    def look(image: Image.Image, _frame: Frame | None) -> bytes:
        photo = np.asarray(to_upright(image))
        try:
            return _text(find_person(estimator, photo), photo).encode()
        except UnsuitablePhotoError as error:
            return unsuitable_text(error.reason, error.detail).encode()

    serve(look)


def _text(found: FoundPerson, photo: NDArray[np.uint8]) -> str:
    points = [
        None if (point == MISSING).all() else [round(float(value), 2) for value in point] for point in found.key_points
    ]
    return person_text(points, (photo.shape[1], photo.shape[0]), [round(value, 2) for value in found.frame])


if __name__ == "__main__":
    main()
