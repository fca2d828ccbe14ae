"""Small convolutions of the golden model: all strides, kernels and widths, against integer arithmetic."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from spikeloom.quant.kernels.exact import exact_math
from spikeloom.quant.kernels.synapse import convolve


@pytest.mark.parametrize(("channels", "groups"), [(1, 1), (2, 1), (2, 2), (4, 2)])
def test_as_integers(channels: int, groups: int) -> None:
    """One channel and results one pixel wide are where a library reads beyond the image in some format."""
    generator = torch.Generator().manual_seed(0)
    with exact_math():
        for high, wide, ky, kx, sy, sx in product((3, 6), (2, 3, 4, 5), (1, 2, 3), (1, 2, 3), (1, 2), (1, 2, 3)):
            if kx > wide:
                continue
            x = torch.randint(0, 2, (6, channels, high, wide), generator=generator, dtype=torch.int8)
            weight = torch.randint(-3, 4, (channels, channels // groups, ky, kx), generator=generator)
            found, want = (convolve(x, weight, (sy, sx), (0, 0), t, groups) for t in (torch.float32, torch.int64))
            assert torch.equal(found.long(), want), (high, wide, ky, kx, sy, sx)
