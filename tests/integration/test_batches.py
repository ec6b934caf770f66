"""A large batch through real processes: every item once, whatever dies, and the gateway's memory stays flat."""

import json
import os
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx

from service.gateway.pose_presets import POSE_PRESETS
from tests.integration.processes import RunningService, running_service, wait_until

SIMULATED = {
    "XMDPT_BACKEND": "simulated",
    "XMDPT_SIMULATED__STEP_MS": "0",
    "XMDPT_SIMULATED__ROW_MS": "0",
    "XMDPT_SIMULATED__ENCODER_MS": "0",
    "XMDPT_SIMULATED__DECODER_MS": "0",
    "XMDPT_QUEUE__LEASE_SECONDS": "2",
    "XMDPT_LOG_LEVEL": "warning",
}
NUM_SOURCES, NUM_POSES = 10, 60
MAX_GROWTH_BYTES = 40_000_000


def resident_bytes(pid: int) -> int:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) * 1024


def a_matrix(service: RunningService, source: bytes, num_poses: int) -> dict[str, Any]:
    """One source ten times, and poses that all differ a little."""
    source_id = service.client.post("/v1/sources", files={"source": source}).raise_for_status().json()["id"]
    poses = []
    presets = list(POSE_PRESETS.values())
    for number in range(num_poses):
        points = presets[number % len(presets)].key_points.points
        moved = [None if point is None else [point[0] + number / 100, point[1]] for point in points]
        poses.append({"keypoints": moved, "size": [256, 256]})
    return {"sources": [{"id": source_id}] * NUM_SOURCES, "poses": poses}


def all_lines(service: RunningService, batch: dict[str, Any], after: int = 0) -> list[dict[str, Any]]:
    with service.client.stream("GET", f"{batch['urls']['results']}?after={after}", timeout=300) as answer:
        return [json.loads(line) for line in answer.iter_lines() if line]


def test_batch_when_it_is_large_then_each_ends_once_and_memory_is_flat(tmp_path: Path, photo: bytes) -> None:
    with running_service(tmp_path, **SIMULATED) as service:
        matrix = a_matrix(service, photo, NUM_POSES)
        before = resident_bytes(service.child("gateway"))
        call = {"matrix": matrix, "defaults": {"steps": 2, "output": {"format": "jpeg"}}}
        batch = service.client.post("/v1/batches", json=call).raise_for_status().json()
        lines = all_lines(service, batch)
        after = resident_bytes(service.child("gateway"))
        ended = service.client.get(batch["urls"]["self"]).json()

    assert {line["custom_id"] for line in lines} == {f"s{i}-p{j}" for i in range(NUM_SOURCES) for j in range(NUM_POSES)}
    assert [line["n"] for line in lines] == list(range(1, NUM_SOURCES * NUM_POSES + 1))
    assert {line["status"] for line in lines} == {"succeeded"}
    assert (ended["status"], ended["request_counts"]["succeeded"]) == ("completed", NUM_SOURCES * NUM_POSES)
    assert after - before < MAX_GROWTH_BYTES


def test_batch_when_gateway_and_worker_are_killed_then_each_item_ends_once(tmp_path: Path, photo: bytes) -> None:
    settings = SIMULATED | {"XMDPT_SIMULATED__STEP_MS": "5"}
    with running_service(tmp_path, **settings) as service:
        matrix = a_matrix(service, photo, 30)
        batch = service.client.post("/v1/batches", json={"matrix": matrix, "defaults": {"steps": 2}}).json()

        def num_ended() -> int:
            try:
                counts = service.client.get(batch["urls"]["self"]).json()["request_counts"]
            except (httpx.TransportError, KeyError):
                return 0
            return counts["succeeded"]

        for role, moment in (("gateway", 30), ("worker", 80), ("gateway", 150)):
            wait_until(lambda moment=moment: num_ended() >= moment, 60, f"{moment} items end")
            os.kill(service.child(role), signal.SIGKILL)
            wait_until(service.is_gateway_ready, 60, "the gateway is back")
        wait_until(lambda: num_ended() == 300, 120, "all items end")
        lines = all_lines(service, batch)

    assert len({line["custom_id"] for line in lines}) == len({line["job_id"] for line in lines}) == len(lines) == 300
    assert {line["status"] for line in lines} == {"succeeded"}
    assert all(line["n"] < following["n"] for line, following in pairwise(lines))
