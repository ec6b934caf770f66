"""How near presets come to the exact one is measured with the repository's own graphs, or not at all."""

from pathlib import Path

import pytest

from export.preset_quality import PresetQuality, compare_presets
from export.verify_command import faults_of
from xmdpt.repository import load_manifest
from xmdpt.spec import LOW_DECODER

SHIPPED = Path(__file__).resolve().parents[2] / "model_repository"


def test_presets_when_compared_then_fast_is_nearer_than_draft_and_both_are_other_pictures() -> None:
    found = compare_presets(SHIPPED, load_manifest(SHIPPED), num_pictures=1)

    assert list(found) == ["fast", "draft"]
    fast, draft = found["fast"], found["draft"]
    assert 60 > fast.psnr_db > 48 > draft.psnr_db > 38
    assert (fast.least_psnr_db, draft.least_psnr_db) == (fast.psnr_db, draft.psnr_db)
    assert 1 > fast.ssim > draft.ssim > 0.99
    assert fast.num_pictures == draft.num_pictures == 1
    assert fast.min_psnr_db == draft.min_psnr_db == 40
    assert faults_of({}, [], found) == []


def test_presets_when_there_is_no_low_decoder_then_their_pictures_are_decoded_in_float32() -> None:
    manifest = load_manifest(SHIPPED)
    low = compare_presets(SHIPPED, manifest, num_pictures=1)

    del manifest["graphs"][LOW_DECODER]
    exact = compare_presets(SHIPPED, manifest, num_pictures=1)

    assert all(exact[preset].psnr_db > low[preset].psnr_db + 0.3 for preset in ("fast", "draft"))


@pytest.mark.parametrize("least", [39.9, float("nan")])
def test_preset_when_one_picture_is_too_far_off_then_the_repository_is_not_to_be_served(least: float) -> None:
    near, far = (PresetQuality(52.5, decibels, 0.99, 32, min_psnr_db=40) for decibels in (40, least))

    assert faults_of({}, [], {"fast": near, "draft": far}) == ["pictures of a preset are too far from those of exact"]


@pytest.mark.parametrize("case", ["nobody", "untrained", "rounded"])
def test_presets_when_there_is_nothing_to_compare_then_none(case: str) -> None:
    manifest = load_manifest(SHIPPED)
    if case == "untrained":
        manifest["weights"]["is_trained"] = False
    elif case == "rounded":
        manifest["graphs"]["tdnet_step_low"]["precision"] = "bf16"

    assert compare_presets(SHIPPED, manifest, num_pictures=0 if case == "nobody" else 1) == {}
