"""Products by multipliers: several of small numbers in one.

A weight w of W bits is w + 2^(W-1) without a sign, 0 to 2^W - 1, and inputs x have none. Of two outputs and two pixels
the four products are fields of F bits of one,

    (w0 + 2^F w1) (x0 + 2^(2F) x1) = w0 x0 + 2^F w1 x0 + 2^(2F) w0 x1 + 2^(3F) w1 x1,

where no product has more than F bits. A multiplier takes 18 x 18 bits, so weights of 4 bits and counts up to 7 give
four products. What the sums are too large by, 2^(W-1) times the sum of the inputs, is the same for all outputs of a
pixel: one tree adds the inputs up, and the last level takes that off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from amaranth import *

from ...cost.parts import Parts
from ...streams.words import bits_for
from ...verilog.library import Library, is_asic
from .adders import Addend, register, tree
from .gated import sum_up
from .trees import levels

if TYPE_CHECKING:
    from .spec import SynapseSpec

__all__ = ["FACTOR", "Packing", "packing", "products_depth", "products_parts", "refusal",
           "sums_of_products"]

FACTOR = 18
"""Bits of a factor at most."""


class Packing(NamedTuple):
    """The products of a multiplier: of ``outputs`` weights and ``pixels`` inputs, ``field`` bits apart."""

    outputs: int
    pixels: int
    field: int

    def count(self, spec: SynapseSpec) -> int:
        """Multipliers of ``spec``."""
        return spec.inputs * -(-spec.outputs // self.outputs) * -(-spec.pixels // self.pixels)


def offset(spec: SynapseSpec) -> int:
    """What is added to a weight, so that none is negative."""
    return 1 << (spec.weight_bits - 1) if spec.known.low < 0 else 0


def _most(spec: SynapseSpec) -> tuple[int, int]:
    """The largest weight, with its offset, and the largest input."""
    return max(1, spec.known.high + offset(spec)), spec.element[1]


def packing(spec: SynapseSpec) -> Packing | None:
    """The packing of ``spec`` that takes the fewest multipliers; None where one product is too large."""
    weight, x = _most(spec)
    field, w_bits, x_bits = ((weight * x).bit_length(), weight.bit_length(), x.bit_length())
    found = [
        Packing(outputs, pixels, field)
        for outputs in range(1, min(spec.outputs, FACTOR) + 1)
        for pixels in range(1, min(spec.pixels, FACTOR) + 1)
        if field * (outputs - 1) + w_bits <= FACTOR and field * outputs * (pixels - 1) + x_bits <= FACTOR
    ]
    return min(found, key=lambda packed: (packed.count(spec), packed.outputs), default=None)


def refusal(spec: SynapseSpec) -> str:
    """Why multipliers cannot make the products of ``spec``, empty where they can."""
    if spec.weight_bits == 1 or spec.words * spec.groups == 1:
        return "its weights have one bit, or never change"
    if spec.blocks > 1 or spec.addressed:
        return "its words are not those of whole pixels"
    if spec.terms > 1 or spec.element[0] < 0 or spec.plane_count == 1:
        return "its inputs are spikes, or have a sign"
    return "" if packing(spec) is not None else f"its factors have more than {FACTOR} bits"


def products_depth(spec: SynapseSpec) -> int:
    """Registered levels: two of the multiplier, those of the sums, and one that takes the excess off."""
    return 2 + levels(spec.inputs) + (offset(spec) > 0)


def sums_of_products(
    m: Module, platform: object, spec: SynapseSpec, weights: list[list[Value]], word: Value
) -> list[Addend]:
    """The sums over the inputs of ``word`` for every output of every pixel, ``products_depth`` cycles later;
    ``weights``: those of every output, with their offset."""
    packed = packing(spec)
    assert packed is not None
    most, x_bits, x_most = *(_most(spec)[:1]), spec.plane_count, spec.element[1]
    fields = {
        (o, p, k): value
        for k in range(spec.inputs)
        for first in range(0, spec.outputs, packed.outputs)
        for pixel in range(0, spec.pixels, packed.pixels)
        for (o, p), value in _multiplied(m, platform, spec, packed, (first, pixel, k), weights, word).items()
    }
    larger = offset(spec)
    excess = [_excess(m, platform, spec, p, word, x_bits, x_most) for p in range(spec.pixels)] if larger else []
    found = []
    for p in range(spec.pixels):
        for o in range(spec.outputs):
            terms = [Addend(fields[o, p, k], 0, most * x_most) for k in range(spec.inputs)]
            total = sum_up(m, platform, terms, f"sum_{o}_{p}")
            if larger:
                less = Addend(excess[p].value, 0, excess[p].high, spec.weight_bits - 1, True)
                total = tree(m, [total, less], 1, f"signed_{o}_{p}")
            found.append(total)
    return found


def _multiplied(
    m: Module,
    platform: object,
    spec: SynapseSpec,
    packed: Packing,
    at: tuple[int, int, int],
    weights: list[list[Value]],
    word: Value,
) -> dict[tuple[int, int], Value]:
    """The products of one multiplier, by output and pixel: ``at`` the first of each, and the input."""
    first, pixel, k = at
    outputs = range(first, min(first + packed.outputs, spec.outputs))
    pixels = range(pixel, min(pixel + packed.pixels, spec.pixels))
    bits, apart = spec.plane_count, packed.field * len(outputs)
    a = _packed([weights[o][k][: _most(spec)[0].bit_length()] for o in outputs], packed.field)
    b = _packed([word[(p * spec.inputs + k) * bits :][:bits] for p in pixels], apart)
    name = f"product_{first}_{pixel}_{k}"
    y = Signal(len(a) + len(b), name=name)
    if isinstance(platform, Library) and not is_asic(platform):
        inputs = {"clk": ClockSignal(), "a": a, "b": b}
        m.submodules += platform.instance("multiply", {"A": len(a), "B": len(b)}, inputs, {"y": y})
    else:
        a_1, b_1 = Signal(len(a), name=f"{name}_a"), Signal(len(b), name=f"{name}_b")
        m.d.sync += [a_1.eq(a), b_1.eq(b), y.eq(a_1 * b_1)]
    return {
        (o, p): y[i * packed.field + j * apart :][: packed.field]
        for i, o in enumerate(outputs)
        for j, p in enumerate(pixels)
    }


def _packed(values: list[Value], apart: int) -> Value:
    """``values``, none of them negative, ``apart`` bits from each other."""
    *before, last = values
    return Cat(*(Cat(value, Const(0, apart - len(value))) for value in before), last)


def _excess(
    m: Module, platform: object, spec: SynapseSpec, pixel: int, word: Value, bits: int, most: int
) -> Addend:
    """The sum of the inputs of a pixel, as late as the sums of products."""
    inputs = [word[(pixel * spec.inputs + k) * bits :][:bits] for k in range(spec.inputs)]
    total = sum_up(m, platform, [Addend(x, 0, most) for x in inputs], f"inputs_{pixel}")
    for k in range(2):
        total = register(m, total, f"inputs_{pixel}_later_{k}")
    return total


def products_parts(spec: SynapseSpec, parts: Parts) -> tuple[np.ndarray, np.ndarray]:
    """Multipliers and sums of products; return the range of a sum, by output."""
    from .parts import sums_parts

    packed = packing(spec)
    assert packed is not None
    parts.dsp += packed.count(spec)
    weight, x = _most(spec)
    top = sums_parts(parts, np.full((spec.outputs, spec.inputs), weight * x), spec.pixels)
    larger = offset(spec)
    if not larger:
        return np.zeros(spec.outputs, np.int64), top
    inputs = sums_parts(parts, np.full((1, spec.inputs), x), spec.pixels)
    bits = bits_for(0, int(inputs[0]))[0]
    parts.registers(2 * bits * spec.pixels)
    low, high = np.full(spec.outputs, -larger * int(inputs[0])), top
    wide = bits_for(int(low[0]), int(high[0]))[0]
    parts.registers(wide * spec.results)
    parts.adders(np.full(spec.outputs, wide - (spec.weight_bits - 1)), "join adder", spec.pixels)
    return low, high
