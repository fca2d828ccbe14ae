"""The golden model against a second implementation that is nothing but loops over the equations."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from golden_loops import (
    Builder,
    compare,
    plain,
    probe,
    spiking,
)

from spikeloom.quant import golden
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import (
    IF,
    NODE_TYPES,
    Add,
    Conv2d,
    Flatten,
    Gain,
    Input,
    Linear,
    MaxPool,
    NetworkError,
    Readout,
    Requant,
    SumPool,
)
from spikeloom.quant.kernels import registry, synapse


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("rule", "pool"),
    [
        *product(["causal", "lossless"], [None, MaxPool, SumPool]),
        *product(["signed"], [None, SumPool]),
    ],
)
def test_spiking_networks(rule: str, strict: bool, pool: type | None) -> None:
    fired = negative = 0
    for seed, (stride, padding) in enumerate(((1, 0), (2, 1), (3, 1))):
        # Negative spikes are rare: more frames to see some.
        result = compare(spiking(seed, rule, strict, stride, padding, pool), seed, 20 if rule == "signed" else 3)
        spikes = result["IF2"]
        fired += 0 < spikes.mean() < 1
        assert set(np.unique(spikes)) <= ({-1, 0, 1} if rule == "signed" else {0, 1})
        negative += any((v == -1).any() for name, v in result.outputs.items() if name.startswith("IF"))
    assert fired, "the neurons never or always fire, so the test says nothing"
    assert bool(negative) == (rule == "signed")


def test_the_two_rules_and_the_two_tests_differ_somewhere() -> None:
    """Otherwise the comparison above could not tell them apart."""
    x = np.random.default_rng(1).integers(0, 8, (20, 2, 6, 5))

    def spikes(rule: str, strict: bool) -> np.ndarray:
        outputs = golden.run(spiking(0, rule, strict, 1, 0, None), x).outputs
        return np.concatenate([outputs["IF2"].reshape(-1), outputs["IF4"].reshape(-1)])

    found = {
        (rule, strict): spikes(rule, strict) for rule in ("causal", "lossless", "signed") for strict in (False, True)
    }
    assert all((a != b).any() for i, a in enumerate(found.values()) for b in list(found.values())[i + 1 :])


def residual(seed: int, rule: str, shortcut: str, steps: int) -> Network:
    """Neurons of own first membranes, then a block whose branches are a grouped convolution and ``shortcut``."""
    b = Builder(seed, shape=(2, 5, 6))
    b.add(Conv2d, weight=b.weights(4, 2, 3, 3), weight_bits=3, padding=1)
    b.fire(4, rule=rule, v0=b.rng.integers(-4, 8, (4, 5, 6)))
    entry = b.last
    b.add(Conv2d, weight=b.weights(4, 1, 3, 3), weight_bits=3, padding=1, stride=2, groups=4).fire(4, rule=rule)
    wide = 2 if shortcut == "image" else 3  # for a map as large as the shortcut's
    b.add(Conv2d, weight=b.weights(6, 2, 3, wide), weight_bits=3, padding=1, groups=2)
    main = b.last
    if shortcut == "image":  # the same in every time step
        b.add(Conv2d, source="in", weight=b.weights(6, 2, 3, 2), weight_bits=3, padding=1, stride=2)
    elif shortcut == "projection":
        b.add(Conv2d, source=entry, weight=b.weights(6, 4, 1, 1), weight_bits=3, stride=2)
    else:
        b.add(Gain, source=entry, gain=b.rng.integers(-9, 9, 6), stride=2, offset=int(shortcut))
    one, other = (b.last, main) if shortcut == "image" else (main, b.last)
    b.add(Add, source=one, other=other)
    b.fire(6, rule=rule)
    fork = b.last
    b.add(Flatten)
    b.add(Linear, weight=b.weights(3, probe(b, steps)), weight_bits=3).add(Readout, bias=b.weights(3))
    b.add(SumPool, source=fork, kernel=2, stride=1).add(Flatten)
    return (
        b.add(Linear, weight=b.weights(4, probe(b, steps)), weight_bits=3)
        .add(Readout, bias=b.weights(4))
        .network(steps)
    )


@pytest.mark.parametrize("rule", ["causal", "lossless", "signed"])
@pytest.mark.parametrize("shortcut", ["image", "projection", "0", "2"])
def test_residual_networks_with_two_outputs(shortcut: str, rule: str) -> None:
    for seed in range(2):
        network = residual(seed, rule, shortcut, 3)
        result = compare(network, seed)
        assert len(network.readouts) == 2 and np.array_equal(result.logits, result[network.readouts[1].name])
        both = [r.name for r in network.readouts]
        kept = golden.run(network, np.zeros((1, 2, 5, 6), int), keep=both)
        assert list(kept.outputs) == both


def test_sums_that_do_not_change_over_time() -> None:
    """Values (T = 1): a gain on pixels plus a convolution of them, a requantiser, and a gain on its values."""
    b = Builder(0, shape=(2, 4, 5), high=255)
    b.add(Conv2d, weight=b.weights(3, 2, 3, 3), weight_bits=3, padding=1)
    b.add(Gain, source="in", gain=[5, -7, 100], offset=1)
    b.add(Add, source=b.last, other=b.nodes[1].name)
    b.add(Requant, bias=[3, 400, -200], shift=[4, 5, 6], lo=0, hi=15)
    fork = b.last
    b.add(Conv2d, weight=b.weights(3, 3, 1, 1), weight_bits=3).add(Gain, source=fork, gain=[1, -1, 2])
    b.add(Add, source=b.nodes[-2].name, other=b.last).add(Requant, bias=[0, 0, 0], shift=[1, 0, -1], lo=-7, hi=7)
    b.add(Flatten)
    result = compare(
        b.add(Linear, weight=b.weights(3, 60), weight_bits=3).add(Readout, bias=b.weights(3)).network(1), 0
    )
    assert result["Add3"].shape == (3, 3, 4, 5) and len(np.unique(result["Requant4"])) > 5


@pytest.mark.parametrize("groups", [2, 4])
def test_groups_in_all_three_types(groups: int) -> None:
    rng = np.random.default_rng(groups)
    x = torch.from_numpy(rng.integers(0, 256, (3, 8, 5, 6)))
    w = torch.from_numpy(rng.integers(-8, 8, (4, 8 // groups, 3, 3)))
    kinds = (torch.float32, torch.float64, torch.int64)
    found = [synapse.convolve(x, w, 2, 1, kind, groups) for kind in kinds]
    assert torch.equal(found[0], found[2]) and torch.equal(found[1], found[2])
    whole = torch.zeros(4, 8, 3, 3, dtype=torch.int64)  # a grouped convolution is a full one with zeros between groups
    for o in range(4):
        at = o // (4 // groups) * (8 // groups)
        whole[o, at : at + 8 // groups] = w[o]
    assert torch.equal(synapse.convolve(x, whole, 2, 1, torch.int64), found[2])


def test_every_kind_of_node_has_a_kernel() -> None:
    assert set(registry._KERNELS) == set(NODE_TYPES.values())


@pytest.mark.parametrize("seed", range(4))
def test_quantised_networks_with_shifts_of_both_signs(seed: int) -> None:
    b = Builder(seed, high=255)
    b.add(MaxPool, kernel=2, stride=1).add(Conv2d, weight=b.weights(3, 2, 2, 2), weight_bits=3, padding=1, stride=2)
    b.add(Requant, bias=b.rng.integers(-300, 300, 3), shift=[-2, 0, 6], lo=-7 if seed % 2 else 0, hi=7)
    b.add(SumPool, kernel=2, stride=2).add(Flatten)
    b.add(Linear, weight=b.weights(5, probe(b, 1)), weight_bits=3)
    b.add(Requant, bias=b.weights(5), shift=[-8, 1, 2, 3, 30], lo=0, hi=255)
    compare(b.add(Linear, weight=b.weights(3, 5), weight_bits=3).add(Readout, bias=b.weights(3)).network(1), seed)


def test_max_pool_on_spikes_passes_the_largest_running_count() -> None:
    """Two neurons that fire in turn: the count gate lets the first of each pair of spikes through, an OR both."""
    weight = np.array([[[[1]]]])
    nodes = (
        Input(name="in", shape=(1, 1, 2), high=3),
        Conv2d(name="c", source="in", weight=weight, weight_bits=2),
        IF(name="if", source="c", threshold=[4], bias=[0], v0=[2]),
    )
    pooled = (
        MaxPool(name="p", source="if", kernel=1, stride=1),
        Flatten(name="f", source="p"),
        Linear(name="l", source="f", weight=[[1, 1]], weight_bits=2),
        Readout(name="r", source="l", bias=[0]),
    )
    result = golden.run(Network(nodes=nodes + pooled, steps=4), np.array([[[[2, 1]]]]))
    assert result["if"][0, :, 0, 0].T.tolist() == [[1, 0, 1, 0], [0, 1, 0, 0]]
    square = Input(name="in", shape=(1, 2, 2), high=3)
    gate = (
        MaxPool(name="p", source="if", kernel=2, stride=2),
        Flatten(name="f", source="p"),
        Linear(name="l", source="f", weight=[[1]], weight_bits=2),
        Readout(name="r", source="l", bias=[0]),
    )
    result = golden.run(Network(nodes=(square, *nodes[1:], *gate), steps=4), np.array([[[[2, 1], [1, 0]]]]))
    assert result["p"].ravel().tolist() == [1, 0, 1, 0]
    result = golden.run(Network(nodes=(square, *nodes[1:], *gate), steps=4), np.array([[[[1, 1], [1, 0]]]]))
    assert result["p"].ravel().tolist() == [0, 1, 0, 0]


def test_ties_give_the_lowest_index() -> None:
    network = plain(np.array([[0, 1], [1, 0], [1, 0], [0, 1]]), np.zeros(4))
    assert golden.run(network, np.array([[3, 3], [1, 2], [2, 1]])[:, :, None, None]).classes.tolist() == [0, 0, 1]


def test_keep_progress_and_dtype() -> None:
    network, x = spiking(0, "causal", False, 1, 0, None), np.zeros((5, 2, 6, 5), int)
    calls: list[tuple[int, int]] = []
    result = golden.run(network, x, batch=2, keep=("IF2",), progress=lambda done, of: calls.append((done, of)))
    assert calls == [(2, 5), (4, 5), (5, 5)] and list(result.outputs) == ["IF2"] and result.logits.shape == (5, 4)
    assert result["IF2"].dtype == np.int32
    with pytest.raises(NetworkError, match=r"nothere: no such node; there are in, "):
        golden.run(network, x, keep=("nothere",))


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((1, 2, 6, 6), int), r"in: frames must have shape \(N, 2, 6, 5\), not \(1, 2, 6, 6\)"),
        (np.full((1, 2, 6, 5), 8), r"in: pixels must be in 0\.\.7, found 8\.\.8"),
        (np.zeros((1, 2, 6, 5)), r"in: frames must be integers in 0\.\.7, not float64"),
    ],
)
def test_frames_are_checked(frames: np.ndarray, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        golden.run(spiking(0, "causal", False, 1, 0, None), frames)


def test_accuracy_and_its_labels() -> None:
    network = plain(np.array([[1, 0], [0, 1]]), np.zeros(2))
    x = np.array([[3, 1], [1, 3], [2, 2], [0, 1]])[:, :, None, None]
    assert golden.accuracy(network, x, np.array([0, 1, 1, 1])) == 0.75
    with pytest.raises(NetworkError, match=r"labels must have shape \(4,\)"):
        golden.accuracy(network, x, np.zeros(3))


def by_step(network: Network, x: np.ndarray) -> np.ndarray:
    source = network.nodes[-1].source
    return golden.classes_over_time(network, golden.run(network, x, keep=(source,))[source])


def test_classes_over_time() -> None:
    """Class 1 has the bias, class 0 the spikes, which come late: v0 = -4, current and threshold 3."""
    b = Builder(0, shape=(1, 1, 1), high=3)
    b.add(Linear, weight=[[1]], weight_bits=2).add(IF, threshold=[3], bias=[0], v0=[-4])
    b.add(Linear, weight=[[3], [0]], weight_bits=3).add(Readout, bias=[0, 4])
    network, x = b.network(4), np.array([[[[3]]], [[[0]]]])
    # Spikes at t = 3 and 4: sums 0 0 3 6 of class 0 against the share 1 2 3 4 of class 1's bias.
    assert golden.run(network, x)["IF2"][0].ravel().tolist() == [0, 0, 1, 1]
    over_time = by_step(network, x)
    assert over_time.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]
    assert np.array_equal(over_time[:, -1], golden.run(network, x).classes)
    # Scaled by T: 0 0 12 24 against 5 10 15 20. A share that did not grow with t would let class 0 win at t = 3.
    b.nodes[-1] = Readout(name="end", source=b.nodes[-2].name, bias=[0, 5])
    assert by_step(b.network(4), x)[0].tolist() == [1, 1, 1, 0]
    network = spiking(0, "causal", False, 1, 0, None)
    x = np.random.default_rng(0).integers(0, 8, (9, 2, 6, 5))
    assert np.array_equal(by_step(network, x)[:, -1], golden.run(network, x).classes)
