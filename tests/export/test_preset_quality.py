"""How near presets come to the exact one is measured with the repository's own graphs, or not at all."""

from pathlib import Path

import pytest

from export.preset_quality import compare_presets
from xmdpt.repository import load_manifest

SHIPPED = Path(__file__).resolve().parents[2] / "model_repository"


def test_presets_when_compared_then_fast_is_nearer_than_draft_and_both_are_other_pictures() -> None:
    found = compare_presets(SHIPPED, load_manifest(SHIPPED), num_pictures=1)

    assert list(found) == ["fast", "draft"]
    fast, draft = found["fast"], found["draft"]
    assert 60 > fast.psnr_db > 48 > draft.psnr_db > 38
    assert (fast.least_psnr_db, draft.least_psnr_db) == (fast.psnr_db, draft.psnr_db)
    assert 1 > fast.ssim > draft.ssim > 0.99
    assert fast.num_pictures == draft.num_pictures == 1


@pytest.mark.parametrize("case", ["nobody", "untrained", "rounded"])
def test_presets_when_there_is_nothing_to_compare_then_none(case: str) -> None:
    manifest = load_manifest(SHIPPED)
    if case == "untrained":
        manifest["weights"]["is_trained"] = False
    elif case == "rounded":
        manifest["graphs"]["tdnet_step_low"]["precision"] = "bf16"

    assert compare_presets(SHIPPED, manifest, num_pictures=0 if case == "nobody" else 1) == {}
