"""The served variant as clients see it: its ranges and defaults. It loads nothing."""

from typing import Literal

from pydantic import BaseModel, Field

from service.domain.request import (
    DEFAULT_GUIDANCE,
    DEFAULT_STEPS,
    MAX_GUIDANCE,
    MAX_SEED,
    MAX_STEPS,
    MIN_GUIDANCE,
    MIN_STEPS,
    ImageFormat,
    Sampler,
)
from service.gateway.models import PresetQuality, ServedModel
from xmdpt.presets import PRESETS, Preset


class RangeView(BaseModel):
    """The values that a number may have."""

    min: int | float
    max: int | float
    default: int | float


class PresetQualityView(BaseModel):
    """How near its pictures came to those of `exact` from the same seeds, on held-out persons, at guidance 2."""

    psnr_db: float | None = Field(description="Mean over the pictures; null if one was equal")
    least_psnr_db: float | None = Field(description="Of the picture that differed most; null if all were equal")
    ssim: float = Field(description="Mean, 0 to 1")
    num_pictures: int


class PresetView(BaseModel):
    """A preset that can be asked for."""

    name: Preset
    steps: int = Field(description="Where a request does not say otherwise")
    precision: str = Field(description="What the steps are computed in, such as `fp32` or `int8`")
    quality: PresetQualityView | None = Field(description="Null where it was not measured, and of `exact`")


class ModelView(BaseModel):
    """A variant that can be asked for."""

    name: str
    object: Literal["model"] = "model"
    digest: str = Field(description="Over all graphs; decides with the request what the picture is")
    is_trained: bool = Field(description="False: placeholder weights, the pictures are noise")
    weights_origin: str
    steps: RangeView
    guidance: RangeView
    max_seed: int
    samplers: list[Sampler]
    presets: list[PresetView]
    formats: list[ImageFormat]
    size: list[int] = Field(description="Width and height of a picture as generated, px")


class ModelListView(BaseModel):
    """All that this deployment serves."""

    object: Literal["list"] = "list"
    data: list[ModelView]
    next_cursor: str | None = None


def model_list(model: ServedModel) -> ModelListView:
    """The list that holds the one served variant."""
    view = ModelView(
        name=model.name,
        digest=model.digest,
        is_trained=model.is_trained,
        weights_origin=model.weights_origin,
        steps=RangeView(min=MIN_STEPS, max=MAX_STEPS, default=DEFAULT_STEPS),
        guidance=RangeView(min=MIN_GUIDANCE, max=MAX_GUIDANCE, default=DEFAULT_GUIDANCE),
        max_seed=MAX_SEED,
        samplers=list(Sampler),
        presets=[_preset_view(model, preset) for preset in model.presets],
        formats=list(ImageFormat),
        size=[256, 256],
    )
    return ModelListView(data=[view])


def _preset_view(model: ServedModel, preset: Preset) -> PresetView:
    return PresetView(
        name=preset,
        steps=PRESETS[preset].num_steps,
        precision=model.precision_of(preset),
        quality=_quality_view(model.quality.get(preset)),
    )


def _quality_view(quality: PresetQuality | None) -> PresetQualityView | None:
    return PresetQualityView.model_validate(quality, from_attributes=True) if quality else None
