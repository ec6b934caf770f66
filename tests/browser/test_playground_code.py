"""The playground's texts for a shell and for Python: copied as a visitor copies them, and run as they are."""

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.playground_page import generate, joint, open_playground, preset, saved
from tests.integration.processes import EXAMPLES, ROOT

PERSON = EXAMPLES / "person.png"


@pytest.fixture
def page(visit: Visit) -> Page:
    visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    return open_playground(visit.page)


def copied(page: Page, language: str) -> str:
    page.locator("#code").click()
    page.get_by_role("button", name=f"Copy {language}").click()
    expect(page.locator(f"[data-copied={language.lower()}]")).to_have_text("Copied.")
    text = page.evaluate("navigator.clipboard.readText()")
    page.get_by_role("button", name="Close").click()
    return text


def run(folder: Path, *command: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        command, check=False, cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stderr


def pixels(file: Path | bytes) -> np.ndarray:
    with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as image:
        return np.asarray(image.convert("RGB")).astype(np.int16)


def test_curl_when_copied_and_run_then_it_makes_the_picture_on_screen(page: Page, tmp_path: Path) -> None:
    preset(page, "hand on hip").click()
    joint(page, "left wrist").press("Shift+ArrowUp")
    generate(page)
    name, _ = saved(page, tmp_path)

    run(tmp_path, "sh", "-c", copied(page, "curl"))

    # The promise of the API: at most a grey level.
    assert np.abs(pixels(tmp_path / "picture.png") - pixels(tmp_path / name)).max() <= 1


def test_curl_when_the_photo_is_a_file_with_a_strange_name_and_there_are_two_pictures_then_it_runs_too(
    page: Page, tmp_path: Path
) -> None:
    name = 'it\'s; me, "you".png'
    (tmp_path / name).write_bytes(PERSON.read_bytes())
    page.locator("#photo input[type=file]").set_input_files(tmp_path / name)
    expect(page.locator("#photo [data-name]")).to_have_text(name)
    page.locator("[name=steps]").fill("4")
    page.locator("[name=pictures]").fill("2")

    run(tmp_path, "sh", "-c", copied(page, "curl"))

    with zipfile.ZipFile(tmp_path / "pictures.zip") as archive:
        assert [pixels(archive.read(each)).shape for each in ("0.png", "1.png")] == [(256, 176, 3)] * 2


def test_python_when_copied_and_run_then_it_makes_the_picture_on_screen(page: Page, tmp_path: Path) -> None:
    page.get_by_label("Frame the person").check()
    page.locator("[name=preset]").select_option("draft")
    expect(page.locator("[data-steps]")).to_have_text("20")
    page.locator("[name=sampler]").select_option("dpmpp_2m")
    preset(page, "arms raised").click()
    generate(page)
    name, _ = saved(page, tmp_path)

    run(tmp_path, sys.executable, "-c", copied(page, "Python"))

    assert np.abs(pixels(tmp_path / "picture-0.png") - pixels(tmp_path / name)).max() <= 1
