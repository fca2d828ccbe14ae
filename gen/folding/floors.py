"""What the folds of a layer need at least, quickly: a bound that no stage built from them is below.

A stage is taken apart into its window and its array of weights (``Head.outline``), and only the largest things are
counted: the rows that the window keeps, the weight memory, the first additions. What stands behind the array is left
out, and so is what lies between stages; so floors add up to less than any design takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...hdl.cores.synapse.floor import ArrayFloor, array_floor, lanes_of
from ...hdl.cores.window.geometry import WindowGeometry
from ...hdl.cores.window.spec import WindowSpec
from ...hdl.cost.parts import Parts
from ..cost.model import area_of
from ..errors import PlanError
from ..lowering.layers import StageNodes
from ..lowering.plan import fold_choices, walk_of
from ..lowering.registry import head_of
from .fold import Fold

__all__ = ["BLOCK_BITS", "StageFloor", "stage_floor"]

BLOCK_BITS = 18 * 1024
"""Bits of a block RAM (DP16KD), whatever its width."""


@dataclass(frozen=True, eq=False)
class StageFloor:
    """Floors of the folds of a layer, arrays of n, a fold once for each place that its weights may be in: ``cycles`` a
    frame; block RAMs of its window (``rows``) and of its weights (``weights``); ``luts``; ``bits`` of the weight
    memory. All are empty where no fold can be built."""

    name: str
    cycles: np.ndarray
    rows: np.ndarray
    weights: np.ndarray
    luts: np.ndarray
    bits: np.ndarray

    def within(self, cycles: int | None) -> StageFloor:
        """The folds of at most ``cycles`` cycles; all where it is None."""
        if cycles is None:
            return self
        fast = self.cycles <= cycles
        columns = (self.cycles, self.rows, self.weights, self.luts, self.bits)
        return StageFloor(self.name, *(column[fast] for column in columns))


def stage_floor(
    layer: StageNodes,
    folds: Sequence[Fold] | None = None,
    *,
    logic: bool = False,
    skips: bool = False,
    dsp: bool = False,
) -> StageFloor:
    """The floors of ``folds`` of ``layer``, by default of all. ``logic``: each also with its weights in LUTs, or
    packed, where they would be in block RAM; ``skips``: all-zero words may be skipped, so that no walk bounds the
    cycles; ``dsp``: there are multipliers, so that no additions are counted."""
    head, found = head_of(layer), []
    rows: dict[tuple[int, int], tuple[int, int]] = {}  # by inputs and pixels: the block RAMs, and the words of a frame
    # By outputs and inputs: the others share.
    arrays: dict[tuple[int, int], tuple[ArrayFloor, list[float]]] = {}
    lanes: dict[tuple[int, int], int] = {}  # by pixels and steps
    for fold in fold_choices(layer) if folds is None else folds:
        read, key, wide = (fold.inputs, fold.pixels), (fold.outputs, fold.inputs), (fold.pixels, fold.steps)
        walk = 0 if skips else walk_of(layer, fold)
        window = array = None
        try:
            head.check(layer, fold)
            if not walk or read not in rows or key not in arrays or wide not in lanes:
                window, array = head.outline(layer, replace(fold, skip=False))
        except PlanError:
            continue
        if window is not None:
            walk = window.results if skips else window.cycles
            if read not in rows:
                rows[read] = window_floor(window), window.i_words
            if array is not None:
                lanes[wide] = lanes_of(array)
        blocks, words = rows[read]
        cycles = max(words, walk)
        if array is None and key not in arrays:
            found.append((cycles, blocks, 0, 0.0, 0))
            continue
        if array is not None and key not in arrays:
            floor = array_floor(array)
            luts = [area_of(p or Parts()).lut4_eq for p in (floor.adders, floor.logic, floor.packed)]
            arrays[key] = floor, luts
        floor, (adder, table, choice) = arrays[key]
        adders = 0.0 if dsp or fold.multiply else adder * lanes[wide]
        if floor.rom is not None and not (fold.packed and floor.packed):
            found.append((cycles, blocks, floor.rom.ebr, adders, floor.bits))
        if floor.rom is None or (logic and folds is None):
            found.append((cycles, blocks, 0, adders + table, floor.bits))
        if floor.packed and (fold.packed or (logic and folds is None and fold.steps == layer.time_fold)):
            found.append((cycles, blocks, floor.packed.ebr, adders + choice, floor.bits))
    return StageFloor(layer.name, *np.array(found, float).reshape(-1, 5).T)


def window_floor(window: WindowGeometry) -> int:
    """Block RAMs of the rows of ``window`` at least: those that it needs and one stride more, each bit once."""
    spec = WindowSpec.of(window, rows=window.rows_needed + window.stride[0], credits=1)
    depth, style = spec.memory
    width = window.i_format.width
    if spec.columns:
        return spec.block_rams
    return 0 if style == "auto" else spec.pixels * -(-depth * width // BLOCK_BITS)
