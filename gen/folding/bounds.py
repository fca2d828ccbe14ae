"""What a device cannot hold whatever the folds, found before any search: weights, rows of windows, additions.

Of every stage only the floors of its folds are looked at (``gen.folding.floors``). Each fold takes block RAMs or LUTs.
A price on block RAMs gives a bound on the LUTs: with every stage at its cheapest for that price, no design within the
block RAMs of the device has fewer LUTs than their sum, less the price of all of these block RAMs. The best of many
prices is taken; any of them is a true bound, so that what is refused here does not fit with any folds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...quant.ir.ops import Conv2d, Linear
from ..errors import PlanError
from ..lowering.layers import StageNodes
from ..targets.fpga.devices import Device
from .floors import BLOCK_BITS, StageFloor

__all__ = ["heaviest_first", "least_luts", "refuse_too_large", "refuse_weights"]

PRICES = np.r_[0.0, np.geomspace(1.0, 1e6, 121)]
"""LUTs for a block RAM at which bounds are tried: 18 Kbit are about 1,300 LUTs in tables."""

LUT_BITS = 16
"""Bits that a LUT of four inputs holds."""

MANY = 1_000_000
"""Weights of a network from which on the floors of all stages take seconds."""

SURE = 1 + 1e-9
"""Two sums of the same numbers may differ in their last bits."""


def least_luts(floors: Sequence[StageFloor], blocks: float) -> float:
    """LUTs at least of a design of at most ``blocks`` block RAMs; infinity where there is none."""
    if sum(_blocks(floor).min() for floor in floors) > blocks * SURE:
        return np.inf
    costs = [(floor.luts + PRICES[:, None] * _blocks(floor)).min(1) for floor in floors]
    return float(max(np.sum(costs, 0) - PRICES * blocks))


def heaviest_first(layers: Sequence[StageNodes], device: Device | None) -> list[tuple[StageNodes, bool]]:
    """``layers`` in the order in which floors are looked at, with whether those up to each have more weights than
    ``device`` has memory: then it is time to ask :func:`refuse_weights`, before the floors of all others. As they are
    where all weights find room or are not :data:`MANY`, and without a device."""
    found = [layer.nodes[0] for layer in layers]
    sizes = np.array([node.weight.size if isinstance(node, Conv2d | Linear) else 0 for node in found])
    if device is None or sizes.sum() < MANY:
        return [(layer, False) for layer in layers]
    bits = sizes * [node.weight_bits if isinstance(node, Conv2d | Linear) else 0 for node in found]
    order, room = np.argsort(-bits, kind="stable"), device.budget[2] * BLOCK_BITS + device.budget[0] * LUT_BITS
    return [(layers[k], bool(through > room)) for k, through in zip(order, np.cumsum(bits[order]), strict=True)]


def refuse_weights(floors: Sequence[StageFloor], stages: int, device: Device) -> None:
    """Raise PlanError where ``floors``, those of some of the ``stages`` of a network, are too much for ``device``."""
    floors = [floor for floor in floors if len(floor.cycles)]
    if (least := least_luts(floors, device.budget[2])) > device.budget[0] * SURE:
        raise _weights(floors, least, device, f"the weights of {len(floors)} of {stages} stages")


def refuse_too_large(floors: Sequence[StageFloor], cycles: int | None, device: Device) -> None:
    """Raise PlanError where no design of the folds in ``floors``, of at most ``cycles`` cycles a frame, fits
    ``device``. It names the resource, the bound, what the device has, and the stage that takes most."""
    floors = [floor for floor in floors if len(floor.cycles)]  # the others are refused by name where they are built
    luts, _, blocks, _ = device.budget
    _refuse_rows(floors, blocks, device)
    if (least := least_luts(floors, blocks)) > luts * SURE:
        raise _weights(floors, least, device)
    fast = [floor.within(cycles) for floor in floors]
    if cycles is None or not all(len(floor.cycles) for floor in fast):
        return
    if (least := least_luts(fast, blocks)) > luts * SURE:
        raise PlanError(
            f"no design of {cycles:,} cycles a frame fits {device.name}: {_least(fast, least, device)}; the additions "
            f"of so few cycles and the weights take most of it in {_largest(fast, [f.luts.min() for f in fast])}; "
            "choose a larger device or more cycles"
        )


def _blocks(floor: StageFloor) -> np.ndarray:
    return floor.rows + floor.weights


def _refuse_rows(floors: Sequence[StageFloor], blocks: float, device: Device) -> None:
    rows = [floor.rows.min() for floor in floors]
    if sum(rows) > blocks * SURE:
        raise PlanError(
            f"no design fits {device.name}: the rows that windows keep take at least {sum(rows):,.0f} block RAMs of "
            f"the {blocks:,.0f} that may be used, most of them those of {_largest(floors, rows)}, {max(rows):,.0f}; "
            "choose a larger device, smaller maps, fewer channels or fewer bits a value"
        )


def _weights(
    floors: Sequence[StageFloor], least: float, device: Device, which: str = "the weights"
) -> PlanError:
    bits = [floor.bits.min() for floor in floors]
    kept = [floor.weights[floor.weights > 0].min(initial=np.inf) for floor in floors]
    kept = [0.0 if np.isinf(blocks) else blocks for blocks in kept]
    return PlanError(
        f"no design fits {device.name}: {which}, {sum(bits):,.0f} bits, take at least {sum(kept):,.0f} block RAMs "
        f"and the rows of windows {sum(floor.rows.min() for floor in floors):,.0f} of the {device.budget[2]:,.0f} that "
        f"may be used; {_least(floors, least, device)}; most of the weights are those of {_largest(floors, bits)}, "
        f"{max(bits):,.0f} bits; choose a larger device, fewer bits a weight or fewer channels (weights in a memory "
        "outside of the device are not supported yet)"
    )


def _least(floors: Sequence[StageFloor], least: float, device: Device) -> str:
    """What the bound says of the LUTs."""
    if np.isinf(least):
        blocks = sum(_blocks(floor).min() for floor in floors)
        return f"block RAMs are at least {blocks:,.0f} with all that can be in LUTs in LUTs"
    return (
        f"with as much in block RAM as it has, the rest takes at least {least:,.0f} LUTs of the "
        f"{device.budget[0]:,.0f} that may be used"
    )


def _largest(floors: Sequence[StageFloor], figures: Sequence[float]) -> str:
    """The stage with the largest of ``figures``, one a stage."""
    return floors[int(np.argmax(figures))].name
