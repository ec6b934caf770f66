"""A call's fingerprint: equal for what is the same call, different for everything that changes the answer."""

import dataclasses
from typing import Any

import pytest

from service.domain.job import Priority
from service.domain.request import MAX_SEED, ImageFormat, OutputOptions, Sampler
from service.domain.stored_form import stored_form
from service.gateway.submission import Submission
from tests.unit.builders import a_submission, pixels, with_changes
from xmdpt.presets import Preset

CALL = a_submission(1, seed=7)


def fingerprint(submission: Submission, model: str = "tiny") -> str:
    return submission.fingerprint(submission.request(model))


def test_fingerprint_when_the_same_is_asked_for_again_then_equal() -> None:
    assert fingerprint(CALL) == fingerprint(with_changes(CALL))


def test_fingerprint_when_the_served_model_is_named_or_not_then_equal() -> None:
    assert fingerprint(CALL) == fingerprint(with_changes(CALL, model="tiny"))


def test_fingerprint_when_the_seed_is_drawn_then_equal_though_the_seeds_differ() -> None:
    call = with_changes(CALL, seed=None)
    first, second = call.request("tiny"), call.request("tiny")

    assert first.params.seed != second.params.seed
    assert call.fingerprint(first) == call.fingerprint(second)


@pytest.mark.parametrize(
    "change",
    [
        {"photo": pixels(3)},
        {"skeleton": pixels(3)},
        {"photo": pixels(2), "skeleton": pixels(1)},
        {"seed": 8},
        {"seed": None},
        {"num_steps": 5},
        {"guidance": 2.5},
        {"sampler": Sampler.DPMPP_2M},
        {"preset": Preset.FAST},
        {"preset": Preset.DRAFT},
        {"output": OutputOptions(ImageFormat.WEBP)},
        {"output": OutputOptions(quality=50)},
        {"output": OutputOptions(preview_every_steps=1)},
        {"output": OutputOptions(is_inline=True)},
        {"output": OutputOptions(width_px=256)},
        {"priority": Priority.BATCH},
        {"deadline_seconds": 60.0},
        {"retention_seconds": 60.0},
        {"metadata": {"sku": "A1"}},
        {"num_images": 2},
    ],
    ids="+".join,
)
def test_fingerprint_when_one_thing_differs_then_it_does(change: dict[str, Any]) -> None:
    assert fingerprint(CALL) != fingerprint(with_changes(CALL, **change))


def test_fingerprint_when_the_preset_is_exact_then_it_is_that_of_a_version_without_presets() -> None:
    request = CALL.request("tiny")

    assert "preset" not in stored_form(request)["params"]
    fast = dataclasses.replace(request, params=dataclasses.replace(request.params, preset=Preset.FAST))
    assert stored_form(fast)["params"]["preset"] == "fast"


@pytest.mark.parametrize("num_images", [1, 8])
def test_seed_when_it_is_drawn_then_that_of_the_last_picture_is_one_too(
    monkeypatch: pytest.MonkeyPatch, num_images: int
) -> None:
    monkeypatch.setattr("service.gateway.submission.secrets.randbelow", lambda limit: limit - 1)

    request = with_changes(CALL, seed=None, num_images=num_images).request("tiny")

    assert request.params.seed + num_images - 1 == MAX_SEED


def test_fingerprint_when_the_model_differs_then_it_does() -> None:
    assert fingerprint(CALL) != fingerprint(CALL, "demo")
