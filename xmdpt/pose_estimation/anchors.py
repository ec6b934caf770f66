"""The places in the letterboxed picture that the detector's outputs are relative to.

Does not decode those outputs (`xmdpt.pose_estimation.detections`).
"""

import numpy as np
from numpy.typing import NDArray

# Cells along a side, and anchors at the centre of each cell. Five layers of strides 8, 16, 32, 32, 32 with two anchors
# each; those of one stride lie together.
_LAYERS = ((28, 2), (14, 2), (7, 6))


def anchor_centres() -> NDArray[np.float32]:
    """Return [2254, 2] float32 (x, y) in 0..1 of the picture's side, in the order of the detector's outputs.

    Boxes are relative to the whole picture, so anchors have no size of their own.

    Source:
        google-ai-edge/mediapipe v0.10.21 modules/pose_detection/pose_detection_cpu.pbtxt, SsdAnchorsCalculator with
        fixed_anchor_size.
    """
    layers = []
    for num_cells, num_anchors in _LAYERS:
        y, x = np.mgrid[:num_cells, :num_cells].reshape(2, -1)
        layers.append(np.repeat((np.stack([x, y], axis=1) + 0.5) / num_cells, num_anchors, axis=0))
    return np.concatenate(layers).astype(np.float32)
