"""What several versions write and read of the same value."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

import pytest

from service.domain.request import GenerationRequest
from service.domain.stored_form import LATER, known_fields, stored_form
from service.gateway.batch_items import BatchItem, ItemPose
from tests.unit.builders import a_request, a_submission
from xmdpt.presets import Preset


@dataclass(frozen=True)
class Inner:
    side: int = 1
    shade: int = field(default=0, metadata=LATER)


@dataclass(frozen=True)
class Outer:
    name: str = "a"
    parts: tuple[Inner, ...] = (Inner(), Inner(shade=2))
    notes: Mapping[str, str] = field(default_factory=lambda: {"k": "v"})
    tone: str | None = field(default=None, metadata=LATER)


def test_form_when_later_fields_say_nothing_then_it_is_that_of_the_version_before_them() -> None:
    assert stored_form(Outer()) == {"name": "a", "parts": [{"side": 1}, {"side": 1, "shade": 2}], "notes": {"k": "v"}}
    assert stored_form(replace(Outer(), tone="warm"))["tone"] == "warm"


@pytest.mark.parametrize(
    "value",
    [
        a_request(preset=Preset.FAST),
        BatchItem(1, "name", 4, a_submission(preset=Preset.FAST).options, pose=ItemPose(preset="arms")),
    ],
)
def test_form_when_every_later_field_says_something_then_it_is_every_field(
    value: GenerationRequest | BatchItem,
) -> None:
    assert json.dumps(stored_form(value)) == json.dumps(asdict(value))


def test_fields_when_more_are_stored_then_the_known_ones_are_taken() -> None:
    assert known_fields(Inner, {"side": 3, "colour": "red"}) == {"side": 3}


@pytest.mark.parametrize("stored", ["text", 3, None, [1]])
def test_fields_when_there_are_none_then_refused(stored: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        known_fields(Inner, stored)  # pyright: ignore[reportArgumentType]
