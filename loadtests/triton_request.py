"""One picture of Triton's ensemble `xmdpt` as an HTTP request: the same job without a gateway, for comparison.

The arrays go as bytes by the binary extension of the V2 protocol; as JSON they would measure JSON.
"""

import json
from collections.abc import Mapping
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from xmdpt.preprocess import to_photo
from xmdpt.sampler import initial_noise, sampling_plan
from xmdpt.skeleton import draw_skeleton, to_frame
from xmdpt.spec import Prediction

PATH = "/v2/models/xmdpt/infer"
_EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
_TYPES = {"uint8": "UINT8", "float32": "FP32", "int64": "INT64", "int32": "INT32"}
# What every service here has by default.
_GUIDANCE, _SAMPLER = 2.0, "ddim"


def triton_request(photo: bytes, steps: int, seed: int, prediction: Prediction) -> tuple[dict[str, str], bytes]:
    """Headers and body.

    Args:
        photo: a picture file.
        steps: denoising steps.
        seed: of the noise.
        prediction: what the model predicts, `v` or `epsilon`, as MANIFEST.json says.
    """
    plan = sampling_plan(steps, guidance=_GUIDANCE, sampler=_SAMPLER, prediction=prediction)
    with Image.open(BytesIO(photo)) as image:
        arrays = {
            "photo": to_photo(image),
            "skeleton": _skeleton(),
            "noise": initial_noise(seed),
            "timesteps": plan.timesteps,
            "guidance": plan.guidance,
            "coefficients": plan.coefficients,
        }
    return request_of(arrays)


def request_of(arrays: Mapping[str, NDArray]) -> tuple[dict[str, str], bytes]:
    """Headers and body of one row of inputs, by their names."""
    inputs, parts = [], []
    for name, array in arrays.items():
        content = np.ascontiguousarray(array[np.newaxis]).tobytes()
        about = {"name": name, "shape": [1, *array.shape], "datatype": _TYPES[array.dtype.name]}
        inputs.append(about | {"parameters": {"binary_data_size": len(content)}})
        parts.append(content)
    outputs = [{"name": "image", "parameters": {"binary_data": True}}]
    head = json.dumps({"inputs": inputs, "outputs": outputs}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
    return headers, b"".join([head, *parts])


@cache
def _skeleton() -> NDArray[np.uint8]:
    pose = json.loads((_EXAMPLES / "pose.json").read_text())
    points = [(-1.0, -1.0) if point is None else (point[0], point[1]) for point in pose["keypoints"]]
    return draw_skeleton(to_frame(points, pose["size"], (0, 0)))
