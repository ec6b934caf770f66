"""The whole line with its pictures in a bucket: nothing of them is on the machine's disk."""

import pytest

from tests.fakes.bucket_server import BUCKET, CREDENTIALS, BucketServer
from tests.integration.processes import pixels, running_service, serve


def test_service_when_pictures_are_in_a_bucket_then_all_goes_as_with_files(
    bucket_server: BucketServer, tmp_path_factory: pytest.TempPathFactory, person: bytes, pose: dict
) -> None:
    folder = tmp_path_factory.mktemp("bucket")
    settings = {
        "XMDPT_PICTURES__BUCKET": f"s3://{BUCKET}/{folder.name}",
        "XMDPT_PICTURES__ENDPOINT": bucket_server.endpoint,
        **CREDENTIALS,
    }
    store = bucket_server.store(folder.name)

    with running_service(folder, **settings) as service:
        picture = service.generate(person, pose, steps=4, seed=1)
        source = service.client.post("/v1/sources", files={"source": person}).json()
        matrix = {"sources": [{"id": source["id"]}], "poses": [{"preset": "standing"}, {"preset": "walking"}]}
        batch = service.client.post("/v1/batches", json={"defaults": {"steps": 4}, "matrix": matrix}).json()
        lines = service.client.get(batch["urls"]["results"]).text.splitlines()
        kept = {name: len(store.names(name)) for name in ("out", "lib", "batches")}
        for job in service.client.get("/v1/jobs").json()["data"]:
            service.client.delete(f"/v1/jobs/{job['id']}")
        left = store.names("out")

    assert picture.status_code == 200
    assert pixels(picture.content).shape == (256, 256, 3)
    assert len([line for line in lines if '"succeeded"' in line]) == 2
    assert kept == {"out": 3, "lib": 1, "batches": 1}
    assert left == []
    assert not (folder / "data" / "blobs").exists()


@pytest.mark.parametrize(
    ("settings", "status", "words"),
    [
        ({"XMDPT_PICTURES__BUCKET": "https://pictures"}, 78, "XMDPT_PICTURES__BUCKET"),
        ({"XMDPT_PICTURES__ENDPOINT": "http://127.0.0.1:1"}, 78, "goes with XMDPT_PICTURES__BUCKET"),
        (
            {"XMDPT_PICTURES__BUCKET": "s3://pictures", "XMDPT_PICTURES__ENDPOINT": "http://127.0.0.1:1"},
            75,
            "the picture store does not answer",
        ),
    ],
    ids=["no bucket", "no name", "nobody there"],
)
def test_gateway_when_its_bucket_cannot_be_used_then_it_says_why(
    valkey_server, settings: dict[str, str], status: int, words: str
) -> None:
    ended = serve("gateway", REDIS_URL=valkey_server.url, **settings, **CREDENTIALS)

    assert ended.returncode == status, ended.stderr
    assert words in ended.stderr
