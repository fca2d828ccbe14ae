"""Every operator of the network in hardware: golden model = core models = RTL, and cycle law = RTL, in every cycle."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeloom.gen.design import Design, Top
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.errors import PlanError
from spikeloom.gen.folding.find import auto
from spikeloom.gen.folding.fold import Fold
from spikeloom.gen.lowering.layers import layers
from spikeloom.gen.lowering.plan import fold_choices
from spikeloom.quant import golden
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Add, Conv2d, Flatten, Input, Linear, MaxPool, Node, Readout, SumPool
from spikeloom.sim.compare import compare
from spikeloom.sim.disturb import random_pauses
from spikeloom.sim.predict import boundary_infos, golden_words, make_stimulus, predict
from spikeloom.sim.simulators.amaranth_sim import run_amaranth
from spikeloom.sim.verify import verify


class Maker:
    """Adds nodes with random integers one behind the other."""

    def __init__(self, shape: tuple[int, int, int], high: int = 3, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[Node] = [Input(name="input", shape=shape, high=high)]

    @property
    def end(self) -> str:
        return self.nodes[-1].name

    def conv(self, name: str, weight_shape: tuple[int, ...], bits: int = 4, **geometry: Any) -> None:
        top = (1 << (bits - 1)) - 1
        weight = self.rng.integers(-top, top + 1, weight_shape)
        self.nodes.append(Conv2d(name=name, source=self.end, weight=weight, weight_bits=bits, **geometry))

    def fire(self, channels: int, v0_shape: tuple[int, ...] = (), rule: str = "causal", strict: bool = False) -> None:
        self.nodes.append(
            IF(
                name=f"{self.end}_if",
                source=self.end,
                threshold=self.rng.integers(4, 16, channels),
                bias=self.rng.integers(-2, 3, channels),
                v0=self.rng.integers(-9, 16, (channels, *v0_shape)),
                rule=rule,
                strict=strict,
            )
        )

    def pool(self, kind: type, kernel: int, stride: int = 1) -> None:
        self.nodes.append(kind(name=f"{self.end}_pool", source=self.end, kernel=kernel, stride=stride))

    def read(self, name: str, source: str, inputs: int, classes: int, bits: int = 4) -> None:
        top = (1 << (bits - 1)) - 1
        weight = self.rng.integers(-top, top + 1, (classes, inputs))
        self.nodes += [
            Flatten(name=f"{name}_flat", source=source),
            Linear(name=name, source=f"{name}_flat", weight=weight, weight_bits=bits),
            Readout(name=f"{name} out", source=name, bias=self.rng.integers(-9, 9, classes)),
        ]


def check(network: Network, folds: dict[str, Fold], seed: int = 0) -> Design:
    """Two frames, once without pauses and once with."""
    design, rng = Design(network, folds), np.random.default_rng(seed)
    frames = rng.integers(0, network.input.high + 1, (2, *network.input.shape))
    results = golden.run(network, frames).outputs
    spikes = [results[n.name] for n in network if isinstance(n, IF)]
    assert all(0 < np.abs(s).mean() < 1 for s in spikes), "neurons that always or never fire show nothing"
    words = golden_words(design, results)
    models = design.compute(frames)
    for name, expected in words.items():
        assert np.array_equal(models[name], expected), f"{name}: core models differ from the golden model"
    for share in (0.0, 0.4):
        length = 3 * make_stimulus(design, frames).cycles
        pauses = {f"{side}_pauses": random_pauses(rng, length, share) for side in ("source", "sink")}
        stimulus = make_stimulus(design, frames, **pauses)
        top = Top(design)
        got = run_amaranth(top, top.boundaries, stimulus, top.outs)
        differences = compare(predict(design, stimulus, words), got, boundary_infos(design))
        assert not differences, "\n".join(map(str, differences))
    return design


def smallest(network: Network) -> dict[str, Fold]:
    return {layer.name: fold_choices(layer)[0] for layer in layers(network)}


def separable(rule: str = "causal", steps: int = 2) -> Network:
    """A depthwise convolution with stride 2, a 1x1 convolution, a global sum."""
    m = Maker((4, 6, 6))
    m.conv("depthwise", (8, 1, 3, 3), stride=2, padding=1, groups=4)
    m.fire(8, (3, 3), rule)
    m.conv("point", (6, 8, 1, 1))
    m.fire(6, rule=rule)
    m.pool(SumPool, 3)
    m.read("fc", m.end, 6, 3)
    return Network(tuple(m.nodes), steps)


@pytest.mark.parametrize("fold", [
    Fold(2, 1, 1), Fold(8, 4, 1), *(pytest.param(f, marks=pytest.mark.slow) for f in (Fold(1, 1, 1), Fold(4, 2, 1)))
])  # fmt: skip
@pytest.mark.parametrize("rule", ["causal", "lossless"])
def test_depthwise_separable_block(fold: Fold, rule: str) -> None:
    network = separable(rule)
    design = check(network, smallest(network) | {"depthwise": fold, "point": Fold(3, 4, 1)})
    assert design.stages[0].cycles == 9 * 9 * 8 // fold.outputs


@pytest.mark.parametrize("fold", [
    Fold(3, 2, 4), Fold(6, 4, 1),
    *(pytest.param(Fold(*f), marks=pytest.mark.slow) for f in ((1, 1, 4), (3, 1, 2), (6, 4, 4))),
])  # fmt: skip
def test_groups_of_several_channels(fold: Fold) -> None:
    m = Maker((1, 4, 3))
    m.conv("spread", (4, 1, 1, 1))
    m.fire(4)
    m.conv("grouped", (6, 2, 3, 3), padding=1, groups=2)
    m.fire(6, (4, 3), "signed")
    m.read("fc", m.end, 72, 2)
    network = Network(tuple(m.nodes), 4)
    design = check(network, smallest(network) | {"grouped": fold})
    assert design.stages[1].cycles == 12 * 9 * 6 * 2 // (fold.outputs * min(fold.inputs, 2)) * (4 // fold.steps)


@pytest.mark.parametrize(
    ("fold", "message"),
    [
        (Fold(6, 2, 1), "fold outputs=6, inputs=2 does not fit 2 groups of 3 outputs and 2 inputs"),
        (
            Fold(3, 4, 1),
            r"choose a part of one group \(outputs one of 1, 3, inputs one of 1, 2\), or n times 3 outputs",
        ),
        (Fold(2, 1, 1), "and n times 2 inputs with n one of 1, 2"),
        (Fold(3, 2, 3), "fold steps=3 does not divide 4; choose one of 1, 2, 4"),
    ],
)
def test_folds_that_do_not_fit_groups(fold: Fold, message: str) -> None:
    m = Maker((4, 3, 3))
    m.conv("spread", (4, 4, 1, 1))
    m.fire(4)
    m.conv("grouped", (6, 2, 3, 3), groups=2)
    m.fire(6)
    m.read("fc", m.end, 6, 2)
    network = Network(tuple(m.nodes), 4)
    assert fold not in fold_choices(layers(network)[1])
    with pytest.raises(PlanError, match=message):
        Design(network, smallest(network) | {"grouped": fold})


@pytest.mark.parametrize("kind", [SumPool, MaxPool])
@pytest.mark.parametrize("lanes", [1, 3])
def test_global_pools_of_spikes(kind: type, lanes: int) -> None:
    m = Maker((1, 4, 4))
    m.conv("conv", (3, 1, 1, 1), stride=1)
    m.fire(3)
    m.pool(kind, 4)
    m.read("fc", m.end, 3, 3)
    network = Network(tuple(m.nodes), 5)
    check(network, smallest(network) | {"conv_if_pool": Fold(lanes, lanes, 1)})


@pytest.mark.parametrize("rule", ["causal", "lossless", pytest.param("signed", marks=pytest.mark.slow)])
def test_sixteen_steps_in_parallel(rule: str) -> None:
    m = Maker((2, 3, 3))
    m.conv("one", (4, 2, 3, 3), padding=1, bits=2)
    m.fire(4, rule=rule)
    m.conv("two", (4, 4, 1, 1), bits=2)
    m.fire(4, (3, 3), rule, strict=True)
    m.read("fc", m.end, 36, 3, bits=2)
    network = Network(tuple(m.nodes), 16)
    check(network, smallest(network) | {"two": Fold(2, 2, 1 if rule == "lossless" else 16)})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "steps"),
    [("causal", 4), ("causal", 1), ("signed", 1), ("signed", 2)],
)
def test_sixty_four_steps_in_series(rule: str, steps: int) -> None:
    m = Maker((1, 2, 3))
    m.conv("one", (2, 1, 1, 1))
    m.fire(2, rule=rule)
    m.conv("two", (2, 2, 2, 2))
    m.fire(2, (1, 2), rule)
    m.read("fc", m.end, 4, 2)
    network = Network(tuple(m.nodes), 64)
    design = check(network, smallest(network) | {"two": Fold(2, 1, steps)})
    assert design.stages[1].window.scans == 64 // steps


@pytest.mark.parametrize("steps", [1, 3])
def test_a_residual_sum_is_made_where_currents_change_over_time(steps: int) -> None:
    m = Maker((4, 2, 3))
    m.conv("shortcut", (4, 4, 1, 1))
    m.nodes.append(Conv2d(name="entry", source="input", weight=np.eye(4, dtype=int)[:, :, None, None], weight_bits=3))
    m.fire(4)
    m.conv("depthwise", (4, 1, 1, 1), groups=4)
    m.nodes.append(Add(name="add", source=m.end, other="shortcut"))
    m.fire(4)
    m.read("fc", m.end, 24, 2)
    network = Network(tuple(m.nodes), steps)
    design = check(network, smallest(network) | {"depthwise": Fold(2, 2, steps)})
    assert [s.name for s in design.stages if s.merges] == ["depthwise"], "though it has fewer weights"


def three_readouts() -> Network:
    m = Maker((1, 4, 4))
    m.conv("body", (4, 1, 3, 3))
    m.fire(4, (2, 2))
    body = m.end
    m.read("early 1", body, 16, 2)
    m.read("early-1", body, 16, 5)
    m.nodes.append(Conv2d(name="late", source=body, weight=np.ones((4, 1, 2, 2), int), weight_bits=3, groups=4))
    m.fire(4)
    m.read("fc", m.end, 4, 3)
    return Network(tuple(m.nodes), 4)


def test_every_readout_is_an_output() -> None:
    network = three_readouts()
    design = check(network, smallest(network))
    assert {port: b.node for port, b in design.outputs.items()} == {
        "o_early_1_out": "early 1 out",
        "o_early_1_out_2": "early-1 out",
        "o": "fc out",
    }
    assert design.boundaries[-1] is design.outputs["o"]


def test_latency_is_that_of_the_slowest_output() -> None:
    network = three_readouts()
    design = Design(network, smallest(network))
    ends = {port: design.free_run.transfers[b.name][b.words_per_frame - 1] for port, b in design.outputs.items()}
    assert emit.performance(design)["latency"] == max(ends.values()) + 1 > min(ends.values()) + 1


@pytest.mark.parametrize("simulator", ["verilator", pytest.param("cocotb", marks=pytest.mark.slow)])
def test_several_outputs_in_emitted_verilog(simulator: str, tmp_path: Path) -> None:
    network = three_readouts()
    design = Design(network, auto(network, 200))
    contents = emit.write(design, tmp_path)
    assert contents["outputs"] == {"o_early_1_out": "early 1", "o_early_1_out_2": "early-1", "o": "fc"}
    width = design.outputs["o_early_1_out_2"].width
    assert contents["ports"]["o_early_1_out_2__payload"] == width and contents["ports"]["o_early_1_out_2__ready"] == 1
    assert "output o_early_1_out_2__valid" in (tmp_path / "spikeloom_top.v").read_text()
    frames = np.random.default_rng(3).integers(0, 4, (6, 1, 4, 4))
    run = verify(design, contents, tmp_path, frames, simulator=simulator, pauses=0.3, resets=((40, 1),))
    assert run.passed, str(run.differences[0])
    assert set(run.answers) <= set(range(3))
