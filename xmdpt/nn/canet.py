"""CANet: pools pose tokens, photo tokens and source latents into one vector per picture, the condition.

Does not extract the tokens (`xmdpt.nn.dinov2`, `xmdpt.nn.conv_extractor`) nor use the condition (`xmdpt.nn.tdnet`).
"""

from torch import Tensor, nn

from xmdpt.spec import Variant

# As in training. Far below the usual 1e-5, which would change results in the fourth digit.
_VECTOR_NORM_EPS = 1e-12


class CANet(nn.Module):
    """Three branches and the MLP that merges their sum.

    The condition is `merge(pose + global + local)`. It is cut at the sum, so that a photo's and a pose's part can be
    computed, cached and combined apart.

    Source:
        Pham et al. 2024 (X-MDPT), section 3; trungpx/xmdpt@8397056.
    """

    def __init__(self, variant: Variant):
        super().__init__()
        width = variant.width
        self.pose_project = _dense(variant.pose_extractor.width, width)
        self.pose_pool = _pool(variant.pose_extractor.num_tokens, width)
        self.global_project = _dense(variant.photo_extractor.width, width)
        self.global_pool = _pool(variant.photo_extractor.num_tokens, width)
        self.local_pool = _pool(variant.num_tokens, width)
        self.merge = _dense(width, width)

    def global_vector(self, photo_tokens: Tensor) -> Tensor:
        """Return [B, D] of the photo's tokens [B, N, W]: what the person looks like as a whole."""
        return self.global_pool(self.global_project(photo_tokens)).squeeze(1)

    def local_vector(self, source_tokens: Tensor) -> Tensor:
        """Return [B, D] of the source latents as embedded by TDNet's embedder [B, T, D]: fine appearance."""
        return self.local_pool(source_tokens).squeeze(1)

    def source_vector(self, photo_tokens: Tensor, source_tokens: Tensor) -> Tensor:
        """Return [B, D]: all that the condition needs of a photo. For the arguments see the two branches."""
        return self.global_vector(photo_tokens) + self.local_vector(source_tokens)

    def pose_vector(self, pose_tokens: Tensor) -> Tensor:
        """Return [B, D]: all that the condition needs of a skeleton's tokens [B, N, W]."""
        return self.pose_pool(self.pose_project(pose_tokens)).squeeze(1)

    def condition(self, source_vector: Tensor, pose_vector: Tensor) -> Tensor:
        """Return [B, D] of source_vector and pose_vector, both [B, D]."""
        return self.merge(source_vector + pose_vector)


def _dense(width_in: int, width_out: int) -> nn.Sequential:
    """[..., width_in] to [..., width_out]; exact (erf) GELU, unlike TDNet's blocks."""
    return nn.Sequential(nn.Linear(width_in, width_out), nn.GELU(), nn.LayerNorm(width_out, eps=_VECTOR_NORM_EPS))


def _pool(num_tokens: int, width: int) -> nn.Sequential:
    """[B, num_tokens, width] to [B, 1, width]: a weighted sum with one weight per token."""
    return nn.Sequential(nn.Conv1d(num_tokens, 1, kernel_size=1), nn.GELU(), nn.LayerNorm(width, eps=_VECTOR_NORM_EPS))
