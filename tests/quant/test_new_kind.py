"""A kind of node, and a rule, that no product file knows: what they say themselves is enough, all else is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from spikeloom.gen.errors import PlanError
from spikeloom.gen.lowering.counts import counted
from spikeloom.gen.lowering.layers import layers
from spikeloom.quant import golden, reference
from spikeloom.quant.analysis.narrow import narrowed
from spikeloom.quant.analysis.reach import Reach
from spikeloom.quant.conversion.reals import layers_of
from spikeloom.quant.ir import netfile
from spikeloom.quant.ir.network import Network, NetworkError
from spikeloom.quant.ir.node import Node, by_channel
from spikeloom.quant.ir.ops import IF, NODE_TYPES, Conv2d, Flatten, Input, Linear, MaxPool, Readout
from spikeloom.quant.ir.reach.branches import Branches
from spikeloom.quant.ir.reach.neuron import Watch
from spikeloom.quant.ir.reach.node import NodeReach, Place
from spikeloom.quant.ir.rule import Firing, Rule
from spikeloom.quant.ir.rules import RULES
from spikeloom.quant.ir.signal import Signal
from spikeloom.quant.ir.span import Span, between
from spikeloom.quant.kernels.integrate_and_fire import _RULES
from spikeloom.quant.models import mlp
from spikeloom.quant.qat.integer_graph import IntegerGraph
from spikeloom.quant.qat.rules import STEPS
from spikeloom.sim.reach import MOVED, TAKEN, DesignReach


@dataclass(frozen=True, kw_only=True, eq=False)
class Magnitude(Node):
    """y = min(|I|, high): it says what it computes, and nothing else."""

    takes: ClassVar = ("currents",)

    high: int = 5

    def _signal(self, sources: Sequence[Signal], steps: int) -> Signal:
        return Signal("values", sources[0].shape, sources[0].timed, 0, self.high)

    def reference_step(self, x: np.ndarray) -> np.ndarray:
        return np.minimum(np.abs(x), self.high)

    def span(self, spans: Sequence[Span], sources: Sequence[Signal], steps: int) -> Span:
        return Span(np.zeros_like(spans[0].low), np.full_like(spans[0].low, self.high))


@dataclass(frozen=True, kw_only=True, eq=False)
class Told(Magnitude):
    """It says its branches as well: the sides of 0."""

    def reach(self, place: Place) -> NodeReach:
        return Sides(place)


class Sides(NodeReach):
    def __init__(self, place: Place) -> None:
        super().__init__(place, valued=True)
        low, high = place.spans[0].always
        self.branches["sides"] = Branches.of(np.stack([low < 0, high > 0]))
        self.branches["steepness"] = Branches.of(np.ones((1, len(low)), bool), "moved")

    def observe(self, inputs: Sequence[np.ndarray], result: np.ndarray) -> None:
        self.branches["sides"].seen |= np.stack([(inputs[0] < 0).any((0, 2, 3)), (inputs[0] > 0).any((0, 2, 3))])

    def texts(self, kind: str) -> list[str]:
        if kind == "sides":
            rows = self.branches[kind].rows(("below", "above"))
            return [f"{part} channels were never {side} 0" for side, part in rows]
        return super().texts(kind)


@dataclass(frozen=True, kw_only=True, eq=False)
class Shifted(Node):
    """Spikes, moved by a channel."""

    def _signal(self, sources: Sequence[Signal], steps: int) -> Signal:
        return sources[0]

    def reference_step(self, x: np.ndarray) -> np.ndarray:
        return np.roll(x, 1, 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Counted(Shifted):
    """It says that counts go through."""

    passes_sums: ClassVar = True

    @property
    def counts(self) -> bool:
        return True


class Last(Rule):
    """A spike in the last step, where the sum of all currents reaches the threshold."""

    name: ClassVar = "last"
    adds_up: ClassVar = True

    def reference(self, node: IF, currents: np.ndarray) -> np.ndarray:
        u = by_channel(node.v0) + (currents + by_channel(node.bias)).sum(1)
        spikes = np.zeros_like(currents)
        spikes[:, -1] = u > by_channel(node.threshold) if node.strict else u >= by_channel(node.threshold)
        return spikes

    def possible(self, node: IF, current: Span, steps: int, timed: bool) -> Firing:
        low, high = (node.v0 + steps * (end[0] + node.bias) - node.strict for end in (current.low, current.high))
        ways, test = np.zeros((2, steps, len(low)), bool), node.threshold
        ways[:, -1] = low < test, high >= test
        spikes = Span((np.arange(steps)[:, None] == steps - 1) & (low >= test), ways[1])
        moves = np.stack([between(low, high, test, test), between(low, high, test - 1, test - 1) & (test > 1)])
        branches = {"tests": Branches.of(ways), "thresholds": Branches.of(moves, "moved")}
        return Firing(Span(*(x.astype(int) for x in spikes[:2])), Span(*(x.sum(0)[None] for x in spikes[:2])), branches)

    def observe(self, node: IF, current: np.ndarray, spikes: np.ndarray, found: NodeReach) -> None:
        watch, steps = Watch(node, current, spikes, found), spikes.shape[1]
        total = current.sum(1) if current.ndim == 5 else steps * current
        watch.test(watch.start + total.astype(watch.dtype) + steps * watch.bias - watch.threshold, steps - 1)
        watch.close()


ONE = np.ones(2, int)


def values(kind: type[Magnitude]) -> Network:
    """A convolution, ``kind``, a read-out; the second channel is never below 0."""
    return Network((
        Input(name="input", shape=(1, 3, 3), high=3),
        Conv2d(name="conv", source="input", weight=np.array([[[[-2, 3], [1, -1]]], [[[0, 1], [2, 0]]]]), weight_bits=3),
        kind(name="own", source="conv"),
        Flatten(name="flat", source="own"),
        Linear(name="last", source="flat", weight=np.ones((2, 8), int), weight_bits=3),
        Readout(name="out", source="last", bias=ONE),
    ), steps=1)  # fmt: skip


def spikes(kind: type[Node], rule: str = "lossless", steps: int = 4) -> Network:
    """Neurons, ``kind``, a maximum over windows, a read-out."""
    return Network((
        Input(name="input", shape=(1, 3, 3), high=3),
        Conv2d(name="conv", source="input", weight=np.ones((2, 1, 2, 2), int), weight_bits=2),
        IF(name="if1", source="conv", threshold=3 * ONE, bias=ONE, v0=ONE, rule=rule),
        kind(name="own", source="if1", **({"kernel": 1, "stride": 1} if kind is MaxPool else {})),
        MaxPool(name="pool", source="own", kernel=2, stride=2),
        Flatten(name="flat", source="pool"),
        Linear(name="last", source="flat", weight=np.ones((2, 2), int), weight_bits=2),
        Readout(name="out", source="last", bias=ONE),
    ), steps)  # fmt: skip


def frames(network: Network, count: int = 6) -> np.ndarray:
    return np.random.default_rng(0).integers(0, network.input.high + 1, (count, *network.input.shape))


def reached(network: Network, pixels: np.ndarray) -> DesignReach:
    """What ``pixels`` reach, in words as well, without a design, for there is no hardware of such a node."""
    stages = [SimpleNamespace(name=node.name, nodes=(node,)) for node in network.nodes[1:]]
    design: Any = SimpleNamespace(network=network, boundaries=[], elements=[], layers=stages)
    reach = DesignReach(design)
    reach.add(reference.run(network, pixels).outputs, {})
    return reach


def test_a_kind_that_says_nothing_is_looked_at_by_its_range_alone() -> None:
    network = values(Magnitude)
    reach = reached(network, frames(network))
    node = reach.reach.nodes["own"]
    assert node.branches == {} and node.low.tolist() == [0, 0] and node.high.tolist() == [5, 5]
    assert not any(text.startswith("own") for text in reach.warnings())
    # What is behind it is looked at as behind any other.
    assert reach.reach.nodes["last"].branches["inputs"].can.all()
    assert any(text.startswith("last: ") for text in reached(network, 0 * frames(network)).warnings("inputs"))


def test_a_kind_says_its_branches_and_their_warnings_itself() -> None:
    network = values(Told)
    dark = np.zeros((1, 1, 3, 3), int)
    reach = reached(network, dark)
    sides = reach.reach.nodes["own"].branches["sides"]
    assert sides.can.tolist() == [[True, False], [True, True]] and not sides.seen.any()
    words = ["own: 1 of 2 channels were never below 0", "own: 2 of 2 channels were never above 0"]
    assert reach.warnings("sides") == words and [text for text in reach.warnings(TAKEN) if "own" in text] == words
    assert reach.warnings(MOVED) == ["own: 2 of 2 channels have steepness that were missed"]
    assert reach.warnings()[-1] == reach.warnings(MOVED)[0], "constants come behind branches"
    figures = {node["name"]: node for layer in reach.figures()["layers"] for node in layer["nodes"]}
    assert figures["own"]["sides"] == {"seen": 0, "can": 3, "cannot": 1, "missed_channels": [0, 1]}
    assert figures["own"]["values"]["can"] == 12
    bright = reached(network, frames(network))
    assert not bright.warnings("sides") and bright.share(TAKEN) > reach.share(TAKEN)
    reach.reach.merge(bright.reach)
    assert not reach.warnings("sides") and reach.frames == 7


def test_spikes_travel_as_counts_where_a_kind_says_so() -> None:
    assert counted(spikes(MaxPool)) == {"if1", "own", "pool", "flat"}
    assert counted(spikes(Counted)) == {"if1", "own", "pool", "flat"}
    assert counted(spikes(Shifted)) == set(), "neither it, nor what is before or behind it"


def test_all_else_is_refused_by_name(tmp_path: Path) -> None:
    network = values(Magnitude)
    with pytest.raises(NetworkError, match="^own: a Magnitude cannot be trained further; supported: Input, "):
        layers_of(network)
    with pytest.raises(NetworkError, match="^own: the golden model does not know Magnitude"):
        golden.run(network, frames(network))
    with pytest.raises(NetworkError, match="^own: what a Magnitude takes cannot be scaled"):
        narrowed(network, 2)
    with pytest.raises(PlanError, match="^own: Magnitude behind conv has no hardware; supported: .*Conv2d or Linear, "):
        layers(network)
    with pytest.raises(PlanError, match="^own: Shifted behind if1 has no hardware; supported: "):
        layers(spikes(Shifted))
    netfile.save(network, tmp_path / "n.safetensors")
    with pytest.raises(NetworkError, match="own: node type 'Magnitude' is unknown; supported: Add, "):
        netfile.load(tmp_path / "n.safetensors")
    with pytest.raises(NetworkError, match="^own: what Shifted can give is not known"):
        Reach(spikes(Shifted))
    assert not {"Magnitude", "Shifted"} & set(NODE_TYPES)


def test_every_rule_has_a_kernel_and_those_that_train_are_rules() -> None:
    assert set(RULES) == set(_RULES) == {"causal", "lossless", "signed"}
    assert set(STEPS) <= set(RULES)
    assert all((STEPS[name] is None) == RULES[name].adds_up for name in STEPS)
    for name, rule in RULES.items():
        assert rule.name == name and not (rule.counts and rule.lowest < 0) and not (rule.adds_up and rule.folds)


def test_a_rule_is_what_it_says_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NetworkError, match="if1: rule must be 'causal', 'lossless' or 'signed', not 'last'"):
        spikes(Counted, "last")
    monkeypatch.setitem(RULES, "last", Last())
    network = spikes(MaxPool, "last")
    assert counted(network) == set(), "it does not say that its spikes may travel as counts"
    pixels = frames(network)
    with pytest.raises(NetworkError, match="^if1: the golden model does not know the rule 'last'"):
        golden.run(network, pixels)
    with pytest.raises(NetworkError, match="rule must be 'causal', 'lossless' or 'signed', not 'last'"):
        IntegerGraph(mlp((1, 2, 2), 2, hidden=()), input_high=3, steps=4, weight_bits=4, rule="last")
    node = network.nodes[2]
    assert isinstance(node, IF)
    for threshold, strict in ((5, False), (20, False), (20, True), (28, False), (200, False)):
        neurons = replace(node, threshold=np.array([threshold, 1]), strict=strict)
        network = Network(tuple(neurons if n.name == "if1" else n for n in network), network.steps)
        reach, result = Reach(network), reference.run(network, pixels)
        reach.add(result.outputs)
        found = reach.nodes["if1"].branches
        assert set(found) == {"tests", "thresholds"} and not any((b.seen & ~b.can).any() for b in found.values())
        assert found["tests"].seen[1, -1].tolist() == (result["if1"][:, -1] > 0).any((0, 2, 3)).tolist()
        for k, move in enumerate((1, -1)):
            other = replace(neurons, threshold=np.maximum(neurons.threshold + move, 1))
            moved = other.reference([result["conv"]], [False], network.steps)
            assert found["thresholds"].seen[k].tolist() == (moved != result["if1"]).any((0, 1, 3, 4)).tolist()
