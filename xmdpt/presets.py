"""The presets of a request: how much of the quality may be given for speed.

What they cost and are worth with a model is measured (`export.preset_quality`); what else a request says comes first
(`service.api.schemas`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Preset(StrEnum):
    """A preset's name."""

    EXACT = "exact"
    FAST = "fast"
    DRAFT = "draft"


@dataclass(frozen=True)
class PresetMeaning:
    """What a preset asks for.

    Attributes:
        num_steps: denoising steps, where a request does not say otherwise.
        wants_low_precision: steps and decoder compute in low precision, each by a model that has a graph for that.
        needs_low_precision: a model without such a step does not offer it.
    """

    num_steps: int
    wants_low_precision: bool = False
    needs_low_precision: bool = False

    def precision(self, usual: str, low: str | None) -> str:
        """What the steps are computed in by a model whose graphs compute in `usual`, and in `low` if one does."""
        return low if self.wants_low_precision and low else usual


PRESETS: Mapping[Preset, PresetMeaning] = MappingProxyType(
    {
        Preset.EXACT: PresetMeaning(50),
        Preset.FAST: PresetMeaning(50, wants_low_precision=True, needs_low_precision=True),
        Preset.DRAFT: PresetMeaning(20, wants_low_precision=True),
    }
)
"""What each means. None has a sampler of its own: at 20 steps DDIM comes nearest to its own 50 (docs/export.md)."""
