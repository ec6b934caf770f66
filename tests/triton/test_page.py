"""docs/triton.md and `make triton`: the example is run as it stands, against the server of this suite."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.integration.processes import ROOT
from tests.triton.lab_repository import MANIFEST
from tests.triton.running_triton import RunningTriton
from tests.triton.test_shipped_models import draw_in_process

PAGE = (ROOT / "docs" / "triton.md").read_text()
(EXAMPLE,) = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
HTTP = "127.0.0.1:8000"


@pytest.mark.system
def test_example_when_run_then_it_draws_what_the_graphs_draw_in_process(
    triton: RunningTriton, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    assert f'prediction="{MANIFEST["prediction"]}"' in EXAMPLE
    (address,) = re.findall(r"http (127\.0\.0\.1:\d+)", triton.line)
    assert HTTP in EXAMPLE
    said: dict = {}

    exec(EXAMPLE.replace(HTTP, address), said)

    (wanted,) = draw_in_process({name: array[np.newaxis] for name, array in said["arrays"].items()})
    with Image.open(tmp_path / "triton.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), wanted[0])


def test_make_triton_when_given_a_repository_and_options_then_it_installs_and_starts() -> None:
    command = [
        "make",
        "--no-print-directory",
        "--dry-run",
        "triton",
        "REPOSITORY=some models",
        "TRITON=--http-port 9000",
    ]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-2:] == [
        ".venv/bin/python deploy/triton/server.py install",
        '.venv/bin/python deploy/triton/server.py run --repository "some models" --http-port 9000',
    ]
