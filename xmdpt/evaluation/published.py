"""Figures from papers, to stand beside ours: none of them was measured here.

All on DeepFashion In-shop, 8,570 test pairs, at 256 x 176.
"""

from typing import NamedTuple


class Published(NamedTuple):
    """One row of a paper's table, its figures as printed there; None where it states nothing."""

    method: str
    source: str
    fid: str | None = None
    lpips: str | None = None
    ssim: str | None = None
    psnr: str | None = None


PUBLISHED = (
    Published("X-MDPT-S", "its authors' README, 300k steps", fid="7.42"),
    Published("X-MDPT-B", "its authors' README, 300k steps", fid="6.72"),
    Published("X-MDPT-L", "its authors' README, 300k steps", fid="6.60"),
    Published("PIDM", "Bhunia et al., CVPR 2023", fid="6.3671", lpips="0.1678", ssim="0.7312"),
    Published("PoCoLD", "Han et al., ICCV 2023", fid="8.0667", lpips="0.1642", ssim="0.7310"),
)
"""Different papers use different Inceptions, resizes and reference photos; see docs/evaluation.md."""
