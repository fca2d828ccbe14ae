"""Lossless neurons with a lower end: their equation, spikes of both signs, and that nothing else changed."""

import json
from itertools import product

import numpy as np
import pytest
from golden_loops import Builder, compare, probe

from spikeloom.quant import golden, reference
from spikeloom.quant.conversion.reals import layers_of
from spikeloom.quant.ir import netfile
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import (
    IF,
    Add,
    Conv2d,
    Flatten,
    Gain,
    Input,
    Linear,
    MaxPool,
    NetworkError,
    Readout,
    SumPool,
)


def one(low: int = 0, steps: int = 4, **fields) -> Network:
    """A neuron of threshold 3, of 4 times a pixel of 0..15 less 30 over all steps."""
    constants = {"threshold": [3], "bias": [0], "v0": [-30], "rule": "lossless", "low": low} | fields
    return Network(
        (
            Input(name="in", shape=(1, 1, 1), high=15),
            Linear(name="l", source="in", weight=[[1]], weight_bits=2),
            IF(name="fire", source="l", **constants),
            Linear(name="last", source="fire", weight=[[1]], weight_bits=2),
            Readout(name="out", source="last", bias=[0]),
        ),
        steps,
    )


@pytest.mark.parametrize("strict", [False, True])
def test_the_count_is_the_floor_clipped_at_both_ends(strict: bool) -> None:
    pixels, seen = np.arange(16).reshape(-1, 1, 1, 1), set()
    for steps, v0 in product((1, 2, 4, 7), (-31, -30, -29)):
        for low in range(-steps, 1):
            spikes = golden.run(one(low, steps, v0=[v0], strict=strict), pixels)["fire"].reshape(16, steps)
            for pixel, train in enumerate(spikes.tolist()):
                u = v0 + steps * pixel
                whole = max(k for k in range(-50, 50) if (u > 3 * k if strict else u >= 3 * k))
                count = max(low, min(whole, steps))
                assert train == [int(np.sign(count)) if t < abs(count) else 0 for t in range(steps)]
                seen.add(count)
    assert {*range(-7, 5), 7} <= seen


def deep(seed: int, low: int, strict: bool, pool: type, rule: str) -> Network:
    """A padded convolution, a pool, a residual sum of a gain and a convolution, neurons of ``rule``, a pool."""
    b = Builder(seed)
    b.add(Conv2d, weight=b.weights(3, 2, 3, 3), weight_bits=3, padding=1)
    b.fire(3, rule="lossless", strict=strict, low=low).add(pool, kernel=2, stride=1)
    entry = b.last
    b.add(Conv2d, weight=b.weights(3, 3, 3, 3), weight_bits=3, padding=1)
    main = b.last
    b.add(Gain, source=entry, gain=b.weights(3)).add(Add, source=main, other=b.last)
    b.fire(3, rule=rule, strict=strict, low=low if rule == "lossless" else 0)
    if rule != "signed":
        b.add(MaxPool, kernel=2, stride=2)
    b.add(Flatten)
    return b.add(Linear, weight=b.weights(4, probe(b, 5)), weight_bits=3).add(Readout, bias=b.weights(4)).network(5)


@pytest.mark.parametrize(("pool", "rule"), [*product([MaxPool, SumPool], ["lossless", "causal", "signed"])])
def test_spikes_of_both_signs_through_all_readers(pool: type, rule: str) -> None:
    """The golden model, plain NumPy and the loops; where only sums are computed, the same logits."""
    counts = set[int]()
    for seed, (low, strict) in enumerate(((-1, True), (-5, False), (-3, False))):
        network = deep(seed, low, strict, pool, rule)
        found = compare(network, seed)
        frames = np.random.default_rng(seed).integers(0, 8, (3, *network.input.shape))
        plain = reference.run(network, frames)
        assert all(np.array_equal(plain[name], x) for name, x in found.outputs.items())
        some = golden.run(network, frames, keep=(), counts=["IF2"])
        assert np.array_equal(some.logits, found.logits)
        assert np.array_equal(some.counts["IF2"], np.abs(found["IF2"]).sum(1))
        counts |= set(found["IF2"].sum(1).reshape(-1).tolist())
    assert counts == set(range(-5, 6))


def test_the_maximum_of_ordered_spikes_is_a_neuron_with_the_largest_count() -> None:
    """All pairs of counts: in every step the maximum of both spikes, which rises and falls as the running maximum."""
    steps = 4
    trains = [np.sign(c) * (np.arange(steps) < abs(c)) for c in range(-steps, steps + 1)]
    for a, b in product(trains, trains):
        pair = np.stack([a, b])
        largest = trains[max(a.sum(), b.sum()) + steps]
        assert np.array_equal(pair.max(0), largest)
        assert np.array_equal(np.diff(pair.cumsum(1).max(0), prepend=0), largest)


def test_files_and_hashes_of_networks_without_a_lower_end_stay(tmp_path) -> None:
    plain, low = one(), one(-2)
    assert plain.hash == "9101587c48bca49f60a48813d85cfb00d42f22642b6322efc9a248ff2f24b399"
    assert low.hash != plain.hash and one(-1).hash != low.hash
    for network, written in ((plain, False), (low, True)):
        netfile.save(network, tmp_path / "n.safetensors")
        text = (tmp_path / "n.safetensors").read_bytes()
        header = json.loads(text[8 : 8 + int.from_bytes(text[:8], "little")])["__metadata__"]["spikeloom"]
        assert ("low" in json.loads(header)["nodes"][2]) == written
        assert netfile.load(tmp_path / "n.safetensors").nodes == network.nodes


@pytest.mark.parametrize("low", [-5, 1])
def test_a_lower_end_out_of_range_is_refused(low: int) -> None:
    with pytest.raises(NetworkError, match=rf"^fire: low must be in -T\.\.0, that is -4\.\.0, not {low}"):
        one(low)


def test_training_further_is_refused() -> None:
    assert layers_of(one())
    with pytest.raises(NetworkError, match=r"^fire: neurons with a lower end \(low = -2\) cannot be trained further"):
        layers_of(one(-2))
