"""Photo and key points to a PNG file by the shipped graphs: what a user of a serving framework writes around them.

Runs in the peers' environments: numpy, ONNX Runtime, Pillow and OpenCV, and nothing of our service.
"""

import hashlib
import io
import json
import os
import time
from base64 import b64decode
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from xmdpt.graph_session import GraphSession
from xmdpt.preprocess import to_photo
from xmdpt.repository import graph_path, load_manifest, weights_folder
from xmdpt.sampler import SamplingPlan, initial_noise, sampling_plan
from xmdpt.skeleton import draw_skeleton, to_frame
from xmdpt.spec import VARIANTS, Prediction

F32, U8 = NDArray[np.float32], NDArray[np.uint8]

REPOSITORY = Path(__file__).resolve().parents[2] / "model_repository"
MAX_BATCH_VARIABLE, SIMULATED_VARIABLE = "PEERS_MAX_BATCH", "PEERS_SIMULATED"
"""What the harness tells a server: the most requests of one batch, and what device is simulated, if one is."""
GUIDANCE = 2.0
_VECTORS_KEPT = 256


@dataclass(frozen=True)
class SimulatedDevice:
    """One on which a step of b rows lasts step_seconds + row_seconds * b, and everything else no time."""

    step_seconds: float
    row_seconds: float

    def __str__(self) -> str:
        """For the environment, and `parsed`."""
        return f"{self.step_seconds:g} {self.row_seconds:g}"

    @classmethod
    def parsed(cls, text: str) -> "SimulatedDevice":
        """Undo `str`."""
        return cls(*map(float, text.split()))

    def step(self, num_rows: int) -> None:
        """Sleep for one step of so many rows."""
        time.sleep(self.step_seconds + self.row_seconds * num_rows)


@dataclass(frozen=True)
class Inputs:
    """One request, decoded.

    Attributes:
        photo: [256, 256, 3] uint8 RGB.
        skeleton: [256, 256, 3] uint8 RGB.
        steps: denoising steps.
        seed: of the noise.
    """

    photo: U8
    skeleton: U8
    steps: int
    seed: int


class Graphs(Protocol):
    """The model, a batch at a time; the first axis of every array is the row."""

    prediction: Prediction

    def encode_source(self, photos: U8) -> F32:
        """[B, D] of [B, 256, 256, 3]."""
        ...

    def encode_pose(self, skeletons: U8) -> F32:
        """[B, D] of [B, 256, 256, 3]."""
        ...

    def condition(self, source_vectors: F32, pose_vectors: F32) -> F32:
        """[B, D]."""
        ...

    def step(self, latents: F32, denoised: F32, condition: F32, plan: SamplingPlan) -> tuple[F32, F32]:
        """The next latents and what was denoised; the plan holds [B] timesteps, [B] guidance, [B, 5] coefficients."""
        ...

    def decode(self, latents: F32) -> U8:
        """[B, 256, 256, 3]."""
        ...


class OnnxGraphs:
    """The shipped graphs on ONNX Runtime as our worker runs them: a thread for each core, the same waits."""

    def __init__(self, repository: Path = REPOSITORY) -> None:
        """Load the graphs."""
        manifest = load_manifest(repository)
        self.prediction: Prediction = manifest["prediction"]
        self._sessions = {
            name: GraphSession(
                repository / graph_path(name),
                weights_folder(repository, manifest, name),
                manifest["graphs"][name]["max_batch_size"],
            )
            for name in ("source_encoder", "pose_encoder", "canet", "tdnet_step", "vae_decoder")
        }

    def encode_source(self, photos: U8) -> F32:
        """See Graphs."""
        return self._sessions["source_encoder"].run({"photo": photos})[0]

    def encode_pose(self, skeletons: U8) -> F32:
        """See Graphs."""
        return self._sessions["pose_encoder"].run({"skeleton": skeletons})[0]

    def condition(self, source_vectors: F32, pose_vectors: F32) -> F32:
        """See Graphs."""
        return self._sessions["canet"].run({"source_vector": source_vectors, "pose_vector": pose_vectors})[0]

    def step(self, latents: F32, denoised: F32, condition: F32, plan: SamplingPlan) -> tuple[F32, F32]:
        """See Graphs."""
        feeds = {"latents": latents, "previous_denoised": denoised, "condition": condition}
        feeds |= {"timestep": plan.timesteps[:, None], "guidance": plan.guidance[:, None]}
        next_latents, now_denoised = self._sessions["tdnet_step"].run(feeds | {"coefficients": plan.coefficients})
        return next_latents, now_denoised

    def decode(self, latents: F32) -> U8:
        """See Graphs."""
        return self._sessions["vae_decoder"].run({"latents": latents})[0]


class SimulatedGraphs:
    """On a simulated device: it shows batching, not pictures."""

    prediction: Prediction = "v"
    _WIDTH = VARIANTS["demo"].width

    def __init__(self, device: SimulatedDevice) -> None:
        """Nothing is loaded."""
        self._device = device

    def encode_source(self, photos: U8) -> F32:
        """See Graphs."""
        return np.zeros((len(photos), self._WIDTH), np.float32)

    def encode_pose(self, skeletons: U8) -> F32:
        """See Graphs."""
        return self.encode_source(skeletons)

    def condition(self, source_vectors: F32, pose_vectors: F32) -> F32:
        """See Graphs."""
        return source_vectors + pose_vectors

    def step(self, latents: F32, denoised: F32, condition: F32, plan: SamplingPlan) -> tuple[F32, F32]:
        """See Graphs."""
        self._device.step(len(latents))
        return latents, denoised

    def decode(self, latents: F32) -> U8:
        """See Graphs: squares, as cheap to write as those of our simulated worker."""
        cells = (128 + 40 * latents[:, :3, ::4, ::4]).clip(0, 255).astype(np.uint8)
        return cells.transpose(0, 2, 3, 1).repeat(32, axis=1).repeat(32, axis=2)


class Pipeline:
    """Everything from the request to the file; belongs to one thread.

    Vectors of photos and poses are kept, the latest ones, as their user would soon do for persons who come again.
    """

    def __init__(self, graphs: Graphs) -> None:
        """Around loaded graphs."""
        self._graphs = graphs
        self._source_vectors = _Vectors(graphs.encode_source)
        self._pose_vectors = _Vectors(graphs.encode_pose)

    def run(self, requests: Sequence[Inputs]) -> list[bytes]:
        """A PNG file for each request, 1 or more, by as few calls of the graphs as possible.

        Steps may differ: a row leaves the batch behind its last step, and all are answered at the end.
        """
        condition = self._graphs.condition(
            self._source_vectors.of([request.photo for request in requests]),
            self._pose_vectors.of([request.skeleton for request in requests]),
        )
        pictures = self._graphs.decode(self._sample(requests, condition))
        return [encode_png(picture) for picture in pictures]

    def _sample(self, requests: Sequence[Inputs], condition: F32) -> F32:
        plans = [plan_of(request.steps, self._graphs.prediction) for request in requests]
        latents = np.stack([initial_noise(request.seed) for request in requests])
        denoised = np.zeros_like(latents)
        for step in range(max(len(plan.timesteps) for plan in plans)):
            rows = [row for row, plan in enumerate(plans) if step < len(plan.timesteps)]
            now = SamplingPlan(
                *(
                    np.stack([getattr(plans[row], name)[step] for row in rows])
                    for name in ("timesteps", "guidance", "coefficients")
                )
            )
            latents[rows], denoised[rows] = self._graphs.step(latents[rows], denoised[rows], condition[rows], now)
        return latents


class _Vectors:
    """The latest vectors of an encoder, by the digest of what they are of."""

    def __init__(self, encode: Callable[[U8], F32]) -> None:
        self._encode = encode
        self._kept: OrderedDict[bytes, F32] = OrderedDict()

    def of(self, pictures: Sequence[U8]) -> F32:
        keys = [hashlib.sha256(picture.tobytes()).digest() for picture in pictures]
        new = {key: picture for key, picture in zip(keys, pictures, strict=True) if key not in self._kept}
        if new:
            self._kept.update(zip(new, self._encode(np.stack(list(new.values()))), strict=True))
        for key in keys:
            self._kept.move_to_end(key)
        vectors = np.stack([self._kept[key] for key in keys])
        while len(self._kept) > _VECTORS_KEPT:
            self._kept.popitem(last=False)
        return vectors


def plan_of(steps: int, prediction: Prediction) -> SamplingPlan:
    """What every service here samples by: DDIM and the guidance that is the service's default."""
    return sampling_plan(steps, GUIDANCE, "ddim", prediction)


def read_request(body: bytes) -> Inputs:
    """Undo what the callers send: JSON with `photo`, a file in base64, `pose`, `steps` and `seed`."""
    return decode_request(json.loads(body))


def decode_request(fields: dict) -> Inputs:
    """Decode the photo and draw the skeleton of a request.

    Args:
        fields: of `read_request`.
    """
    return Inputs(
        decode_photo(b64decode(fields["photo"])), draw_pose(fields["pose"]), int(fields["steps"]), int(fields["seed"])
    )


def decode_photo(file: bytes) -> U8:
    """A picture file as [256, 256, 3] uint8 RGB."""
    with Image.open(io.BytesIO(file)) as image:
        return to_photo(image)


def draw_pose(pose: dict) -> U8:
    """Key points, as examples/pose.json has them, as [256, 256, 3] uint8 RGB."""
    return draw_skeleton(to_frame(pose["keypoints"], pose["size"], (0, 0)))


def encode_png(picture: U8) -> bytes:
    """A picture as a file, by Pillow's defaults."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def max_batch() -> int:
    """The most requests of a batch, as the harness has told."""
    return int(os.environ[MAX_BATCH_VARIABLE])


def warm_pipeline() -> Pipeline:
    """A pipeline that has made its first pictures, alone and in a batch, so that no caller waits for first times."""
    simulated = os.environ.get(SIMULATED_VARIABLE)
    pipeline = Pipeline(SimulatedGraphs(SimulatedDevice.parsed(simulated)) if simulated else OnnxGraphs())
    blank = Inputs(np.zeros((256, 256, 3), np.uint8), np.zeros((256, 256, 3), np.uint8), 2, 0)
    for num_rows in {1, max_batch()}:
        pipeline.run([blank] * num_rows)
    return pipeline
