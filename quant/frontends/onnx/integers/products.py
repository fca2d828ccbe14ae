"""Layers with weights, and sums, of integers times scales."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ....ir.ops import Add, Conv2d, Linear, Synapse
from ..step import Step
from ..weights import by_channel
from ..windows import convolution_of, settings
from .building import Building, bits_of
from .numbers import HALF, Fused, Numbers, power_of_two
from .quantisers import Quantised

__all__ = ["Products"]


class Products:
    """Adds the nodes of products and sums to a ``building``."""

    def __init__(self, building: Building) -> None:
        self.building = building

    def linear(self, step: Step, x: Numbers, weights: Quantised, bias: Any) -> Numbers:
        """The product of a vector and ``weights`` (out, in)."""
        if len(x.shape) != 2 or len(weights.shape) != 2 or weights.shape[1] != x.shape[1]:
            step.refuse(f"of {x.shape} and weights {weights.shape}", "vectors (N, features) of as many "
                        "numbers")  # fmt: skip
        levels, scale = self._levels(step, weights)
        x = self._settled(step, x)
        node = Linear(name=step.name, source=x.node, weight=levels, weight_bits=bits_of(levels))
        return self._behind(step, x, node, scale, bias, (x.shape[0], len(levels)), 1)

    def conv(self, step: Step, x: Numbers, weights: Quantised, bias: Any) -> Numbers:
        """A convolution with ``weights`` (Co, Ci / groups, Ky, Kx)."""
        if len(x.shape) != 4 or len(weights.shape) != 4:
            step.refuse(f"of {x.shape} with weights {weights.shape}", "maps (N, C, H, W) and kernels (Co, Ci, Ky, Kx)")
        windows, groups = convolution_of(step, x.shape[2:], weights.shape[2:]), int(step.get("group", 1))
        levels, scale = self._levels(step, weights)
        if levels.shape[1] * groups != x.shape[1] or groups < 1 or len(levels) % groups:
            step.refuse(f"of {x.shape[1]} channels with kernels of {levels.shape[1]} in {groups} groups", "equal ones")
        x = self._settled(step, x)
        pad = -x.offset if windows.padded and x.offset.any() else None
        signal = self.building.signals[x.node]
        if pad is not None and ((pad % 1).any() or pad.min() < signal.low or pad.max() > signal.high):
            step.refuse("with padding of a tensor whose zero point lies outside its numbers", "one inside")
        node = Conv2d(name=step.name, source=x.node, weight=levels, weight_bits=bits_of(levels),
                      groups=groups, pad=pad, **settings(windows))  # fmt: skip
        shape = (x.shape[0], len(levels), *windows.places(x.shape[2:]))
        return self._behind(step, x, node, scale, bias, shape, groups)

    def add(self, step: Step, one: Numbers, other: Numbers) -> Numbers:
        """The sum of two tensors, whose units are the same or whole multiples of one another."""
        if one.shape != other.shape or one.node == other.node:
            step.refuse(f"of {one.shape} ({one.node}) and {other.shape} ({other.node})", "two tensors of one shape")
        both = [self._straight(step, x) for x in (one, other)]
        unit = np.minimum(both[0].unit, both[1].unit)
        offset, error = np.zeros(len(unit)), np.zeros(len(unit))
        names, terms = list[str](), list[tuple[Numbers, np.ndarray]]()
        for x in both:
            gain = np.rint(x.unit / unit)
            if (gain * unit != x.unit).any() or (gain != 1).any() and not self.building.values(x.node):
                step.refuse(f"of numbers with the units {both[0].unit[:3]} and {both[1].unit[:3]}", "two quantisers "
                            "with one scale, or one that is a whole multiple of the other")  # fmt: skip
            if self.building.values(x.node):
                terms.append((x, gain.astype(np.int64)))
            else:
                names.append(x.node)
            offset, error = offset + gain * x.offset, error + gain * x.error
        if names:
            names += [self.building.gained(step, *term) for term in terms]
            name = self.building.add(Add(name=step.name, source=names[0], other=names[1]))
        else:
            name = self.building.sum_of(step, terms)
        reach = self.building.reach(name)
        if not power_of_two(unit) or error.any():
            error = error + 2 * HALF * (reach + np.abs(offset))
        return Numbers.of(name, one.shape, reach, unit, offset, error)

    def _levels(self, step: Step, weights: Quantised) -> tuple[np.ndarray, np.ndarray]:
        levels, scale = weights.of_rows(step)
        if not levels.size or levels.min() < -128 or levels.max() > 127:
            step.refuse(f"with {levels.size} weights, of more than 8 bits", "weights of up to 8 bits")
        return levels, scale

    def _straight(self, step: Step, x: Numbers) -> Numbers:
        """Numbers without anything behind their offset: operations on them that are a line are one."""
        if not x.rises:
            return x
        line = x.line()
        if line is None or (line[0] <= 0).any():
            step.refuse("of numbers that are not quantised", "a quantiser before it")
        gain, start = line
        offset = start / gain
        if (np.abs(offset - (whole := np.rint(offset))) < 1e-9 * np.maximum(1, np.abs(offset))).all():
            offset = whole
        error = x.error + 4 * len(x.rises) * HALF * (x.reach + np.abs(offset))
        return Numbers.of(x.node, x.shape, x.reach, gain, offset, error)

    def _settled(self, step: Step, x: Numbers) -> Numbers:
        """Values alone, which weights can take."""
        if not self.building.values(x.node):
            step.refuse("of numbers that are not quantised", "a quantiser before it")
        return self._straight(step, x)

    def _behind(
        self, step: Step, x: Numbers, node: Synapse, scale: np.ndarray, bias: Any, shape: tuple[int, ...], groups: int
    ) -> Numbers:
        """The numbers of ``node``, with weights times ``scale`` (Co,), of which each output takes a group of ``x``."""
        name = self.building.add(node)
        outputs, inputs = node.weight.shape[:2]
        weight = node.weight.reshape(groups, outputs // groups, inputs, -1)
        unit, offset, error = (v.reshape(groups, 1, inputs) for v in (x.unit, x.offset, x.error))
        if (unit != unit[..., :1]).any():
            step.refuse("of channels with several scales", "one scale for all that a weight is added to")
        size = np.abs(weight).sum(3)
        most = (size * (x.reach + np.abs(offset))).sum(2).reshape(-1)
        found = (unit[..., 0] * scale.reshape(groups, -1)).reshape(-1)
        moved = (weight.sum(3) * offset).sum(2).reshape(-1)
        error = (size * error).sum(2).reshape(-1)
        fused = Fused(x.code.scale * scale.astype(np.float32)) if x.code and not (moved % 1).any() else None
        if fused and isinstance(bias, Quantised) and (levels := bias.in_units(step, found)) is not None:
            moved, bias = moved + levels, None  # of the sum of integers, as runtimes add it
        added = np.zeros(outputs)
        if isinstance(bias, Quantised):
            bias = bias.floats
        if bias is not None:
            fused = None
            added = by_channel(step, bias, (1, outputs)).astype(np.float64) / found
        whole = not (moved % 1).any() and not (added % 1).any()
        exact = power_of_two(found) and power_of_two(scale) and whole and (most + np.abs(added)).max() < 1 << 24
        if not exact or error.any():
            error = error + (weight[0, 0].size + 2) * HALF * (most + np.abs(added))
        numbers = Numbers.of(name, shape, self.building.reach(name), found, moved, error)
        if bias is None:
            return replace(numbers, fused=fused)
        return numbers.behind("Add", by_channel(step, bias, (1, outputs)))
