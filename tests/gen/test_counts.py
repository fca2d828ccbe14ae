"""Which boundaries carry counts of spikes, and that a spike max-pool has as many spikes as its busiest input."""

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from spikeloom.gen.folding.fold import Fold
from spikeloom.gen.lowering.counts import counted
from spikeloom.gen.lowering.layers import layers
from spikeloom.gen.lowering.plan import build_stage
from spikeloom.hdl.cores.merge.spec import MergeSpec
from spikeloom.hdl.cores.pool.spec import PoolSpec
from spikeloom.hdl.streams.words import WordFormat
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Add, Conv2d, Flatten, Gain, Input, Linear, MaxPool, NetworkError, Node, Readout

ONE = np.ones(2, int)


def network(rules: tuple[Any, Any, Any], steps: int = 4, projection: bool = False, low: int = 0) -> Network:
    """A neuron ``a``, a pool, a neuron ``b``, and a neuron ``c`` of ``b`` and a shortcut from the pool; a read-out.
    Lossless neurons have the lower end ``low``."""
    kernel = np.ones((2, 2, 1, 1), int)

    def fire(name: str, source: str, rule: Any) -> IF:
        end = low if rule == "lossless" else 0
        return IF(name=name, source=source, threshold=3 * ONE, bias=ONE, v0=ONE, rule=rule, low=end)

    shortcut: Node = Gain(name="skip", source="pool", gain=5 * ONE)
    if projection:
        shortcut = Conv2d(name="skip", source="pool", weight=kernel, weight_bits=2)
    return Network(
        (
            Input(name="input", shape=(2, 4, 4), high=7),
            Conv2d(name="first", source="input", weight=kernel, weight_bits=2),
            fire("a", "first", rules[0]),
            MaxPool(name="pool", source="a", kernel=2, stride=2),
            Conv2d(name="second", source="pool", weight=kernel, weight_bits=2),
            fire("b", "second", rules[1]),
            Conv2d(name="third", source="b", weight=kernel, weight_bits=2),
            shortcut,
            Add(name="sum", source="third", other="skip"),
            fire("c", "sum", rules[2]),
            Flatten(name="flat", source="c"),
            Linear(name="last", source="flat", weight=np.ones((2, 8), int), weight_bits=2),
            Readout(name="readout", source="last", bias=ONE),
        ),
        steps,
    )


@pytest.mark.parametrize("projection", [False, True])
def test_what_is_counted(projection: bool) -> None:
    every = {"a", "pool", "b", "c", "flat"}
    for rules, expected in (
        (("lossless",) * 3, every),
        (("causal", "lossless", "lossless"), every),
        (("lossless", "causal", "lossless"), {"b", "c", "flat"}),  # the pool's spikes go to causal neurons as well
        (("lossless", "lossless", "causal"), {"c", "flat"}),
        (("causal", "causal", "causal"), {"c", "flat"}),
        (("lossless", "lossless", "signed"), set()),
    ):
        assert counted(network(rules, projection=projection)) == expected, rules
    assert counted(network(("lossless",) * 3, 3)) == every
    assert counted(network(("lossless",) * 3, 2)) == set(), "a count of two spikes has as many bits as they have"
    assert not any(any(layer.counts) for layer in layers(network(("lossless",) * 3), counts=False))


def test_what_is_counted_of_both_signs() -> None:
    """Two bits a spike: a count is shorter from T = 2 on."""
    every, rules = {"a", "pool", "b", "c", "flat"}, ("lossless",) * 3
    assert [counted(network(rules, steps, low=-1)) for steps in (1, 2, 3)] == [set(), every, every]
    mixed = network(rules, 2)
    nodes = [replace(node, low=-2) if node.name == "c" else node for node in mixed]
    assert counted(Network(tuple(nodes), 2)) == {"c", "flat"}
    assert counted(network(("lossless", "causal", "lossless"), low=-4)) == {"b", "c", "flat"}


def test_a_pool_of_spikes_of_both_signs() -> None:
    """As counts, and one by one where causal neurons take them: a maximum either way, in one cycle."""
    for rules, form in (
        (("lossless", "lossless", "lossless"), WordFormat(2, 1, -4, 4)),
        (("lossless", "causal", "lossless"), WordFormat(2, 4, -1, 1)),
    ):
        cut = layers(network(rules, low=-3))
        stages = {layer.name: build_stage(layer, Fold(2, 2, layer.time_fold)) for layer in cut}
        assert stages["pool"].cores[0] == PoolSpec(kind="max", words=4, i_format=form)
        assert stages["first"].o_format == form == stages["second"].i_format
    with pytest.raises(NetworkError, match=r"pool: MaxPool .* a gives -1\.\.1; of both signs only lossless neurons"):
        network(("signed", "lossless", "lossless"))


def test_the_words_of_counts() -> None:
    stages = [build_stage(layer, Fold(2, 2, 1)) for layer in layers(network(("lossless",) * 3))]
    assert [stage.name for stage in stages] == ["first", "pool", "second", "third", "last"]
    count = WordFormat(2, 1, 0, 4)
    assert [stage.o_format for stage in stages[:4]] == [count] * 4
    assert [stage.i_format for stage in stages[1:]] == [count] * 4
    assert count.width == 6 and stages[1].cores[0] == PoolSpec(kind="max", words=4, i_format=count)
    merge = next(core for core in stages[3].cores if isinstance(core, MergeSpec))
    assert (merge.shortcut_format.steps, merge.element, merge.sums) == (1, (0, 4), False)
    spikes = [build_stage(layer, Fold(2, 2, 1)) for layer in layers(network(("lossless",) * 3), counts=False)]
    assert [a.cores[-1].o_format.bits for a in stages] == [3] * 4 + [spikes[-1].cores[-1].o_format.bits]
    for a, b in zip(stages, spikes, strict=True):  # the same currents
        for x, y in zip(a.cores, b.cores, strict=True):
            assert np.array_equal(getattr(x, "ranges", None), getattr(y, "ranges", None))


@pytest.mark.parametrize("steps", [3, 4])
def test_the_maximum_of_counts_is_the_count_of_the_maximum(steps: int) -> None:
    """All pairs of spike trains, not of lossless neurons alone."""
    trains = np.array(list(product([0, 1], repeat=steps)))
    pairs = np.array(list(product(trains, trains)))[:, :, None]  # pairs, words, a lane, T
    form = WordFormat(1, steps, 0, 1)
    pooled = PoolSpec(kind="max_spikes", words=2, i_format=form).compute(pairs.reshape(-1, 1, steps))
    counts = PoolSpec(kind="max", words=2, i_format=form.summed).compute(pairs.reshape(-1, 1, steps).sum(-1)[..., None])
    assert np.array_equal(pooled.sum(-1, keepdims=True), counts)
