"""Convolutions that are right on every processor, and their gradients.

Some kernels of oneDNN 3.12 are wrong. No trial can look for such a kernel in the process itself: one of them damages
memory, others read what happens to lie there. So the convolutions that may come to them are computed in another way, on
all processors alike.

* The weight gradient of a 1x1 convolution with a stride (``jit_1x1:avx2``: processors with AVX2 and without AVX-512) is
  wrong where the maps lie in memory channel by channel of a pixel (channels-last, the faster way) and the channels are
  no multiple of 8: it also writes past its memory. Such a convolution sees single pixels only, and is the same
  convolution without a stride of these pixels. With AVX-512 that takes no longer, and gives the same bits for strides
  of 2. bfloat16 and double never come to that kernel and stay as they are.
* In bfloat16, of convolutions that move by more than a column and whose kernel is wider than one, memory that nobody
  has written went into the result, mostly of one column (``brg_conv_fwd``, with AMX), and into the weight gradient,
  where a column of the kernel meets nothing but padding (``brgconv_bwd_w`` with AMX, ``jit_bf16`` with AVX-512). So
  these are computed in float32, and rounded to bfloat16: two of the 19 convolutions of a ResNet-20.

``benchmarks/convolutions.py`` compares all kinds of convolutions with sums in double.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["conv2d", "right_gradients"]


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: int | tuple[int, ...] = 1,
    padding: int | tuple[int, ...] | str = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
) -> Tensor:
    """``torch.nn.functional.conv2d`` of maps ``x`` (N, Ci, H, W), to be differentiated on any processor."""
    strides = (stride, stride) if isinstance(stride, int) else tuple(stride)
    if strides[-1] > 1 and weight.shape[-1] > 1 and _bfloat16(x):
        with torch.autocast(x.device.type, enabled=False):
            wide = None if bias is None else bias.float()
            y = F.conv2d(x.float(), weight.float(), wide, strides, padding, dilation, groups)
        return y.bfloat16()
    single = tuple(weight.shape[2:]) == (1, 1) and padding in (0, (0, 0), "valid")
    if single and strides != (1, 1) and x.ndim == 4 and x.dtype is torch.float32 and not _autocast(x):
        x, strides = _every(x, *strides), (1, 1)
    return F.conv2d(x, weight, bias, strides, padding, dilation, groups)


def _bfloat16(x: Tensor) -> bool:
    """Whether oneDNN computes a convolution of ``x`` in bfloat16."""
    kind = torch.get_autocast_dtype("cpu") if _autocast(x) else x.dtype
    return x.device.type == "cpu" and kind is torch.bfloat16


def _autocast(x: Tensor) -> bool:
    """Whether a convolution of ``x`` is computed in another type."""
    return torch.is_autocast_enabled(x.device.type)


def _every(x: Tensor, down: int, right: int) -> Tensor:
    """The pixels (N, C, H, W) that a stride meets, in memory as ``x`` is, and so is their gradient."""
    if x.is_contiguous(memory_format=torch.channels_last):
        return x.movedim(1, -1)[:, ::down, ::right].movedim(-1, 1)
    return x[:, :, ::down, ::right]


class _Right(nn.Conv2d):
    def forward(self, input: Tensor) -> Tensor:
        """See :func:`conv2d`."""
        return conv2d(input, self.weight, self.bias, stride=self.stride, padding=self.padding,
                      dilation=self.dilation, groups=self.groups)  # fmt: skip


@functools.cache
def _right(kind: type[nn.Conv2d]) -> type[nn.Conv2d]:
    """The class ``kind`` with the ``forward`` above; one a class, so that compiled code is not compiled again."""
    return _Right if kind is nn.Conv2d else type(kind.__name__, (_Right, kind), {})


@contextmanager
def right_gradients(model: nn.Module) -> Iterator[None]:
    """Within it, the ``nn.Conv2d`` layers of ``model`` are computed by :func:`conv2d`. Parameters, hooks and
    parametrisations are left alone, and a class of the user's that has a ``forward`` of its own."""
    found = [
        (module, type(module))
        for module in model.modules()
        if isinstance(module, nn.Conv2d) and type(module).forward is nn.Conv2d.forward
        and module.padding_mode == "zeros"
    ]  # fmt: skip
    for module, kind in found:
        module.__class__ = _right(kind)
    try:
        yield
    finally:
        for module, kind in found:
            module.__class__ = kind
