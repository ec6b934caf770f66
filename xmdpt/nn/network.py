"""TDNet and CANet together, and with MIPNet: what X-MDPT trains and what its checkpoints hold.

Does not hold the frozen networks around them (`xmdpt.nn.pipeline`).
"""

from dataclasses import dataclass

from torch import Tensor, nn

from xmdpt.nn.canet import CANet
from xmdpt.nn.mipnet import MIPNet
from xmdpt.nn.tdnet import TDNet
from xmdpt.spec import Variant


class XMDPT(nn.Module):
    """TDNet and CANet of one variant.

    TDNet's embedder of latents also embeds CANet's source latents; this class is where the two meet.
    """

    def __init__(self, variant: Variant):
        super().__init__()
        self.tdnet = TDNet(variant)
        self.canet = CANet(variant)

    def source_vector(self, photo_tokens: Tensor, source_latents: Tensor) -> Tensor:
        """Return [B, D] of DINOv2 tokens [B, 257, W] and scaled latents [B, 4, 32, 32] of the same photo."""
        return self.canet.source_vector(photo_tokens, self.tdnet.latent_embedder(source_latents))


@dataclass(frozen=True)
class Conditions:
    """What a picture is to be made of, as the frozen networks deliver it.

    Attributes:
        pose_tokens: [B, 257, Wp], DINOv2 tokens of the target's skeleton.
        photo_tokens: [B, 257, Ws], DINOv2 tokens of the source photo.
        source_latents: [B, 4, 32, 32], scaled, of the source photo.
        is_kept: [B, 1] 0 or 1; where it is 0 all conditions are dropped together, as for guidance.
    """

    pose_tokens: Tensor
    photo_tokens: Tensor
    source_latents: Tensor
    is_kept: Tensor


class TrainableXMDPT(XMDPT):
    """All that is trained: both of its passes predict the noise in the same latents."""

    def __init__(self, variant: Variant):
        super().__init__(variant)
        self.mipnet = MIPNet(variant)

    def plain(self, latents: Tensor, timestep: Tensor, conditions: Conditions) -> Tensor:
        """Return [B, 8, 32, 32] as `TDNet.forward` does, of latents [B, 4, 32, 32] and timestep [B], floating point."""
        return self.tdnet(latents, timestep, self._condition(conditions))

    def masked(
        self, latents: Tensor, timestep: Tensor, conditions: Conditions, mask_noise: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the same of a part of the target's tokens, and inner values; mask_noise [B, T] decides which part."""
        control = self.tdnet.control(timestep, self._condition(conditions))
        return self.mipnet(self.tdnet, latents, conditions.source_latents, control, mask_noise)

    def _condition(self, conditions: Conditions) -> Tensor:
        source_vector = self.source_vector(conditions.photo_tokens, conditions.source_latents)
        pose_vector = self.canet.pose_vector(conditions.pose_tokens)
        return self.canet.condition(source_vector, pose_vector) * conditions.is_kept
