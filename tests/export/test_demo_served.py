"""From one file of weights to a picture over HTTP: the demo, whose network predicts velocities."""

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.built_repositories import demo_networks, demo_repository
from tests.integration.processes import EXAMPLES, RunningService, pixels, running_service, skeleton_of
from xmdpt.nn.reference import reference_picture
from xmdpt.preprocess import to_photo

STEPS = 8


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("service")
    with running_service(folder, XMDPT_MODEL_REPOSITORY=str(demo_repository())) as running:
        yield running


@pytest.fixture(scope="module")
def pose() -> dict:
    import json

    return json.loads((EXAMPLES / "pose.json").read_text())


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    with Image.open(EXAMPLES / "person.png") as image:
        return to_photo(image)


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp_2m"])
def test_picture_when_served_then_at_most_one_grey_level_off_the_torch_reference(
    service: RunningService, pose: dict, photo: np.ndarray, sampler: str
) -> None:
    content = (EXAMPLES / "person.png").read_bytes()
    response = service.generate(content, pose, seed=3, steps=STEPS, sampler=sampler)
    assert response.status_code == httpx.codes.OK, response.text

    shown = (photo, skeleton_of(pose), 3, STEPS, 2.0, sampler)
    expected = reference_picture(demo_networks(), *shown)
    served = pixels(response.content)

    assert expected.std() > 10, "a picture of one colour would agree with anything"
    assert np.abs(served - expected.astype(np.int16)).max() <= 1
    # The service must have taken what the network predicts for what it is.
    of_noise = reference_picture(predicting_noise(), *shown)
    assert np.abs(served - of_noise.astype(np.int16)).mean() > 10


def predicting_noise() -> SimpleNamespace:
    """The same networks, taken for ones that predict noise."""
    demo = demo_networks()
    return SimpleNamespace(
        variant=replace(demo.variant, prediction="epsilon"),
        xmdpt=demo.xmdpt,
        pose_extractor=demo.pose_extractor,
        photo_extractor=demo.photo_extractor,
        vae=demo.vae,
    )


def test_models_when_asked_then_the_demo_and_where_its_weights_come_from(service: RunningService) -> None:
    (model,) = service.client.get("/v1/models").json()["data"]

    assert (model["name"], model["is_trained"]) == ("demo", True)
    assert "made by rule for tests" in str(model)
