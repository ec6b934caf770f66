"""A photo and a pose are uploaded, encoded before any job needs them, used, and survive the gateway's death."""

import os
import signal
from pathlib import Path

from tests.integration.processes import RunningService, multipart, running_service, wait_until


def upload(service: RunningService, path: str, body: dict) -> dict:
    return service.client.post(path, **body).raise_for_status().json()


def test_job_when_its_pictures_were_warm_then_no_encoder_runs_for_it(
    service: RunningService, person: bytes, pose: dict
) -> None:
    mine = {**pose, "origin": [3, 0]}  # which no other test has had encoded
    source = upload(service, "/v1/sources?warm=true", {"files": {"source": person}})
    skeleton = upload(service, "/v1/poses?warm=true", {"json": mine})
    assert [source["vector"], skeleton["vector"]] == ["ready", "ready"]

    fields = {"seed": 3, "steps": 4}
    body = {"source": {"id": source["id"]}, "pose": {"id": skeleton["id"]}, **fields}
    by_id = service.client.post("/generate", json=body, headers={"Prefer": "wait=60"})

    assert by_id.headers["x-xmdpt-cache"] == "source=hit, pose=hit"
    assert by_id.content == service.client.post("/generate", **multipart(person, mine, fields)).content


def test_source_when_the_gateway_is_killed_then_it_is_there_afterwards(tmp_path: Path, person: bytes) -> None:
    with running_service(tmp_path, XMDPT_BACKEND="simulated") as service:
        source = upload(service, "/v1/sources", {"files": {"source": person}})

        os.kill(service.child("gateway"), signal.SIGKILL)
        wait_until(service.is_gateway_ready, 60, "another gateway serves")

        found = service.client.get(f"/v1/sources/{source['id']}").raise_for_status().json()
        assert found["sha256"] == source["sha256"]
        assert upload(service, "/v1/sources", {"files": {"source": person}})["id"] == source["id"]
