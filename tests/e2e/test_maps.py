"""Designs with maps at several outputs: every word of every output in every cycle, with pauses on one or on all."""

from __future__ import annotations

from pathlib import Path

import map_nets
import numpy as np
import pytest

from spikeloom.gen.design import Design, Top
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.folding.fold import Fold
from spikeloom.gen.tops.axi import AxiTop
from spikeloom.gen.tops.link import LinkTop
from spikeloom.hdl.cores.bias.core import Bias
from spikeloom.link import Info
from spikeloom.quant import golden, reference
from spikeloom.sim.compare import compare
from spikeloom.sim.disturb import random_pauses
from spikeloom.sim.predict import boundary_infos, golden_words, make_stimulus, predict
from spikeloom.sim.simulators.amaranth_sim import run_amaranth
from spikeloom.sim.verify import verify

PORTS = ["o_cls8", "o_box8", "o_cls16", "o_box16"]
PIXELS = {"cls8 conv": Fold(2, 1, 1, pixels=2), "box8 conv": Fold(3, 4, 1), "box16 conv": Fold(3, 4, 1, pixels=2)}
SKIPS = {"cls8 conv": Fold(1, 2, 1, skip=True), "box16 conv": Fold(2, 1, 1, skip=True)}
KINDS = pytest.mark.parametrize("quantised", [True, False], ids=["values", "spikes"])


@KINDS
def test_golden_models_agree(quantised: bool) -> None:
    network = map_nets.network(quantised)
    frames = map_nets.frames(network, 5)
    found, other = golden.run(network, frames, keep=()), reference.run(network, frames, keep=())
    assert list(found.outputs) == list(map_nets.HEADS) and found.logits.shape == (5, 0)
    for name in map_nets.HEADS:
        assert found[name].shape == (5, *network.signals[name].shape)
        assert np.array_equal(found[name], other[name])


@KINDS
@pytest.mark.parametrize("folds", [{}, PIXELS, SKIPS], ids=["plain", "pixels", "skips"])
def test_core_models_give_the_words_of_the_golden_model(quantised: bool, folds: dict[str, Fold]) -> None:
    """And the words on an output are its map, pixel by pixel, channel by channel."""
    design = map_nets.design(quantised, **folds)
    frames = map_nets.frames(design.network, 3)
    found = golden.run(design.network, frames)
    words, models = golden_words(design, found.outputs), design.compute(frames)
    assert list(design.outputs) == PORTS
    for boundary in design.boundaries:
        assert np.array_equal(models[boundary.name], words[boundary.name]), boundary.name
    for name, boundary in zip(map_nets.HEADS, design.outputs.values(), strict=True):
        values = boundary.format.unpack(words[boundary.name]).reshape(-1)
        assert np.array_equal(values, found[name].transpose(0, 2, 3, 1).reshape(-1))


def run(design: Design, source: np.ndarray, sinks: np.ndarray) -> None:
    frames = map_nets.frames(design.network, 3)
    words = golden_words(design, golden.run(design.network, frames).outputs)
    stimulus = make_stimulus(design, frames, source_pauses=source, sink_pauses=sinks, words=words)
    top = Top(design)
    got = run_amaranth(top, top.boundaries, stimulus, top.outs, top.lasts)
    differences = compare(predict(design, stimulus, words), got, boundary_infos(design))
    assert not differences, "\n".join(map(str, differences))


@pytest.mark.parametrize("paused", range(4), ids=map_nets.HEADS)
@pytest.mark.parametrize("folds", [{}, pytest.param(PIXELS, marks=pytest.mark.slow)], ids=["plain", "pixels"])
def test_one_output_pauses(paused: int, folds: dict[str, Fold]) -> None:
    """The others give what they can, each in the cycle that the law says."""
    design = map_nets.design(True, **folds)
    sinks = np.zeros((4, 6000), bool)
    sinks[paused] = random_pauses(np.random.default_rng(paused), 6000, 0.7, 200)
    run(design, np.zeros(0, bool), sinks)


@KINDS
@pytest.mark.parametrize("folds", [PIXELS, SKIPS], ids=["pixels", "skips"])
def test_all_outputs_pause_on_their_own(quantised: bool, folds: dict[str, Fold]) -> None:
    rng = np.random.default_rng(5)
    pauses = [random_pauses(rng, 6000, share, 60) for share in (0.2, 0.5, 0.3, 0.7, 0.1)]
    run(map_nets.design(quantised, **folds), pauses[0], np.stack(pauses[1:]))


@pytest.mark.parametrize("options", [
    pytest.param({"pauses": 0.3}, id="pauses"),
    pytest.param({"resets": 2, "pauses": 0.2}, id="resets"),
    pytest.param({"simulator": "cocotb"}, marks=pytest.mark.slow, id="cocotb"),
    pytest.param({"netlist": "ice40"}, marks=pytest.mark.slow, id="netlist"),
    pytest.param({"netlist": "ecp5", "plain": True}, marks=pytest.mark.slow, id="plain netlist"),
])  # fmt: skip
def test_in_every_simulator(options: dict[str, object], tmp_path: Path) -> None:
    emit.write(map_nets.design(False), tmp_path)
    design, contents = emit.read(tmp_path)
    outcome = verify(design, contents, tmp_path, map_nets.frames(design.network, 4), **options)
    assert outcome.passed, outcome.differences or outcome.edits
    assert outcome.classes.size == outcome.answers.size == 0


def test_a_wrong_bias_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the map that it is of, and in no other."""
    right = Bias.elaborate

    def wrong(core: Bias, platform: object) -> object:
        if core.spec.bias.shape == (2,):  # of the classes at stride 8
            core.spec.bias.setflags(write=True)
            core.spec.bias[1] += 1
        return right(core, platform)

    design = map_nets.design(True)
    frames = map_nets.frames(design.network, 2)
    words = golden_words(design, golden.run(design.network, frames).outputs)
    stimulus = make_stimulus(design, frames)
    expected = predict(design, stimulus, words)
    monkeypatch.setattr(Bias, "elaborate", wrong)
    top = Top(design)
    got = run_amaranth(top, top.boundaries, stimulus, top.outs, top.lasts)
    found = compare(expected, got, boundary_infos(design))
    assert [difference.boundary for difference in found] == ["cls8 conv"]
    assert found[0].elements[0].channel == 1


def test_host_sides_have_a_stream_for_every_map() -> None:
    """The ports of the AXI core; what a board tells of itself. A host that is told so has the names in this order."""
    design = map_nets.design(True)
    ports = AxiTop(design, 4).signature.members
    widths = {name: ports[f"m_axis_{name}_tdata"].shape for name in map_nets.HEADS}
    assert widths == dict.fromkeys(map_nets.HEADS, 16) and ports["m_axis_tdata"].shape == 32
    assert {f"m_axis_{name}_tuser" for name in map_nets.HEADS} < set(ports)
    told = Info.parse(LinkTop(design, 12e6, 1e6).spec.info)
    assert [(m.channels, m.height, m.width) for m in told.maps] == [
        design.network.signals[node.name].shape for node in design.network.maps]  # fmt: skip
    assert told.classes == 0 and {m.bytes for m in told.maps} == {2}
