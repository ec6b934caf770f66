"""Several pictures of one call, and their signed addresses: real processes."""

import io
import json
import os
import signal
import zipfile
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.integration.processes import RunningService, pixels, running_service, serve, wait_until

NUM_IMAGES = 8


def archive_of(service: RunningService, source: bytes, pose: dict, **fields: object) -> dict[str, bytes]:
    job = service.submit(source, pose, num_images=NUM_IMAGES, **fields)
    service.ended(job["id"])
    answer = service.client.get(job["urls"]["result"], headers={"Accept": "application/zip"})
    assert answer.status_code == httpx.codes.OK, answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("execution", ["stepwise", "whole_loop"])
def test_pictures_when_no_network_is_in_it_then_each_is_bit_for_bit_that_of_its_seed_alone(
    tmp_path: Path, person: bytes, pose: dict, execution: str
) -> None:
    settings = {"XMDPT_BACKEND": "simulated", "XMDPT_WORKER__EXECUTION": execution, "XMDPT_WORKER__MAX_SLOTS": "2"}
    with running_service(tmp_path, **settings) as service:
        files = archive_of(service, person, pose, seed=40, steps=5)
        alone = [service.generate(person, pose, seed=40 + index, steps=5).content for index in range(NUM_IMAGES)]

    job = json.loads(files.pop("job.json"))
    assert [files[f"{index}.png"] for index in range(NUM_IMAGES)] == alone
    assert [output["seed"] for output in job["outputs"]] == [40 + index for index in range(NUM_IMAGES)]
    assert len(set(alone)) == NUM_IMAGES
    assert job["progress"]["ratio"] == 1


def test_pictures_when_the_networks_are_real_then_each_is_at_most_one_grey_level_from_its_seed_alone(
    service: RunningService, photo: bytes, pose: dict
) -> None:
    files = archive_of(service, photo, pose, seed=40, steps=4)

    for index in (0, 3, 7):
        alone = service.generate(photo, pose, seed=40 + index, steps=4).content
        assert np.abs(pixels(files[f"{index}.png"]).astype(int) - pixels(alone)).max() <= 1


def test_link_when_the_gateway_is_another_then_it_is_good_there_too(tmp_path: Path, person: bytes, pose: dict) -> None:
    data = {"XMDPT_DATA_DIR": str(tmp_path / "data")}
    key = serve("keys", "create", "--tenant", "ada", **data).stdout.strip()
    with running_service(tmp_path, XMDPT_BACKEND="simulated") as service:
        service.client.headers["Authorization"] = f"Bearer {key}"
        job_id = service.submit(person, pose, num_images=2, steps=2)["id"]
        urls = [output["url"] for output in service.ended(job_id)["outputs"]]
        with_key = [service.client.get(f"/v1/jobs/{job_id}/result?index={index}").content for index in (0, 1)]
        del service.client.headers["Authorization"]
        old = service.child("gateway")

        os.kill(old, signal.SIGKILL)

        wait_until(lambda: service.is_gateway_ready() and service.child("gateway") != old, 60, "another gateway")
        assert [service.client.get(url).content for url in urls] == with_key
        assert service.client.get(urls[1].replace("index=1", "index=0")).status_code == httpx.codes.UNAUTHORIZED
