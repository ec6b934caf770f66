"""What a request says of its file and its notes reaches the worker and comes back: real processes, no networks."""

import base64
from collections.abc import Iterator
from datetime import datetime
from io import BytesIO
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from tests.integration.processes import RunningService, multipart, running_service


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("simulated"), XMDPT_BACKEND="simulated") as service:
        yield service


def person(width: int, height: int) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (width, height), (200, 100, 50)).save(buffer, "PNG")
    return buffer.getvalue()


def test_job_when_it_asks_for_a_shape_a_place_and_a_time_then_it_has_them(
    simulated: RunningService, pose: dict
) -> None:
    form = multipart(person(300, 400), pose, {"seed": 7, "format": "jpeg", "fit": "source", "delivery": "base64"})
    form["data"] |= {"retention_s": "90", "params": '{"metadata": {"sku": "A1"}}'}

    job = simulated.client.post("/generate", headers={"Prefer": "wait=60"}, **form).json()

    content = base64.b64decode(job["outputs"][0]["data"])
    assert Image.open(BytesIO(content)).size == (192, 256)
    assert job["metadata"] == {"sku": "A1"}
    ended_at, expires_at = (datetime.fromisoformat(job[name]) for name in ("ended_at", "expires_at"))
    assert (expires_at - ended_at).total_seconds() == 90
    result = simulated.client.get(job["urls"]["result"], headers={"Range": "bytes=0-2"})
    assert (result.status_code, result.content) == (206, content[:3])


def test_picture_when_made_then_its_file_says_so(simulated: RunningService, pose: dict) -> None:
    answer = simulated.generate(person(60, 80), pose, seed=7, format="webp")

    exif = Image.open(BytesIO(answer.content)).getexif()
    assert exif[ExifTags.Base.Software].startswith("xmdpt-serve ")
    assert exif[ExifTags.Base.ImageDescription].startswith("generated; seed 7; preset exact; model sha256:")


def test_picture_when_marks_are_switched_off_then_its_file_says_nothing(tmp_path: Path, pose: dict) -> None:
    with running_service(tmp_path, XMDPT_BACKEND="simulated", XMDPT_WORKER__PROVENANCE="false") as service:
        content = service.generate(person(60, 80), pose, seed=7).content

    image = Image.open(BytesIO(content))
    image.load()
    assert image.size == (256, 256)
    assert b"generated" not in content
    assert b"xmdpt" not in content
