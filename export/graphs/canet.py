"""The graph `canet`: the photo's and the pose's part to the condition.

Does not make the parts (`export.graphs.source_encoder`, `export.graphs.pose_encoder`), so that both can be cached.
"""

from torch import Tensor, nn

from xmdpt.nn.pipeline import Networks


class CanetGraph(nn.Module):
    """CANet after the cut at its sum."""

    def __init__(self, networks: Networks) -> None:
        super().__init__()
        self.canet = networks.xmdpt.canet

    def forward(self, source_vector: Tensor, pose_vector: Tensor) -> Tensor:
        """Return condition [B, D] of source_vector and pose_vector, both [B, D]."""
        return self.canet.condition(source_vector, pose_vector)
