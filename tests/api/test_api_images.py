"""Several pictures of one call: their addresses, their seeds, and the forms in which they are answered."""

import base64
import io
import json
import zipfile
from typing import Any

import httpx
import pytest

from tests.api.bad_inputs import GOOD_BODY
from tests.api.conftest import Edge

NUM_IMAGES = 3
BODY = GOOD_BODY | {"num_images": NUM_IMAGES, "seed": 5}


def contents_of(edge: Edge) -> list[bytes]:
    (job_id,) = edge.intake.jobs
    return [edge.blobs.get_output(job_id, 1, index) for index in range(NUM_IMAGES)]


def submitted(edge: Edge, **fields: Any) -> str:
    return edge.client.post("/v1/jobs", json=BODY | fields).raise_for_status().json()["id"]


@pytest.mark.parametrize("accept", ["*/*", None, "application/json"])
def test_generate_when_several_are_asked_for_then_the_job_object_names_each(edge: Edge, accept: str | None) -> None:
    request = edge.client.build_request("POST", "/v1/generate", json=BODY, headers={"Accept": accept or ""})
    if accept is None:
        del request.headers["accept"]

    response = edge.client.send(request)

    (job,) = edge.intake.accepted
    assert (job.rows, job.cost) == (NUM_IMAGES, NUM_IMAGES * 50)
    view = response.json()
    assert (response.status_code, response.headers["content-location"]) == (200, f"/v1/jobs/{job.id}")
    assert (view["request"]["seed"], view["request"]["num_images"]) == (5, NUM_IMAGES)
    url = f"/v1/jobs/{job.id}/result"
    shown = [(each["index"], each["url"], each["seed"], each["bytes"], each["data"]) for each in view["outputs"]]
    contents = contents_of(edge)
    assert shown == [
        (0, url, 5, len(contents[0]), None),
        (1, f"{url}?index=1", 6, len(contents[1]), None),
        (2, f"{url}?index=2", 7, len(contents[2]), None),
    ]


def test_generate_when_several_are_asked_for_in_a_form_then_likewise(edge: Edge) -> None:
    files = {"source": base64.b64decode(GOOD_BODY["source"]["data"]), "pose": json.dumps(GOOD_BODY["pose"]).encode()}

    response = edge.client.post("/v1/generate", files=files, data={"num_images": "2", "seed": "5"})

    assert [output["seed"] for output in response.json()["outputs"]] == [5, 6]


@pytest.mark.parametrize("accept", ["image/png", "image/*", "image/webp, text/html"])
def test_generate_when_one_file_is_to_hold_several_then_406_and_nothing_is_kept(edge: Edge, accept: str) -> None:
    response = edge.client.post("/v1/generate", json=BODY, headers={"Accept": accept})

    assert (response.status_code, response.json()["code"]) == (406, "not_acceptable")
    assert edge.intake.jobs == {}
    assert edge.blobs.content == {}


def test_generate_when_delivery_is_base64_then_each_output_holds_its_file(edge: Edge) -> None:
    response = edge.client.post("/v1/generate", json=BODY | {"output": {"delivery": "base64"}})
    contents = contents_of(edge)

    for view in (response.json(), edge.client.get(response.headers["content-location"]).json()):
        assert [base64.b64decode(output["data"]) for output in view["outputs"]] == contents


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("index", range(NUM_IMAGES))
def test_result_when_an_index_is_given_then_that_picture(edge: Edge, method: str, index: int) -> None:
    job_id = submitted(edge)
    view = edge.client.get(f"/v1/jobs/{job_id}").json()
    url = view["outputs"][index]["url"]

    response = edge.client.request(method, url)

    assert response.status_code == 200
    assert response.headers["content-length"] == str(len(contents_of(edge)[index]))
    assert response.headers["etag"] == f'"sha256-{view["outputs"][index]["sha256"]}"'
    assert response.headers["x-xmdpt-seed"] == str(5 + index)
    assert response.headers["content-location"] == url
    assert response.content == (contents_of(edge)[index] if method == "GET" else b"")


def test_result_when_a_range_of_a_later_picture_is_asked_for_then_its_bytes(edge: Edge) -> None:
    url = f"/v1/jobs/{submitted(edge)}/result?index=2"
    content = contents_of(edge)[2]

    response = edge.client.get(url, headers={"Range": "bytes=-3"})

    assert (response.status_code, response.content) == (206, content[-3:])
    assert edge.client.get(url, headers={"If-None-Match": response.headers["etag"]}).status_code == 304
    assert edge.client.get(f"{url[:-1]}1", headers={"If-None-Match": response.headers["etag"]}).status_code == 200


@pytest.mark.parametrize("index", ["3", "8", "99", "100", "01", "-1", "1 ", "x", ""])
@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/zip"])
def test_result_when_the_index_is_none_of_its_pictures_then_404(edge: Edge, index: str, accept: str) -> None:
    response = edge.client.get(
        f"/v1/jobs/{submitted(edge)}/result", params={"index": index}, headers={"Accept": accept}
    )

    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def archive_of(response: httpx.Response) -> dict[str, bytes]:
    assert (response.status_code, response.headers["content-type"]) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def check_archive(edge: Edge, response: httpx.Response, extension: str) -> None:
    files = archive_of(response)
    job = json.loads(files.pop("job.json"))
    contents = contents_of(edge)
    assert files == {f"{index}.{extension}": content for index, content in enumerate(contents)}
    (job_id,) = edge.intake.jobs
    assert job == edge.client.get(f"/v1/jobs/{job_id}").json() | {"outputs": job["outputs"]}
    assert [output["seed"] for output in job["outputs"]] == [5, 6, 7]
    assert {output["data"] for output in job["outputs"]} == {None}
    assert response.headers["content-disposition"] == f'attachment; filename="{job_id}.zip"'
    assert response.headers["x-xmdpt-job-id"] == job_id


@pytest.mark.parametrize(("image_format", "delivery"), [("png", "url"), ("webp", "base64")])
def test_generate_when_a_zip_is_accepted_then_it_holds_every_picture_and_the_job(
    edge: Edge, image_format: str, delivery: str
) -> None:
    body = BODY | {"output": {"format": image_format, "delivery": delivery}}

    response = edge.client.post("/v1/generate", json=body, headers={"Accept": "application/zip"})

    check_archive(edge, response, image_format)


def test_result_when_a_zip_is_accepted_then_it_holds_every_picture_and_the_job(edge: Edge) -> None:
    url = f"/v1/jobs/{submitted(edge)}/result"

    for address in (url, f"{url}?index=2"):
        check_archive(edge, edge.client.get(address, headers={"Accept": "application/zip"}), "png")


def test_generate_when_a_zip_is_accepted_of_one_picture_then_it_holds_that(edge: Edge) -> None:
    response = edge.client.post("/v1/generate", json=GOOD_BODY, headers={"Accept": "application/zip"})

    assert sorted(archive_of(response)) == ["0.png", "job.json"]


def test_generate_when_a_zip_is_accepted_and_the_job_has_not_ended_then_202_and_the_job_object(edge: Edge) -> None:
    edge.intake.on_enqueue = lambda job: None
    headers = {"Accept": "application/zip", "Prefer": "respond-async"}

    response = edge.client.post("/v1/generate", json=BODY, headers=headers)

    assert (response.status_code, response.headers["content-type"]) == (202, "application/json")
