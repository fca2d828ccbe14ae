"""Figures of weights that folds share, against those of each fold by itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spikeloom.hdl.cores.synapse.figures import WeightFigures
from spikeloom.hdl.cores.synapse.gated_parts import stored
from spikeloom.hdl.cores.synapse.memory_parts import FEW, changing_bits
from spikeloom.hdl.cores.synapse.spec import SynapseSpec
from spikeloom.hdl.streams.words import WordFormat

WAYS = (np.minimum, np.maximum, np.bitwise_or, np.bitwise_and)


def spec(rows: np.ndarray, outputs: int, inputs: int, bits: int = 4) -> SynapseSpec:
    form = WordFormat(inputs, 1, 0, 3)
    weight, start = rows.reshape(len(rows), -1, inputs), np.zeros(len(rows), np.int64)
    fold = {"outputs": outputs, "steps": 1, "sum_time": False}
    return SynapseSpec(weight=weight, weight_bits=bits, i_format=form, start=start, **fold)


@pytest.mark.parametrize("largest", [7, 200, 30_000])
def test_lanes_are_those_of_the_fold(largest: int) -> None:
    rows = np.random.default_rng(1).integers(-largest, largest + 1, (12, 90))
    figures = WeightFigures(rows)
    for how in WAYS:
        for outputs in (4, 1, 12, 6, 3):
            for inputs in (1, 90, 6, 10, 45, 3):
                lanes = rows.reshape(-1, outputs, 90 // inputs, inputs)
                assert (figures.lanes(how, outputs, inputs) == how.reduce(how.reduce(lanes, 0), 1)).all()
    assert (figures.positive - figures.negative == np.abs(rows).sum(1)).all()
    assert figures.largest == np.abs(rows).max()


def test_figures_of_other_weights_are_not_looked_at() -> None:
    rows = np.random.default_rng(2).integers(-3, 4, (4, 6))
    shared = WeightFigures(rows)
    plain = spec(rows, 2, 3)
    own = replace(plain, figures=shared)
    assert own.known is shared
    other = replace(own, weight=2 * plain.weight)
    assert other.known is not shared
    assert (other.ranges == 2 * plain.ranges).all()
    assert not shared.describes(rows.copy())
    assert not shared.describes(rows.T)


@pytest.mark.parametrize("large", [7, 300])
def test_columns_of_a_memory_in_logic_are_counted_one_by_one(large: int) -> None:
    rows = np.random.default_rng(3).integers(-large, large + 1, (8, 24))
    rows[:, ::3] = 5  # some columns never change
    rows[4:, :6], rows[:4, 6:9] = rows[:4, :6], rows[4:, 6:9]  # and some are equal
    bits, seen = large.bit_length() + 1, set()
    for outputs in (1, 2, 4, 8):
        for inputs in (1, 2, 3, 4, 8, 12, 24):
            core = spec(rows, outputs, inputs, bits)
            if core.constant:
                continue
            mask, flips = stored(core)
            lanes = rows.reshape(-1, outputs, 24 // inputs, inputs).transpose(1, 3, 0, 2).reshape(outputs, inputs, -1)
            columns = set()
            count = 0
            for o in range(outputs):
                for i in range(inputs):
                    for b in range(int(mask[o, i]).bit_length()):
                        column = lanes[o, i] >> b & 1
                        if flips[o, i] >> b & 1:
                            column = 1 - column
                        if column.min() != column.max():
                            columns.add(tuple(column))
                            count += 1
            depth = lanes.shape[2]
            seen.add(depth > FEW)
            assert changing_bits(core, mask, flips) == (count if depth > FEW else len(columns))
    assert seen == {False, True}
