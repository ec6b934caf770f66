"""Where the weights of a build come from: a safetensors file, or the rule for the untrained placeholder.

Does not know key names or the rule's numbers (`xmdpt.nn.checkpoint`, `xmdpt.nn.untrained`).
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from xmdpt.nn.checkpoint import load_weights
from xmdpt.nn.pipeline import Pipeline, build_pipeline
from xmdpt.nn.untrained import fill_untrained
from xmdpt.spec import Variant


@dataclass(frozen=True)
class WeightsOrigin:
    """What the manifest tells people about the weights; pictures of untrained ones are noise."""

    origin: str
    is_trained: bool


UNTRAINED = WeightsOrigin(
    "untrained: random numbers by the rule of xmdpt/nn/untrained.py, each tensor following from its name",
    is_trained=False,
)


def load_pipeline(variant: Variant, weights: Path | None) -> tuple[Pipeline, WeightsOrigin]:
    """A variant's networks with their weights.

    Args:
        variant: shape of the networks.
        weights: safetensors file with every key of the pipeline, or None for the untrained rule.

    Raises:
        CheckpointError: it is no safetensors file, or its keys or shapes are not the pipeline's.
        OSError: the file cannot be read.
    """
    pipeline = build_pipeline(variant)
    if weights is None:
        fill_untrained(pipeline)
        return pipeline, UNTRAINED
    load_weights(pipeline, weights)
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return pipeline, WeightsOrigin(f"{weights.name}, sha256 {digest}", is_trained=True)
