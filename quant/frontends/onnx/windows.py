"""The windows of convolutions and pools: the attributes of ONNX as the settings that there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...ir.windows import Windows, alike
from ..layers import Pool
from .step import Step

__all__ = ["convolution_of", "pool_of", "settings", "whole_map"]

MAPS = "images and kernels of two dimensions"


def convolution_of(step: Step, size: Sequence[int], weights: Sequence[int]) -> Windows:
    """The windows of a convolution with kernels of the size ``weights`` on a map of ``size``. Raises UnsupportedLayer
    for settings that fit neither."""
    kernel = _numbers(step, "kernel_shape", tuple(weights))
    if len(size) != 2 or kernel != tuple(weights):
        step.refuse(f"of {len(size)} dimensions with a kernel {list(kernel)}", MAPS)
    return _windows(step, size, kernel, _numbers(step, "dilations", (1, 1)))


def pool_of(step: Step, source: str, shape: Sequence[int]) -> Pool:
    """The pool that ``step`` is of a map of ``shape`` (C, H, W), which the layer ``source`` gives; its kind by the name
    of the operator. Raises UnsupportedLayer for what pools do not have."""
    kernel = _numbers(step, "kernel_shape", ())
    if len(shape) != 3 or len(kernel) != 2:
        step.refuse(f"of {len(shape) - 1} dimensions with a kernel {list(kernel)}", MAPS)
    if (dilation := _numbers(step, "dilations", (1, 1))) != (1, 1):
        step.refuse(f"with dilations={list(dilation)}", "pools whose windows have no gaps")
    step.get("storage_order", 0)  # of the places of a maximum, which nothing takes
    windows, counted = _windows(step, shape[1:], kernel, dilation), step.get("count_include_pad", 0)
    if "Average" in step.op and windows.padded and not counted:
        step.refuse("with padding that does not count", "count_include_pad=1, or no padding")
    ceil = bool(step.get("ceil_mode", 0)) and step.get("auto_pad", "NOTSET") == "NOTSET"
    moved: dict[str, Any] = {key: value for key, value in settings(windows).items() if key != "dilation"}
    found = Pool(step.name, (source,), _kind(step), alike(kernel), ceil=ceil, **moved)  # type: ignore[arg-type]
    return _sized(found, shape)


def whole_map(step: Step, source: str, shape: Sequence[int]) -> Pool:
    """The pool that ``step`` is over the whole of a map of ``shape`` (C, H, W)."""
    if len(shape) != 3:
        step.refuse(f"of {len(shape) - 1} dimensions", MAPS)
    return _sized(Pool(step.name, (source,), _kind(step), 0, 0), shape)


def settings(windows: Windows) -> dict[str, Any]:
    """Stride, padding and dilation as layers and nodes have them."""
    sides = [side for sides in windows.padding for side in sides]
    return {"stride": alike(windows.stride), "padding": alike(sides), "dilation": alike(windows.dilation)}


def _kind(step: Step) -> str:
    return "max" if "Max" in step.op else "average"


def _sized(pool: Pool, shape: Sequence[int]) -> Pool:
    c, high, wide = shape
    found = pool.sized([(c, high, wide)])
    assert isinstance(found, Pool)
    return found


def _numbers(step: Step, attribute: str, default: tuple[int, ...]) -> tuple[int, ...]:
    found = step.get(attribute, default)
    whole = isinstance(found, Sequence) and all(isinstance(n, int) for n in found)
    return tuple(found) if whole else ()


def _windows(step: Step, size: Sequence[int], kernel: tuple[int, ...], dilation: tuple[int, ...]) -> Windows:
    """Those of a ``kernel`` (Ky, Kx) with the strides and the padding of ``step``."""
    strides = _numbers(step, "strides", (1, 1))
    if len(strides) != 2 or len(dilation) != 2 or min(*kernel, *strides, *dilation) < 1:
        step.refuse(f"with kernel {list(kernel)}, strides={list(strides)}, dilations={list(dilation)}", "two of each, "
                    "1 or more")  # fmt: skip
    found = Windows((kernel[0], kernel[1]), (strides[0], strides[1]), dilation=(dilation[0], dilation[1]))
    pads = _pads(step, size, found)
    if len(pads) != 4 or min(pads) < 0:
        step.refuse(f"with pads={list(pads)}", "four pads of 0 or more")
    top, left, bottom, right = pads
    found = Windows(found.kernel, found.stride, ((top, bottom), (left, right)), found.dilation)
    if min(found.places(tuple(size))) < 1:
        extent = "x".join(map(str, found.extent))
        step.refuse(f"with a kernel {extent} on a map {size[0]}x{size[1]} with pads={list(pads)}", "kernels that fit")
    return found


def _pads(step: Step, size: Sequence[int], windows: Windows) -> tuple[int, ...]:
    """The padding of all four sides: above, left, below, right."""
    auto, pads = step.get("auto_pad", "NOTSET"), _numbers(step, "pads", (0,) * 4)
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        each = zip(size, windows.extent, windows.stride, strict=True)
        more = [max(0, (-(-n // stride) - 1) * stride + extent - n) for n, extent, stride in each]
        first = [n // 2 if auto == "SAME_UPPER" else n - n // 2 for n in more]
        return (*first, *(n - f for n, f in zip(more, first, strict=True)))
    if auto not in ("NOTSET", "VALID"):
        step.refuse(f"with auto_pad={auto!r}", "NOTSET, VALID, SAME_UPPER and SAME_LOWER")
    return (0,) * 4 if auto == "VALID" else pads
