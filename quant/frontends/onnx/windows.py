"""The windows of convolutions and pools: the attributes of ONNX as the square ones that there are."""

from __future__ import annotations

from typing import NamedTuple

from .graph import Step

__all__ = ["Square", "whole_map", "windows_of"]


class Square(NamedTuple):
    """Windows of ``kernel``, (high, wide), moved by ``stride``, with ``padding`` of 0 on every side."""

    kernel: tuple[int, int]
    stride: int
    padding: int

    def places(self, size: tuple[int, ...]) -> tuple[int, int]:
        """How many there are on a map of ``size``."""
        high, wide = ((n + 2 * self.padding - k) // self.stride + 1 for n, k in zip(size, self.kernel, strict=True))
        return high, wide


def windows_of(step: Step, size: tuple[int, ...], of_weights: tuple[int, ...] = (), pad: int = 0) -> Square:
    """The windows of a Conv (with the kernel of its weights) or of a pool on a map of ``size``, with ``pad`` of a Pad
    before it. Raises UnsupportedLayer for those that are not the same in both directions."""
    kernel = tuple(step.get("kernel_shape", of_weights))
    if len(size) != 2 or len(kernel) != 2 or (of_weights and kernel != of_weights):
        step.refuse(f"of {len(size)} dimensions with a kernel {list(kernel)}", "images and kernels of two dimensions")
    strides = tuple(step.get("strides", (1, 1)))
    if min(*kernel, *strides) < 1:
        step.refuse(f"with kernel {list(kernel)} and strides={list(strides)}", "kernels and strides of 1 or more")
    if len(set(strides)) != 1:
        step.refuse(f"with strides={list(strides)}", "the same stride in both directions")
    if any(n != 1 for n in step.get("dilations", ())):
        step.refuse(f"with dilations={step.get('dilations', ())}", "dilation 1")
    pads = _pads(step, size, (kernel[0], kernel[1]), strides[0])
    if len(set(pads)) != 1 or len(pads) != 4 or pads[0] < 0:
        step.refuse(f"with pads={list(pads)}", "the same padding on all sides")
    found = Square((kernel[0], kernel[1]), int(strides[0]), int(pads[0]) + pad)
    if any(k > n + 2 * found.padding for k, n in zip(kernel, size, strict=True)):
        step.refuse(f"with a kernel {kernel[0]}x{kernel[1]} on a map {size[0]}x{size[1]}", "kernels that fit")
    if step.op != "Conv":
        _pool(step, found, size)
    return found


def whole_map(step: Step, size: tuple[int, ...]) -> Square:
    """One window that is the map."""
    if len(size) != 2 or size[0] != size[1]:
        step.refuse(f"of a map {'x'.join(map(str, size))}", "square maps")
    return Square((size[0], size[1]), size[0], 0)


def _pads(step: Step, size: tuple[int, ...], kernel: tuple[int, int], stride: int) -> tuple[int, ...]:
    """The padding of all four sides: above, left, below, right."""
    auto, pads = step.get("auto_pad", "NOTSET"), tuple(step.get("pads", ())) or (0,) * 4
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        more = [max(0, (-(-n // stride) - 1) * stride + k - n) for n, k in zip(size, kernel, strict=True)]
        first = [n // 2 if auto == "SAME_UPPER" else n - n // 2 for n in more]
        return (*first, *(n - f for n, f in zip(more, first, strict=True)))
    if auto not in ("NOTSET", "VALID"):
        step.refuse(f"with auto_pad={auto!r}", "NOTSET, VALID, SAME_UPPER and SAME_LOWER")
    return (0,) * 4 if auto == "VALID" else pads


def _pool(step: Step, found: Square, size: tuple[int, ...]) -> None:
    """Refuse what pools do not have."""
    for known in ("count_include_pad", "storage_order"):  # that say nothing without padding
        step.get(known, 0)
    if found.padding:
        step.refuse(f"with padding {found.padding}", "pools without padding")
    if found.kernel[0] != found.kernel[1]:
        step.refuse(f"with a kernel {found.kernel[0]}x{found.kernel[1]}", "square kernels")
    if step.get("ceil_mode", 0) and any((n - found.kernel[0]) % found.stride for n in size):
        step.refuse("with ceil_mode=1, and windows that reach beyond the map", "windows inside the map")
