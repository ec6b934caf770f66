"""`output.delivery` and `output.fit`: where the picture's file lies, and which shape it is asked for in."""

import base64
from typing import Any

import pytest

from tests.api import pictures
from tests.api.bad_inputs import GOOD_BODY, JSON_POSE, SOURCE, as_form, part
from tests.api.conftest import Edge

INLINE = GOOD_BODY | {"output": {"delivery": "base64"}}
JSON = {"Accept": "application/json"}
TURNED_BY_EXIF = 6


def content_of(edge: Edge) -> bytes:
    (content,) = (content for name, content in edge.blobs.content.items() if name.startswith("out/"))
    return content


def data_of(job: dict[str, Any]) -> bytes:
    (output,) = job["outputs"]
    return base64.b64decode(output["data"], validate=True)


@pytest.mark.parametrize("accept", ["*/*", "application/json", "image/*;q=0.5, */*"])
def test_generate_when_the_delivery_is_base64_then_the_job_object_holds_the_file(edge: Edge, accept: str) -> None:
    response = edge.client.post("/v1/generate", json=INLINE, headers={"Accept": accept})

    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert data_of(response.json()) == content_of(edge)


def test_generate_when_a_picture_is_accepted_by_name_then_its_bytes_though_the_delivery_is_base64(edge: Edge) -> None:
    response = edge.client.post("/v1/generate", json=INLINE, headers={"Accept": "image/png, */*"})

    assert (response.headers["content-type"], response.content) == ("image/png", content_of(edge))


def test_job_when_the_delivery_is_base64_then_object_and_result_hold_the_file(edge: Edge) -> None:
    fields = part("delivery", b"base64", is_file=False)
    urls = edge.client.post("/v1/jobs", **as_form(SOURCE, JSON_POSE, fields)).json()["urls"]

    looked, polled = edge.client.get(urls["self"]), edge.client.get(urls["self"], headers={"Prefer": "wait=5"})
    result, picture = edge.client.get(urls["result"], headers=JSON), edge.client.get(urls["result"])

    assert [data_of(answer.json()) for answer in (looked, polled, result)] == [content_of(edge)] * 3
    assert picture.content == content_of(edge)


def test_job_when_the_delivery_is_url_then_no_object_holds_the_file(edge: Edge) -> None:
    made = edge.client.post("/v1/generate", json=GOOD_BODY, headers=JSON).json()

    answers = edge.client.get(made["urls"]["self"]), edge.client.get(made["urls"]["result"], headers=JSON)

    assert [job["outputs"][0]["data"] for job in (made, *(answer.json() for answer in answers))] == [None] * 3


def test_job_when_its_inline_picture_has_expired_then_the_object_is_still_answered(edge: Edge) -> None:
    expired, lost = (edge.client.post("/v1/jobs", json=INLINE).json() for _ in range(2))
    edge.intake.expire(expired["id"])
    edge.blobs.delete_job(lost["id"])

    for job in (expired, lost):
        response = edge.client.get(job["urls"]["self"])
        assert (response.status_code, response.json()["outputs"][0]["data"]) == (200, None)


def test_job_when_its_inline_picture_can_not_be_read_then_503_and_not_an_object_without_it(edge: Edge) -> None:
    job = edge.client.post("/v1/jobs", json=INLINE).json()
    edge.blobs.content[f"out/{job['id']}.1"] = b"damaged"

    response = edge.client.get(job["urls"]["self"])

    assert (response.status_code, response.json()["code"]) == (503, "storage_unavailable")


@pytest.mark.parametrize(
    ("photo", "width_px"),
    [
        (pictures.png(176, 256), 176),
        (pictures.jpeg(300, 100), 768),
        (pictures.webp(2000, 100), 1024),
        (pictures.encoded(pictures.image(300, 100), "JPEG", exif=bytes.fromhex("457869660000")
         + b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0" + bytes([TURNED_BY_EXIF]) + bytes(6)), 85),
    ],
    ids=["png", "jpeg", "too wide", "turned"],
)  # fmt: skip
def test_submit_when_the_fit_is_source_then_the_worker_learns_the_width_of_the_upright_photo(
    edge: Edge, photo: bytes, width_px: int
) -> None:
    body = GOOD_BODY | {"source": {"data": base64.b64encode(photo).decode()}}

    edge.client.post("/v1/jobs", json=body | {"output": {"fit": "source"}})
    edge.client.post("/v1/jobs", **as_form(part("source", photo), JSON_POSE, part("fit", b"source", is_file=False)))
    edge.client.post("/v1/jobs", json=body | {"output": {"fit": "model"}})
    edge.client.post("/v1/jobs", json=body)

    assert [job.request.output.width_px for job in edge.intake.accepted] == [width_px, width_px, None, None]
