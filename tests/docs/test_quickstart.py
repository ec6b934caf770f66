"""Every example of the quick start is a whole program: each is run as it stands, beside a photo and a pose."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.integration.processes import EXAMPLES, ROOT, running_service

PAGE = (ROOT / "docs" / "quickstart.md").read_text()
ADDRESS = "http://127.0.0.1:8080"
SECTIONS = {
    title: dict(re.findall(r"^```(\w+)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL))
    for title, text in re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL)
}
PROGRAMS = {
    "bash": ["bash", "-euo", "pipefail", "-c"],
    "python": [sys.executable, "-c"],
    "js": ["node", "--input-type=module", "--eval"],
}
# What each leaves behind, and a part of what it says.
LEFT = {
    ("One picture", "bash"): ({"picture.png"}, ""),
    ("One picture", "python"): ({"picture.png"}, ""),
    ("One picture", "js"): ({"picture.png"}, ""),
    ("A job that is waited for", "bash"): ({"picture.png"}, "event: end\n"),
    ("A job that is waited for", "python"): ({"picture.png"}, "50 of 50\n"),
    ("A job that is waited for", "js"): ({"picture.png"}, ""),
    ("Many pictures", "bash"): ({"pictures.zip"}, '"custom_id":"s0-p1"'),
    ("Many pictures", "python"): ({"mine.png", "walking.png"}, "mine succeeded\n"),
    ("Many pictures", "js"): ({"s0-p0.webp", "s0-p1.webp"}, "s0-p1 succeeded\n"),
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    settings = {"XMDPT_BACKEND": "simulated", "XMDPT_SIMULATED__STEP_MS": "5", "XMDPT_LOG_LEVEL": "warning"}
    with running_service(tmp_path_factory.mktemp("quickstart"), **settings) as service:
        yield f"http://127.0.0.1:{service.port}"


def test_page_when_read_then_each_way_is_shown_in_each_language() -> None:
    assert {(title, language) for title, blocks in SECTIONS.items() for language in blocks} == LEFT.keys()
    assert PAGE.count("```") == 2 * len(LEFT)


@pytest.mark.system
@pytest.mark.parametrize(("title", "language"), LEFT, ids="-".join)
def test_example_when_run_then_it_makes_what_it_says(url: str, tmp_path: Path, title: str, language: str) -> None:
    if shutil.which(PROGRAMS[language][0]) is None:
        pytest.skip(f"{PROGRAMS[language][0]} is not installed: make setup-system")
    shutil.copy(EXAMPLES / "person.png", tmp_path / "photo.png")
    shutil.copy(EXAMPLES / "pose.json", tmp_path)
    program = SECTIONS[title][language].replace(ADDRESS, url)

    done = subprocess.run(
        [*PROGRAMS[language], program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    names, said = LEFT[title, language]
    assert said in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == names | {"photo.png", "pose.json"}
    for name in names:
        assert pictures_in(tmp_path / name)


def pictures_in(path: Path) -> int:
    """How many pictures of the model's size a file is or holds; fails if one is none."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            files = [archive.open(name) for name in archive.namelist() if name.endswith(".png")]
            sizes = [Image.open(file).size for file in files]
    else:
        with Image.open(path) as image:
            sizes = [image.size]
    assert set(sizes) == {(256, 256)}
    return len(sizes)
