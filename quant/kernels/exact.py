"""Where floating point cannot round: the type of a sum of integer products, and libraries that add plainly.

A sum of integer products is exact in any order as long as every partial sum stays below 2**24 (float32) or 2**53
(float64). :func:`exact_dtype` picks the type from a bound on them; beyond both, a layer runs in int64. Convolution
algorithms that transform their input (Winograd, FFT) and reduced-precision matrix products would break the argument, so
:func:`exact_math` switches the libraries off that may choose them: NNPACK always, oneDNN where it is not known to
convolve directly.
"""

from __future__ import annotations

import functools
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F

__all__ = ["exact_dtype", "exact_math"]


def exact_dtype(bound: int) -> torch.dtype:
    """The fastest type in which integer sums are exact whose partial sums never exceed ``bound`` in magnitude."""
    return torch.float32 if bound < 1 << 24 else torch.float64 if bound < 1 << 53 else torch.int64


@contextmanager
def exact_math() -> Iterator[None]:
    """Within it, float convolutions and products on the CPU are plain sums of products, in full precision."""
    direct = torch.backends.mkldnn.enabled and _onednn_is_direct()
    with torch.backends.nnpack.flags(enabled=False), _onednn(direct), torch.no_grad():
        yield


@contextmanager
def _onednn(enabled: bool) -> Iterator[None]:
    """oneDNN, if ``enabled``, in full precision."""
    onednn: Any = torch.backends.mkldnn
    kinds = onednn.conv, onednn.matmul
    before = onednn.enabled, [kind.fp32_precision for kind in kinds]
    try:
        onednn.enabled = enabled
        for kind in kinds:
            kind.fp32_precision = "ieee"
        yield
    finally:
        onednn.enabled = before[0]
        for kind, precision in zip(kinds, before[1], strict=True):
            kind.fp32_precision = precision


@functools.cache
def _onednn_is_direct() -> bool:
    """Whether oneDNN, several times as fast as PyTorch's own loops, may be used. PyTorch asks it for direct
    convolutions; other processors than x86 may do as they like, its environment can lower the precision of them all;
    and a trial has to find sums close to 2^24, of which a transform or a shorter number would lose the last bits."""
    modes = {os.environ.get(f"{name}_DEFAULT_FPMATH_MODE", "STRICT").upper() for name in ("ONEDNN", "DNNL")}
    if platform.machine().lower() not in ("x86_64", "amd64") or modes != {"STRICT"}:
        return False
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (4, 16, 12, 12), generator=generator).float()
    top = (1 << 24) // (255 * 16 * 9)
    weight = torch.randint(-top, top + 1, (32, 16, 3, 3), generator=generator).float()
    with torch.no_grad():
        with _onednn(True):
            found = F.conv2d(x, weight, padding=1)
        with _onednn(False):
            want = F.conv2d(x.double(), weight.double(), padding=1)
    return torch.equal(found.double(), want)
