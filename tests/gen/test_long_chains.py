"""Thousands of additions, pools or flattens in a row are taken apart as few are: nothing recurses along a network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spikeloom.gen.lowering.counts import counted
from spikeloom.gen.lowering.layers import layers
from spikeloom.quant.analysis.narrow import narrowed
from spikeloom.quant.frontends.layers import IMAGE, Layer, Shortcut, Sum, Weights
from spikeloom.quant.frontends.structure import terms_of
from spikeloom.quant.ir.addends import addends
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Add, Conv2d, Flatten, Gain, Input, Linear, MaxPool, Node, Readout

MANY = 2000  # Python allows 1,000 calls in each other
ONE = np.ones(1, int)
KERNEL = np.ones((1, 1, 1, 1), int)


def network(kind: str) -> Network:
    """A neuron ``n`` of :data:`MANY` shortcuts, or with as many pools or flattens behind it, and a read-out."""
    nodes: list[Node] = [
        Input(name="input", shape=(1, 1, 1), high=3),
        Conv2d(name="c", source="input", weight=3 * KERNEL, weight_bits=3),
    ]
    if kind == "sums":
        for k in range(MANY):
            nodes.append(Gain(name=f"g{k}", source="input", gain=3 * ONE))
            nodes.append(Add(name=f"a{k}", source=nodes[-2].name, other=f"g{k}"))
    nodes.append(IF(name="n", source=nodes[-1].name, threshold=2 * ONE, bias=ONE, v0=ONE, rule="lossless"))
    for k in range(MANY if kind != "sums" else 0):
        each = {"name": f"f{k}", "source": nodes[-1].name}
        nodes.append(MaxPool(**each, kernel=1, stride=1) if kind == "pools" else Flatten(**each))
    nodes.append(Flatten(name="last", source=nodes[-1].name))
    nodes.append(Linear(name="l", source="last", weight=np.ones((1, 1), int), weight_bits=3))
    return Network((*nodes, Readout(name="out", source="l", bias=ONE)), 4)


@pytest.mark.parametrize(("kind", "stages"), [("sums", 2), ("pools", MANY + 2), ("flattens", 2)])
def test_a_long_network_is_cut_into_its_layers(kind: str, stages: int) -> None:
    found = network(kind)
    cut = layers(found)
    assert len(cut) == stages and "n" in counted(found)
    assert len(cut[0].shortcuts) == (MANY if kind == "sums" else 0)
    gains = [node.gain.item() for node in narrowed(found, 2) if isinstance(node, Gain)]
    assert gains == [1] * len(cut[0].shortcuts)  # all are scaled with the weights they are added to, which are 1 now


def test_addends_come_in_the_order_of_the_additions() -> None:
    assert [node.name for node in addends(network("sums"), f"a{MANY - 1}")] == ["c", *(f"g{k}" for k in range(MANY))]


def test_the_terms_of_nested_sums() -> None:
    def weights(name: str, side: int) -> Weights:
        return Weights(name, (IMAGE,), torch.ones(1, 1, side, side), torch.zeros(1))

    kinds: dict[str, Layer] = {layer.name: layer for layer in (weights("a", 1), weights("b", 3), weights("c", 3))}
    kinds |= {"s": Shortcut("s", (IMAGE,), 1, 0, 0), "x": Sum("x", ("a", "b")), "y": Sum("y", ("c", "s"))}
    kinds["z"] = Sum("z", ("x", "y"))
    found, shortcuts, sums = terms_of("z", kinds)
    assert [layer.name for layer in found] == ["b", "c", "a"]  # the largest kernel first
    assert [layer.name for layer in shortcuts] == ["s"] and sums == ["y", "x", "z"]
    for k in range(MANY):
        kinds[f"sum{k}"] = Sum(f"sum{k}", (f"sum{k - 1}" if k else "z", "s"))
    assert len(terms_of(f"sum{MANY - 1}", kinds)[2]) == MANY + 3
