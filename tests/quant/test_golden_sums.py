"""The golden model adds up over time what nobody asks for in single steps; what it gives stays the same."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import networks

from spikeloom.quant import golden
from spikeloom.quant.ir.ops import IF, MaxPool, Requant, SumPool


@settings(max_examples=60, deadline=None)
@given(networks(), st.data())
def test_results_do_not_depend_on_which_are_asked_for(network, data) -> None:
    frames = np.random.default_rng(0).integers(0, network.input.high + 1, (3, *network.input.shape))
    whole = golden.run(network, frames)
    keep = data.draw(st.sets(st.sampled_from([node.name for node in network])), label="keep")
    some = golden.run(network, frames, keep=keep)
    assert set(some.outputs) == keep | {node.name for node in network.maps}
    for name, found in some.outputs.items():
        np.testing.assert_array_equal(found, whole[name], err_msg=name)
    if network.classes:
        np.testing.assert_array_equal(some.logits, whole.logits)


@settings(max_examples=20, deadline=None)
@given(networks(), st.data())
def test_counts_are_magnitudes_over_time(network, data) -> None:
    """Of nodes whose results are asked for, and of others, which the model may only have the sum of."""
    frames = np.random.default_rng(0).integers(0, network.input.high + 1, (3, *network.input.shape))
    whole = golden.run(network, frames)
    names = [node.name for node in network if isinstance(node, IF | Requant | MaxPool | SumPool)]
    keep = data.draw(st.sets(st.sampled_from([node.name for node in network])), label="keep")
    some = golden.run(network, frames, keep=keep, counts=names, batch=2)
    for name in names:
        magnitudes = np.abs(whole[name].astype(np.int64))
        expected = magnitudes.sum(1) if network.signals[name].timed else magnitudes
        np.testing.assert_array_equal(some.counts[name], expected, err_msg=name)
