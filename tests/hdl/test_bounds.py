"""Cores at the bounds of their numbers: the widest values are exact in models and RTL, wider ones are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spikeloom.gen.design import Design, Top
from spikeloom.gen.folding.fold import Fold
from spikeloom.hdl.bounds import LARGEST
from spikeloom.hdl.cores.initial.spec import InitialSpec
from spikeloom.hdl.cores.merge.spec import MergeSpec
from spikeloom.hdl.cores.neuron.spec import NeuronSpec
from spikeloom.hdl.cores.pool.spec import PoolSpec
from spikeloom.hdl.cores.readout.spec import ReadoutSpec
from spikeloom.hdl.cores.requant.spec import RequantSpec
from spikeloom.hdl.cores.synapse.spec import SynapseSpec
from spikeloom.hdl.streams.words import WordFormat
from spikeloom.quant import golden
from spikeloom.quant.ir import bounds
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Conv2d, Flatten, Input, Linear, Readout, Requant
from spikeloom.sim.compare import compare
from spikeloom.sim.predict import boundary_infos, golden_words, make_stimulus, predict
from spikeloom.sim.simulators.amaranth_sim import run_amaranth

FORM = WordFormat(1, 1, -8, 7)
RANGES = np.array([[-8, 7]])
ONE, ZERO = np.array([1]), np.array([0])


def synapse(**fields: Any) -> SynapseSpec:
    base: dict[str, Any] = dict(weight=np.array([[[1]]]), weight_bits=8, i_format=FORM, outputs=1, steps=1,
                                sum_time=False, start=ZERO)  # fmt: skip
    return SynapseSpec(**base | fields)


def neurons(**fields: Any) -> NeuronSpec:
    base: dict[str, Any] = dict(threshold=ONE, bias=ZERO, v0=ZERO, rule="causal", strict=False, time_steps=4,
                                i_format=FORM, ranges=RANGES, constant=True)  # fmt: skip
    return NeuronSpec(**base | fields)


def quantiser(**fields: Any) -> RequantSpec:
    return RequantSpec(**dict(bias=ZERO, shift=ZERO, lo=-7, hi=7, i_format=FORM, ranges=RANGES) | fields)


def readout(**fields: Any) -> ReadoutSpec:
    return ReadoutSpec(**dict(bias=ZERO, i_format=FORM, ranges=RANGES) | fields)


def merge(**fields: Any) -> MergeSpec:
    base: dict[str, Any] = dict(gain=ONE, first=0, channels=1, shortcut_format=FORM, i_format=FORM, scans=1,
                                result_words=1, ranges=RANGES, depth=4)  # fmt: skip
    return MergeSpec(**base | fields)


def initial(**fields: Any) -> InitialSpec:
    return InitialSpec(**dict(offset=np.array([[1], [2]]), i_format=FORM, ranges=RANGES) | fields)


def wide(value: int) -> np.ndarray:
    return np.array([value])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WordFormat(1, 1, 0, LARGEST + 1), "A range must stay within .*, not reach 4,503,599,627,370,497"),
        (lambda: WordFormat(1, 1, -LARGEST - 1, 0), "A range must stay within"),
        (lambda: PoolSpec(kind="sum", words=2, i_format=WordFormat(1, 1, 0, LARGEST)), "A range must stay within"),
        (lambda: synapse(weight=np.array([[[1 << 62]]])), r"Weight must stay within \+-2\^52"),
        (lambda: synapse(weight=np.array([[[129]]])), "Weights reach 129, more than weight_bits=8 hold"),
        (lambda: synapse(i_format=WordFormat(1, 1, 0, LARGEST), weight=np.array([[[2]]])), "An accumulator must stay"),
        (lambda: synapse(start=wide(LARGEST)), "An accumulator must stay"),
        (lambda: neurons(threshold=wide(1 << 62)), "threshold must stay within"),
        (lambda: neurons(threshold=wide(LARGEST // 4)), "A membrane must stay within"),
        (lambda: neurons(bias=wide(-LARGEST // 4)), "A membrane must stay within"),
        (lambda: neurons(v0=wide(LARGEST - 30)), "A membrane must stay within"),
        (lambda: neurons(ranges=np.array([[-LARGEST // 4, 0]])), "A membrane must stay within"),
        (lambda: neurons(initial=np.array([[0, LARGEST]])), "A membrane must stay within"),
        (lambda: neurons(time_steps=65), r"Neurons take 1\.\.64 steps and a rule, not 65"),
        (lambda: quantiser(shift=wide(31)), r"Shifts must be in -8\.\.30, found 31\.\.31"),
        (lambda: quantiser(shift=wide(-8), bias=wide(LARGEST >> 8)), "A shifted value must stay within"),
        (lambda: quantiser(bias=wide(LARGEST)), "A shifted value must stay within"),
        (lambda: readout(bias=wide(LARGEST)), "A logit must stay within"),
        (lambda: merge(gain=wide(LARGEST)), "A sum must stay within"),
        (lambda: initial(offset=np.array([[LARGEST]])), "A sum must stay within"),
        (lambda: initial(ranges=RANGES * (LARGEST // 16), times=3), "A sum must stay within"),
    ],
)
def test_wider_numbers_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        make()


@pytest.mark.parametrize("array", [np.array([0.5]), np.array([True]), np.array([1], object), [1], np.array(["1"])])
@pytest.mark.parametrize(
    "make",
    [
        lambda x: synapse(start=x),
        lambda x: neurons(threshold=x),
        lambda x: neurons(bias=x),
        lambda x: neurons(v0=x),
        lambda x: quantiser(bias=x),
        lambda x: quantiser(shift=x),
        lambda x: readout(bias=x),
        lambda x: merge(gain=x),
        lambda x: initial(offset=x),
    ],
)
def test_arrays_of_specs_are_integers(make: Callable[[Any], Any], array: Any) -> None:
    with pytest.raises(TypeError, match="must be a numpy array of integers, not "):
        make(array)


@pytest.mark.parametrize("spec", [synapse(), neurons(), quantiser(), readout(), merge(), initial(),
                                  PoolSpec(kind="max", words=1, i_format=FORM)])  # fmt: skip
def test_models_refuse_words_of_no_integers_and_out_of_range(spec: Any) -> None:
    def compute(x: np.ndarray) -> Any:
        return spec.compute(x, x) if isinstance(spec, MergeSpec) else spec.compute(x)

    compute(np.array([-8, 7]).reshape(2, 1, 1))
    for bad in (-9, 8):
        with pytest.raises(ValueError, match=r"Elements must be in -8\.\.7, found"):
            compute(np.array([0, bad]).reshape(2, 1, 1))
    with pytest.raises(TypeError, match="Elements must be integers, not float64"):
        compute(np.zeros((2, 1, 1)))


def test_a_merge_looks_at_both_of_its_streams() -> None:
    good, bad = np.zeros((2, 1, 1), int), np.full((2, 1, 1), 8)
    for pair in ((good, bad), (bad, good)):
        with pytest.raises(ValueError, match=r"Elements must be in -8\.\.7, found 8\.\.8"):
            merge().compute(*pair)


def test_cores_have_room_for_every_network() -> None:
    """Of a membrane at its bound the generator makes an offset of twice the size and a level beside it."""
    assert 8 * bounds.LARGEST <= LARGEST < 1 << 53


EDGE = bounds.LARGEST
SIXTEENTH = EDGE // 16


def network(rule: str, strict: bool, single: bool) -> Network:
    """Neurons at the bound for T = 4: biases near and far from the threshold, membranes of channels or of neurons."""
    weight = np.array([[127, -128, 1], [1, 1, 1], [-128, -128, 127]]).reshape(3, 3, 1, 1)
    v0 = np.array([[3, -3], [-2, 3], [0, 0]]) * SIXTEENTH
    return Network(
        (
            Input(name="in", shape=(3, 1, 2), high=255),
            Conv2d(name="l", source="in", weight=weight, weight_bits=8),
            IF(
                name="fire",
                source="l",
                threshold=[2 * SIXTEENTH, 2 * SIXTEENTH - 3, 1],
                bias=[SIXTEENTH, SIXTEENTH - 300, -SIXTEENTH],
                v0=v0.reshape(3, 1, 2) if single else v0[:, 0],
                rule=rule,
                strict=strict,
            ),
            Flatten(name="flat", source="fire"),
            Linear(name="last", source="flat", weight=[[1, -2, 1] * 2, [3, -1, -4] * 2], weight_bits=3),
            Readout(name="out", source="last", bias=[EDGE - 128, 128 - EDGE]),
        ),
        4,
    )


def quantised() -> Network:
    """Quantisers at the bound, to the left and to the right."""
    most = (EDGE >> 8) - 2 * 255 * 128
    return Network(
        (
            Input(name="in", shape=(2, 1, 1), high=255),
            Linear(name="l", source="in", weight=[[127, -128], [1, -1], [-128, -128]], weight_bits=8),
            Requant(name="q", source="l", bias=[most, -EDGE + (1 << 17), 7], shift=[-8, 30, -8], lo=-128, hi=127),
            Flatten(name="flat", source="q"),
            Linear(name="last", source="flat", weight=[[1, -2, 1], [3, -1, -4]], weight_bits=3),
            Readout(name="out", source="last", bias=[EDGE - 4096, 4096 - EDGE]),
        ),
        1,
    )


def check(network: Network) -> golden.Result:
    """Golden model, models of the cores and RTL agree in every word and every cycle."""
    c, h, w = network.input.shape
    n = c * h * w
    frames = np.array([[0] * n, [255] * n, [255, *[0] * (n - 1)], [*[0] * (n - 1), 255]]).reshape(-1, c, h, w)
    design = Design(network, {"l": Fold(1, 1, 1), "last": Fold(1, 1, 1)})
    found = golden.run(network, frames)
    words = golden_words(design, found.outputs)
    models = design.compute(frames)
    for name, expected in words.items():
        assert np.array_equal(models[name], expected), f"{name}: core models differ from the golden model"
    stimulus, top = make_stimulus(design, frames), Top(design)
    got = run_amaranth(top, top.boundaries, stimulus, top.outs)
    differences = compare(predict(design, stimulus, words), got, boundary_infos(design), stimulus.resets)
    assert not differences, "\n".join(map(str, differences))
    return found


@pytest.mark.parametrize(("rule", "strict"), [("causal", False), ("signed", True), ("lossless", False)])
@pytest.mark.parametrize("single", [False, True])
def test_the_widest_neurons_are_exact_in_rtl(rule: str, strict: bool, single: bool) -> None:
    found = check(network(rule, strict, single))
    assert np.abs(found.logits).max() > EDGE - 256 and 0 < np.abs(found["fire"]).mean() < 1


def test_the_widest_quantisers_are_exact_in_rtl() -> None:
    assert np.abs(check(quantised()).logits).max() > EDGE - 8192
