"""A whole size of the paper, from files in the official layouts to a picture over HTTP: `make whole SIZE=s`.

The files hold random numbers in the true shapes, DINOv2-g included: minutes, 20 GB of disk, 12 GB of memory and more.
"""

import json
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.integration.processes import EXAMPLES, ROOT, pixels, running_service, skeleton_of
from tests.parity.official_files import write_files
from xmdpt.nn.loading import LoadedNetworks, WeightPaths
from xmdpt.nn.reference import reference_picture
from xmdpt.preprocess import to_photo
from xmdpt.spec import VARIANTS

STEPS = 4


@pytest.mark.timeout(3600)
def test_size_when_built_by_one_command_then_its_picture_is_the_references(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    variant = VARIANTS[pytestconfig.getoption("--size")]
    files = write_files(variant, tmp_path / "official")
    options = [word for option, path in files.items() for word in (f"--{option}", str(path))]
    repository = str(tmp_path / "repository")
    build = ["-m", "export", "build", "--variant", variant.name, "--out", repository, "--batch-sizes", "1", *options]
    subprocess.run([sys.executable, *build], cwd=ROOT, check=True)

    photo, pose = (EXAMPLES / "astronaut.jpg").read_bytes(), json.loads((EXAMPLES / "pose.json").read_text())
    # One row at a time: a batch of eight through DINOv2-g at warm-up would take its time and its memory.
    alone = {"XMDPT_WORKER__MAX_BATCH": "1", "XMDPT_WORKER__MAX_SLOTS": "1"}
    with running_service(tmp_path, ready_seconds=600, XMDPT_MODEL_REPOSITORY=repository, **alone) as service:
        served = pixels(service.generate(photo, pose, seed=3, steps=STEPS).content)
    with Image.open(BytesIO(photo)) as image:
        expected = reference_picture(
            LoadedNetworks(variant, WeightPaths(**files)),
            to_photo(image),
            skeleton_of(pose),
            seed=3,
            num_steps=STEPS,
            guidance=2.0,
        )

    assert expected.std() > 10, "a picture of one colour would agree with anything"
    assert np.abs(served - expected.astype(np.int16)).max() <= 1
