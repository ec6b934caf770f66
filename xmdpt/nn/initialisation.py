"""What the weights of X-MDPT are before the first step of training.

Source:
    trungpx/xmdpt@8397056; Peebles and Xie 2023 (DiT), adaLN-zero.
"""

import torch
from torch import nn

from xmdpt.nn.canet import CANet
from xmdpt.nn.layers import FinalLayer, Modulation, RelativePositionBias, TimestepEmbedder
from xmdpt.nn.network import TrainableXMDPT

_STD = 0.02


@torch.no_grad()
def initialise(network: TrainableXMDPT) -> None:
    """Draw all weights anew from torch's generator; positions keep their sines and cosines.

    Every gate begins at zero, so that each block begins as the identity, and the prediction begins as zero.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(module.weight.flatten(1))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, RelativePositionBias):
            nn.init.trunc_normal_(module.table, std=_STD)
    for part in network.modules():
        if isinstance(part, TimestepEmbedder | CANet):
            _draw_narrow(part)
        if isinstance(part, Modulation | FinalLayer):
            nn.init.zeros_(part.linear.weight)
            nn.init.zeros_(part.linear.bias)
    nn.init.normal_(network.mipnet.mask_token, std=_STD)


def _draw_narrow(part: nn.Module) -> None:
    for module in part.modules():
        if isinstance(module, nn.Linear | nn.Conv1d):
            nn.init.normal_(module.weight, std=_STD)
