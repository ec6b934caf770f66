"""Requests as JSON that name pictures which the service keeps: next to no work for whoever sends and reads them.

Measures nothing.
"""

import json
from collections.abc import Sequence
from itertools import product

import httpx

from benchmarks.engine.http_load import Call, files
from service.gateway.pose_presets import POSE_PRESETS

_JSON = {"Content-Type": "application/json"}


def upload(port: int, num_sources: int) -> list[str]:
    """Ids of so many sources, all different."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
        answers = [client.post("/v1/sources", files={"source": files(n)[0]}) for n in range(num_sources)]
    return [answer.raise_for_status().json()["id"] for answer in answers]


def job_call(source: str, number: int, num_steps: int) -> Call:
    """A job of a number, which is its seed and chooses its pose."""
    presets = list(POSE_PRESETS)
    pose = {"preset": presets[number % len(presets)]}
    return _call({"source": {"id": source}, "pose": pose, "steps": num_steps, "seed": number})


def matrix_call(sources: Sequence[str], num_poses: int, num_steps: int) -> Call:
    """A batch of all sources in so many poses that all differ a little."""
    presets = list(POSE_PRESETS.values())
    poses = [_moved(presets[number % len(presets)].key_points.points, number / 100) for number in range(num_poses)]
    matrix = {"sources": [{"id": source} for source in sources], "poses": poses}
    return _call({"matrix": matrix, "defaults": {"steps": num_steps}})


def matrix_names(num_sources: int, num_poses: int) -> set[str]:
    """What the items of such a batch are called."""
    return {f"s{i}-p{j}" for i, j in product(range(num_sources), range(num_poses))}


def _moved(points: Sequence[tuple[float, float] | None], right: float) -> dict[str, object]:
    moved = [None if point is None else [point[0] + right, point[1]] for point in points]
    return {"keypoints": moved, "size": [256, 256]}


def _call(content: dict[str, object]) -> Call:
    return Call(_JSON, json.dumps(content).encode())
