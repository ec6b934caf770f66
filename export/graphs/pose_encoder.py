"""The graph `pose_encoder`: a skeleton picture to the part of the condition that depends on the pose alone.

Does not draw skeletons (`xmdpt.skeleton`).
"""

from torch import Tensor, nn

from xmdpt.nn.pipeline import Networks


class PoseEncoderGraph(nn.Module):
    """Tokens of one skeleton, pooled."""

    def __init__(self, networks: Networks) -> None:
        super().__init__()
        self.extractor = networks.pose_extractor
        self.canet = networks.xmdpt.canet

    def forward(self, skeleton: Tensor) -> Tensor:
        """Return pose_vector [B, D] of skeleton [B, 256, 256, 3] u8 RGB; each is divided by its own maximum."""
        # Numbers before anything else: TensorRT takes u8 at a graph's border only.
        x = skeleton.float().permute(0, 3, 1, 2)
        # At least 1: an all black skeleton stays 0, and any other has a brighter pixel.
        x = x / x.amax(dim=(1, 2, 3), keepdim=True).clamp(min=1)
        return self.canet.pose_vector(self.extractor(self.extractor.shrink(x)))
