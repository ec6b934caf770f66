"""The model that this deployment serves, as clients see it.

It loads nothing: `service.bootstrap` fills it from the repository's manifest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from service.domain.errors import RequestError
from service.domain.job import cost_of
from xmdpt.presets import PRESETS, Preset

# Of a step in low precision, in those of the model's own: demo takes 0.46 in int8 on a CPU. It shares a queue out
# between tenants and tells what is before a job; how long the job itself takes is measured by each worker.
_LOW_STEP_COST = 0.5


@dataclass(frozen=True)
class PresetQuality:
    """How near pictures of a preset came to those of `exact`, from the same seeds, when the repository was verified.

    Attributes:
        psnr_db: mean over the pictures; None if one was equal.
        least_psnr_db: of the picture that differed most; None if all were equal.
        ssim: mean, 0 .. 1.
        num_pictures: that were compared.
    """

    psnr_db: float | None
    least_psnr_db: float | None
    ssim: float
    num_pictures: int


@dataclass(frozen=True)
class ServedModel:
    """The one variant behind the queue.

    Attributes:
        name: of the variant, such as `tiny`.
        digest: `sha256:<hex>` over all graphs.
        is_trained: False for placeholder weights, whose pictures are noise.
        weights_origin: where the weights come from, for people.
        precision: of its graphs' products, such as `fp32`.
        low_precision: of the graph for steps in low precision, such as `int8`; None if it has none.
        quality: of its presets, where it was measured.
    """

    name: str
    digest: str
    is_trained: bool
    weights_origin: str
    precision: str = "fp32"
    low_precision: str | None = None
    quality: Mapping[Preset, PresetQuality] = field(default_factory=dict[Preset, PresetQuality])

    @property
    def presets(self) -> Sequence[Preset]:
        """Those that it offers."""
        has_low = self.low_precision is not None
        return [preset for preset, meaning in PRESETS.items() if has_low or not meaning.needs_low_precision]

    def precision_of(self, preset: Preset) -> str:
        """What the steps of an offered preset are computed in."""
        return PRESETS[preset].precision(self.precision, self.low_precision)

    def step_cost(self, preset: Preset) -> float:
        """What a step of an offered preset costs, in those of `exact`."""
        return _LOW_STEP_COST if self.low_precision and PRESETS[preset].wants_low_precision else 1.0

    def cost(self, num_steps: int, num_images: int, preset: Preset) -> int:
        """Row-steps of a request."""
        return cost_of(num_steps, num_images, self.step_cost(preset))

    def check(self, name: str | None, preset: Preset) -> None:
        """Whether a request can be served.

        Args:
            name: of the model that it asks for; None for whichever is served.
            preset: that it asks for.

        Raises:
            RequestError: `unknown_model`, `unavailable_preset`.
        """
        if name not in (None, self.name):
            raise RequestError.of_field("unknown_model", "/model", f"must be {self.name}, the model served here")
        if preset not in self.presets:
            detail = f"must be {' or '.join(self.presets)}: the model {self.name} has no graph of low precision"
            raise RequestError.of_field("unavailable_preset", "/preset", detail)
