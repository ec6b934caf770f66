"""Photos and skeletons of a folder outside, and a sheet of what was made of them: `make samples SAMPLES=DIR`."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.integration.processes import ROOT, RunningService, pixels, running_service
from xmdpt.nn.pipeline import Pipeline
from xmdpt.nn.reference import reference_picture
from xmdpt.preprocess import to_photo
from xmdpt.skeleton import to_skeleton

SHEET = ROOT / "build" / "samples.png"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    folders = sorted(path.parent for path in metafunc.config.getoption("--samples").glob("*/source.png"))
    assert folders, "--samples holds no <set>/source.png"
    metafunc.parametrize("folder", folders, ids=lambda folder: folder.name)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture(scope="module")
def rows() -> Iterator[list[np.ndarray]]:
    """Rows of source | skeleton | served | reference, drawn as a sheet at the end."""
    rows: list[np.ndarray] = []
    yield rows
    SHEET.parent.mkdir(exist_ok=True)
    Image.fromarray(np.concatenate(rows).astype(np.uint8)).save(SHEET)


def test_picture_when_made_of_a_sample_then_at_most_one_grey_level_off_the_reference(
    folder: Path, service: RunningService, shipped_pipeline: Pipeline, rows: list[np.ndarray]
) -> None:
    source, pose = ((folder / name).read_bytes() for name in ("source.png", "pose.png"))
    photo, skeleton = to_photo(Image.open(BytesIO(source))), to_skeleton(Image.open(BytesIO(pose)))

    served = pixels(service.generate(source, pose, seed=11, steps=20).content)
    expected = reference_picture(shipped_pipeline, photo, skeleton, seed=11, num_steps=20, guidance=2.0)

    assert expected.std() > 10, "a picture of one colour would agree with anything"
    rows.append(np.concatenate([photo, skeleton, served, expected], axis=1))
    assert np.abs(served - expected.astype(np.int16)).max() <= 1
