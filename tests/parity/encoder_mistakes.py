"""Mistakes that an implementation of DINOv2 or of the autoencoder can make, put into a correct network."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from xmdpt.nn.dinov2 import HUB_TOKENS, Dinov2, resize_224
from xmdpt.nn.encoder_rules import dinov2_base

Mistake = Callable[[nn.Module], object]


def replaced_table(interpolate: Callable[[Tensor], Tensor]) -> Mistake:
    """The table of the rule "base" or "strong" brought to 16 x 16 in a wrong way."""

    def plant(network: Any) -> None:
        assert isinstance(network, Dinov2)
        width = network.pos_embed.shape[-1]
        hub = torch.from_numpy(dinov2_base("pos_embed", (1, HUB_TOKENS, width)).astype(np.float32))
        grid = hub[:, 1:].unflatten(1, (37, 37)).permute(0, 3, 1, 2)
        small = interpolate(grid).flatten(2).transpose(1, 2)
        network.pos_embed.copy_(torch.cat([hub[:, :1], small], dim=1))

    return plant


def resized_table(mode: str, **options: object) -> Mistake:
    return replaced_table(lambda grid: functional.interpolate(grid, size=(16, 16), mode=mode, **options))  # type: ignore[arg-type]


def table_transposed(network: Any) -> None:
    grid = network.pos_embed[:, 1:].unflatten(1, (16, 16)).transpose(1, 2)
    network.pos_embed[:, 1:] = grid.flatten(1, 2).clone()


def usual_layer_norm_eps(network: Any) -> None:
    for module in network.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-5


def tanh_gelu(network: Any) -> None:
    class TanhMlp(nn.Module):
        def __init__(self, mlp: Any) -> None:
            super().__init__()
            self.fc1, self.fc2 = mlp.fc1, mlp.fc2

        def forward(self, tokens: Tensor) -> Tensor:
            return self.fc2(functional.gelu(self.fc1(tokens), approximate="tanh"))

    for block in network.blocks:
        block.mlp = TanhMlp(block.mlp)


def swiglu_halves_swapped(network: Any) -> None:
    for block in network.blocks:
        for tensor in (block.mlp.w12.weight, block.mlp.w12.bias):
            tensor.copy_(tensor.roll(len(tensor) // 2, dims=0))


def swiglu_halves_interleaved(network: Any) -> None:
    for block in network.blocks:
        for tensor in (block.mlp.w12.weight, block.mlp.w12.bias):
            tensor.copy_(torch.cat([tensor[0::2], tensor[1::2]]))


def without_layer_scale(network: Any) -> None:
    for block in network.blocks:
        block.ls1, block.ls2 = nn.Identity(), nn.Identity()


def without_attention_scale(network: Any) -> None:
    for block in network.blocks:
        width = len(block.attn.proj.bias)
        for tensor in (block.attn.qkv.weight, block.attn.qkv.bias):
            tensor[:width] *= (width / block.attn.heads) ** 0.5


def without_final_norm(network: Any) -> None:
    network.norm = nn.Identity()


DINOV2_MISTAKES: dict[str, tuple[str, Mistake]] = {
    "position offset 0": ("b-cut.base", resized_table("bicubic")),
    "offset 0, antialiased": ("g-cut.base", resized_table("bicubic", antialias=True)),
    "align corners": ("b-cut.base", resized_table("bicubic", align_corners=True)),
    "bilinear table": ("g-cut.base", resized_table("bilinear")),
    "table transposed": ("b-cut.strong", table_transposed),
    "layer norm eps 1e-5": ("b-cut.base", usual_layer_norm_eps),
    "layer norm eps 1e-5 in g": ("g-cut.strong", usual_layer_norm_eps),
    "tanh GELU": ("b-cut.base", tanh_gelu),
    "SwiGLU halves swapped": ("g-cut.base", swiglu_halves_swapped),
    "SwiGLU halves interleaved": ("g-cut.base", swiglu_halves_interleaved),
    "LayerScale left out": ("g-cut.strong", without_layer_scale),
    "attention scale left out": ("b-cut.strong", without_attention_scale),
    "final norm left out": ("b-cut.base", without_final_norm),
}


def interpolated(x: Tensor, **options: object) -> Tensor:
    return functional.interpolate(x, size=(224, 224), mode="bicubic", **options)  # type: ignore[arg-type]


INPUT_MISTAKES: dict[str, Callable[[Tensor], Tensor]] = {
    "antialiased": lambda x: interpolated(x, antialias=True),
    "clamped": lambda x: resize_224(x).clamp(-1, 1),
    "ImageNet normalisation": lambda x: resize_224((x - 0.45) / 0.225),
    "blue first": lambda x: resize_224(x.flip(1)),
}


def group_norm_eps(eps: float) -> Mistake:
    def plant(network: Any) -> None:
        for module in network.modules():
            if isinstance(module, nn.GroupNorm):
                module.eps = eps

    return plant


def half_as_many_groups(network: Any) -> None:
    for module in network.modules():
        if isinstance(module, nn.GroupNorm):
            module.num_groups //= 2


def mid_attentions(network: Any) -> list[Any]:
    return [part.mid_block.attentions[0] for part in (network.encoder, network.decoder)]


def without_attention(network: Any) -> None:
    for part in (network.encoder, network.decoder):
        part.mid_block.attentions[0] = nn.Identity()


def without_vae_attention_scale(network: Any) -> None:
    for attention in mid_attentions(network):
        for tensor in (attention.to_q.weight, attention.to_q.bias):
            tensor.mul_(len(attention.to_q.bias) ** 0.5)


def eight_heads(network: Any) -> None:
    class EightHeads(nn.Module):
        def __init__(self, attention: Any) -> None:
            super().__init__()
            self.one_head = attention

        def forward(self, x: Tensor) -> Tensor:
            layers = self.one_head
            pixels = layers.group_norm(x).flatten(2).transpose(1, 2)
            heads = [layer(pixels).unflatten(2, (8, -1)) for layer in (layers.to_q, layers.to_k, layers.to_v)]
            mixed = functional.scaled_dot_product_attention(*(head.transpose(1, 2) for head in heads))
            return x + layers.to_out[0](mixed.transpose(1, 2).flatten(2)).transpose(1, 2).unflatten(2, x.shape[2:])

    for part in (network.encoder, network.decoder):
        part.mid_block.attentions[0] = EightHeads(part.mid_block.attentions[0])


def gelu_for_silu(network: Any) -> None:
    class Gelu(TorchFunctionMode):
        def __torch_function__(
            self, func: Callable, types: object, args: tuple = (), kwargs: dict | None = None
        ) -> object:
            return func(*args, **(kwargs or {})) if func is not functional.silu else functional.gelu(args[0])

    def with_gelu(forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def wrong(x: Tensor) -> Tensor:
            with Gelu():
                return forward(x)

        return wrong

    for part in (network.encoder, network.decoder):
        part.forward = with_gelu(part.forward)


def symmetric_padding(network: Any) -> None:
    class Symmetric(nn.Module):
        def __init__(self, conv: Any) -> None:
            super().__init__()
            self.conv = conv

        def forward(self, x: Tensor) -> Tensor:
            return functional.conv2d(x, self.conv.weight, self.conv.bias, stride=2, padding=1)

    for block in network.encoder.down_blocks[:-1]:
        block.downsamplers[0] = Symmetric(block.downsamplers[0].conv)


def bilinear_upsampling(network: Any) -> None:
    class Bilinear(nn.Module):
        def __init__(self, conv: Any) -> None:
            super().__init__()
            self.conv = conv

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(functional.interpolate(x, scale_factor=2.0, mode="bilinear"))

    for block in network.decoder.up_blocks[:-1]:
        block.upsamplers[0] = Bilinear(block.upsamplers[0].conv)


def without_quant_convs(network: Any) -> None:
    network.quant_conv, network.post_quant_conv = nn.Identity(), nn.Identity()


VAE_MISTAKES: dict[str, tuple[Mistake, set[str]]] = {
    "group norm eps 1e-5": (group_norm_eps(1e-5), {"float64.moments", "float64.dec_z.out"}),
    "half as many groups": (half_as_many_groups, {"moments", "dec_z.out"}),
    "attention left out": (without_attention, {"moments", "dec_z.out"}),
    "attention scale left out": (without_vae_attention_scale, {"moments", "dec_z.out"}),
    "8 heads": (eight_heads, {"moments", "dec_z.out"}),
    "GELU for SiLU": (gelu_for_silu, {"moments", "dec_z.out"}),
    "symmetric padding": (symmetric_padding, {"moments", "sample", "dec_mode.out"}),
    "bilinear upsampling": (bilinear_upsampling, {"dec_z.out", "dec_mode.out"}),
    "quant convs left out": (without_quant_convs, {"moments", "dec_z.out"}),
}
