"""In which numbers products are computed, by what the processor multiplies itself."""

import pytest
import torch

from xmdpt.training.mixed_precision import mixed_precision


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, torch.float32),
        ({"avx2": True, "avx512_bf16": True, "amx_bf16": False}, torch.bfloat16),
        ({"neon": True, "bf16": True}, torch.bfloat16),
        ({}, torch.float32),
    ],
)
def test_products_when_the_processor_has_bfloat16_then_they_are_in_it(
    capabilities: dict[str, bool], expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)

    with mixed_precision():
        product = torch.ones(2, 2) @ torch.ones(2, 2)

    assert product.dtype is expected
