"""Numbers near the bounds of a network: what is allowed is exact, what is beyond is refused by name, nothing wraps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from golden_loops import compare, naive
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeloom.quant import golden
from spikeloom.quant.conversion.shift_norm import shift_batch_norm
from spikeloom.quant.ir.bounds import LARGEST, MOST_ELEMENTS
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
    Node,
    Readout,
    Requant,
    SumPool,
)

FIRE: dict[str, Any] = {"name": "fire", "source": "l", "threshold": [3], "bias": [0], "v0": [1]}


def spiking(steps: int = 4, weight: int = 1, high: int = 1, **fields: Any) -> Network:
    """One neuron between two linear layers."""
    return Network(
        (
            Input(name="in", shape=(1, 1, 1), high=high),
            Linear(name="l", source="in", weight=[[weight]], weight_bits=8),
            IF(**{**FIRE, **fields}),
            Linear(name="last", source="fire", weight=[[1]], weight_bits=2),
            Readout(name="out", source="last", bias=[0]),
        ),
        steps,
    )


def test_the_case_that_gave_a_wrong_count() -> None:
    with pytest.raises(NetworkError, match=r"^fire: threshold reaches 4,611,686,018,427,387,904, beyond \+-2\^48"):
        spiking(threshold=[1 << 62], bias=[1 << 62])


BAD_ARRAYS = {
    "threshold reaches 1,000,000,000,000,000,0": [1e300],
    "threshold reaches 9,223,372,036,854,775,808": np.array([1 << 63], np.uint64),
    "threshold reaches 18,446,744,073,709,551,615": np.array([(1 << 64) - 1], np.uint64),
    "threshold reaches 1,180,591,620,717,411,303,424": [1 << 70],
    "threshold reaches -1,180,591,620,717,411,303,424": [3, -(1 << 70)],
    "threshold reaches -9,223,372,036,854,775,808": [-(1 << 63)],
    "threshold reaches 281,474,976,710,657": [LARGEST + 1],
    "threshold holds NaN or infinity": [np.nan],
    "threshold holds NaN or infinity;": [-np.inf],
    "threshold holds fractions": [0.5],
    "threshold must be integers, not bool": [True],
    "threshold must be integers, not object": np.array([3, True], object),
    "threshold must be integers, not object;?": [None],
    "threshold must be integers, not <U1": ["3"],
    "threshold must be integers, not complex128": [3j],
    "threshold must be integers, not datetime64": np.array(["2001-01-01"], "datetime64[D]"),
    "threshold is no array of integers": [[1], [2, 3]],
    "threshold is no array of integers;?": torch.ones(1, requires_grad=True),
    "threshold, bias and v0 must have one value a channel": 3,
    "threshold, bias and v0 must have one value": [[3]],
    "threshold, bias and v0 must have": [],
}


@pytest.mark.parametrize("message", BAD_ARRAYS)
def test_an_array_of_anything_else_is_refused_by_name(message: str) -> None:
    with pytest.raises(NetworkError, match=f"^fire: {message}"):
        IF(**{**FIRE, "threshold": BAD_ARRAYS[message]})


@pytest.mark.parametrize(
    "make",
    [
        lambda x: Linear(name="n", weight=x, weight_bits=8),
        lambda x: Conv2d(name="n", weight=x, weight_bits=8),
        lambda x: Gain(name="n", gain=x),
        lambda x: IF(**{**FIRE, "name": "n", "bias": x}),
        lambda x: IF(**{**FIRE, "name": "n", "v0": x}),
        lambda x: Requant(name="n", bias=x, shift=[0], lo=0, hi=1),
        lambda x: Requant(name="n", bias=[0], shift=x, lo=0, hi=1),
        lambda x: Readout(name="n", bias=x),
    ],
)
def test_every_array_of_every_node_is_checked(make: Callable[[Any], Node]) -> None:
    rows = ([1 << 70], [1e300], np.array([1 << 63], np.uint64), [np.nan], [0.5], [True], ["3"], [None], 3, [], [[]])
    for value in rows:
        with pytest.raises(NetworkError, match=r"^n: \w"):
            make(value)


def test_whole_numbers_are_taken_in_whatever_form_they_come() -> None:
    wide = np.arange(12).reshape(3, 4)[::2, ::-1]
    assert not wide.flags.c_contiguous
    for value in (wide, wide.tolist(), wide.astype(np.uint64), wide.astype(float), np.array(wide.tolist(), object),
                  torch.tensor(wide.copy())):  # fmt: skip
        weight = Linear(name="n", weight=value, weight_bits=5).weight
        assert weight.dtype == np.int64 and weight.flags.c_contiguous and np.array_equal(weight, wide)
    assert IF(**{**FIRE, "bias": [-LARGEST], "v0": [float(LARGEST)]}).v0.tolist() == [LARGEST]


@pytest.mark.parametrize("value", [1.0, True, "1", None, [1], np.float64(1), np.True_, np.array([1]), 1 + 0j])
@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda v: Input(name="n", shape=(1, 1, 1), high=v), "high"),
        (lambda v: Input(name="n", shape=(1, v, 1), high=1), "shape"),
        (lambda v: Linear(name="n", weight=[[1]], weight_bits=v), "weight_bits"),
        (lambda v: Conv2d(name="n", weight=[[[[1]]]], weight_bits=2, stride=v), "stride"),
        (lambda v: Conv2d(name="n", weight=[[[[1]]]], weight_bits=2, padding=v), "padding"),
        (lambda v: Conv2d(name="n", weight=[[[[1]]]], weight_bits=2, groups=v), "groups"),
        (lambda v: Gain(name="n", gain=[1], stride=v), "stride"),
        (lambda v: Gain(name="n", gain=[1], offset=v), "offset"),
        (lambda v: Requant(name="n", bias=[0], shift=[0], lo=v, hi=1), "lo"),
        (lambda v: Requant(name="n", bias=[0], shift=[0], lo=0, hi=v), "hi"),
        (lambda v: SumPool(name="n", kernel=v, stride=1), "kernel"),
        (lambda v: MaxPool(name="n", kernel=1, stride=v), "stride"),
    ],
)
def test_single_numbers_are_integers(make: Callable[[Any], Node], what: str, value: Any) -> None:
    with pytest.raises(NetworkError, match=f"^n: {what} must be an integer, not "):
        make(value)


def test_numpy_integers_and_flags_are_taken() -> None:
    node = Conv2d(name="n", weight=[[[[1]]]], weight_bits=np.int8(2), stride=np.uint64(2))
    assert type(node.weight_bits) is int and type(node.stride) is int
    assert IF(**{**FIRE, "strict": np.True_}).strict is True
    assert Input(name="n", shape=np.array([1, 2, 3]), high=1).shape == (1, 2, 3)


@pytest.mark.parametrize("value", [1, 0, 1.0, "True", None, [True], np.array([True])])
def test_strict_is_true_or_false(value: Any) -> None:
    with pytest.raises(NetworkError, match="^fire: strict must be True or False, not "):
        IF(**{**FIRE, "strict": value})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Flatten(name=3), "A node: its name must be printable text of up to 255 characters, not 3"),
        (lambda: Flatten(name="a\nb"), r"A node: its name must be printable text of up to 255 characters, not 'a\\nb'"),
        (lambda: Flatten(name="\ud800"), "A node: its name must be printable text"),
        (lambda: Flatten(name="n", source=None), "n: source must be printable text of up to 255 characters, not None"),
        (lambda: Add(name="n", source="x", other=["y"]), "n: other must be printable text .*, not list"),
        (lambda: IF(**{**FIRE, "rule": np.array(["causal", "signed"])}), "fire: rule must be 'causal', 'lossless' or"),
        (lambda: Input(name="n", shape="123", high=1), r"n: shape must be three positive integers \(C, H, W\)"),
        (lambda: Input(name="n", shape=5, high=1), r"n: shape must be three positive integers \(C, H, W\)"),
        (lambda: Input(name="n", shape=(1, 1 << 40, 1 << 40), high=1), "n: has 1,208,925,819,614,629,174,706,176 pix"),
        (lambda: SumPool(name="n", kernel=1, stride=1 << 17), "n: stride must be at most 65,536, not 131,072"),
        (lambda: Network(spiking().nodes, True), r"The network: steps \(T\) must be an integer, not True"),
        (lambda: Network(spiking().nodes, 2.0), r"The network: steps \(T\) must be an integer, not 2\.0"),
        (lambda: Network(spiking().nodes, 65), r"steps \(T\) must be in 1\.\.64, not 65"),
        (lambda: Network(("in",), 2), "The nodes must be nodes of spikeloom.quant.ir.ops, not str"),
        (lambda: Network(spiking().nodes, 2, {"a": 1}), "meta must be a dict of texts by text"),
        (lambda: golden.run(spiking(), np.zeros((1, 1, 1, 1))), "in: frames must be integers in 0..1, not float64"),
        (lambda: golden.run(spiking(), [[1], [1, 2]]), "in: frames are no array of integers"),
        (lambda: golden.run(spiking(), np.full((1, 1, 1, 1), 1 << 63, np.uint64)), r"in: pixels must be in 0\.\.1"),
        (lambda: shift_batch_norm(np.array([1e30]), np.ones(1), 4, name="n"), "n: bias reaches 1,000,000,000,000"),
    ],
)
def test_other_fields_are_refused_by_name(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(NetworkError, match=f"^{message}"):
        make()


QUARTER = LARGEST // 4


@pytest.mark.parametrize(
    ("fields", "reach"),
    [
        ({"threshold": [QUARTER // 2], "bias": [QUARTER // 2 - 1], "v0": [0]}, 4 * (QUARTER - 1 + 1)),
        ({"threshold": [1], "bias": [-(QUARTER - 2)], "v0": [0]}, 4 * QUARTER),
        ({"threshold": [1], "bias": [0], "v0": [LARGEST - 8]}, LARGEST),
        ({"threshold": [1], "bias": [0], "v0": [8 - LARGEST]}, LARGEST),
        ({"threshold": [1], "bias": [0], "v0": [[[8 - LARGEST]]]}, LARGEST),
    ],
)
@pytest.mark.parametrize("rule", ["causal", "signed", "lossless"])
def test_neurons_reach_their_bound_and_not_beyond(fields: dict[str, Any], reach: int, rule: str) -> None:
    assert reach == LARGEST
    compare(spiking(**fields, rule=rule), 0)
    for key in fields:
        sign = -1 if np.min(fields[key]) < 0 else 1
        with pytest.raises(NetworkError, match=r"^fire: what its membrane can reach, .* in channel 0 reaches 281"):
            spiking(**{**fields, key: np.array(fields[key]) + sign}, rule=rule)


def quantised(bias: int, shift: int) -> Network:
    return Network(
        (
            Input(name="in", shape=(1, 1, 1), high=1),
            Linear(name="l", source="in", weight=[[1]], weight_bits=2),
            Requant(name="q", source="l", bias=[bias], shift=[shift], lo=-7, hi=7),
            Readout(name="out", source="q", bias=[0]),
        ),
        1,
    )


@pytest.mark.parametrize(("bias", "shift"), [(LARGEST - 1, 0), (1 - LARGEST, 30), ((LARGEST >> 8) - 1, -8)])
def test_quantisers_reach_their_bound_and_not_beyond(bias: int, shift: int) -> None:
    compare(quantised(bias, shift), 0)
    with pytest.raises(NetworkError, match=r"^q: what it shifts to the left, \|I\| \+ \|bias\|, in channel 0"):
        quantised(bias + (1 if bias > 0 else -1), shift)


def pools(count: int, size: int = 40) -> Network:
    """Pools of 2 x 2 in a row, each of which makes the range four times as large; then gains."""
    nodes: list[Node] = [Input(name="in", shape=(1, size, size), high=1)]
    for k in range(count):
        nodes.append(SumPool(name=f"p{k}", source=nodes[-1].name, kernel=2, stride=1))
    side = size - count
    nodes += [Flatten(name="f", source=nodes[-1].name),
              Linear(name="l", source="f", weight=np.eye(1, side * side, dtype=int), weight_bits=2),
              Readout(name="out", source="l", bias=[0])]  # fmt: skip
    return Network(tuple(nodes), 1)


def test_ranges_that_grow_from_node_to_node_are_followed_exactly() -> None:
    network = pools(24)
    assert network.signals["p23"].high == 4**24 == LARGEST
    assert golden.run(network, np.ones((1, 1, 40, 40), int)).logits.tolist() == [[LARGEST]]
    with pytest.raises(NetworkError, match=r"^p24: the range of its values reaches 1,125,899,906,842,624, beyond"):
        pools(25)
    with pytest.raises(NetworkError, match=r"^p24: the range of its values reaches 1,125,899,906,842,624, beyond"):
        pools(39)
    nodes = pools(20).nodes
    gain = Gain(name="g", source="p19", gain=[-(1 << 8)])
    quant = Requant(name="q", source="g", bias=[0], shift=[30], lo=-7, hi=7)
    end = (quant, Flatten(name="f", source="q"), *nodes[-2:])
    network = Network((*nodes[:-3], gain, *end), 1)
    assert network.signals["g"].low == -LARGEST
    with pytest.raises(NetworkError, match=r"^g: the range of its currents reaches -282,574,488,338,432, beyond"):
        Network((*nodes[:-3], Gain(name="g", source="p19", gain=[-257]), *end), 1)
    with pytest.raises(NetworkError, match=r"^g: the range of its currents reaches -72,056,494,526,300,160, beyond"):
        Network((*nodes[:-3], Gain(name="g", source="p19", gain=[-65535]), *end), 1)


def test_results_of_too_many_numbers_are_refused() -> None:
    side = 1 << 12
    assert 5 * side * side > MOST_ELEMENTS
    with pytest.raises(NetworkError, match=r"^c: gives 83,886,080 numbers a frame, supported: 67,108,864; cut the im"):
        Network(
            (
                Input(name="in", shape=(1, side, side), high=1),
                Conv2d(name="c", source="in", weight=np.ones((5, 1, 1, 1), int), weight_bits=2),
                Readout(name="out", source="c", bias=[0] * 5),
            ),
            1,
        )


def test_sums_over_time_and_logits_are_bounded() -> None:
    with pytest.raises(NetworkError, match=r"^out: the range of its logits reaches 281,474,976,710,660, beyond"):
        Network((*spiking().nodes[:-1], Readout(name="out", source="last", bias=[LARGEST])), 4)
    network = Network((*spiking(threshold=[1]).nodes[:-1], Readout(name="out", source="last", bias=[LARGEST - 4])), 4)
    result = golden.run(network, np.ones((1, 1, 1, 1), int))
    assert result.logits.tolist() == [[LARGEST]] and result.logits.dtype == np.int64
    assert golden.classes_over_time(network, result["last"]).tolist() == [[0] * 4]


def spikes_added(pools: int, steps: int) -> Network:
    """Spikes behind pools that lie over each other count as many times as there are ways to them."""
    nodes: list[Any] = [
        Input(name="in", shape=(1, pools + 2, pools + 2), high=1),
        Conv2d(name="c", source="in", weight=[[[[1]]]], weight_bits=2),
        IF(**{**FIRE, "source": "c", "threshold": [1], "v0": [0]}),
    ]
    for k in range(pools):
        nodes.append(SumPool(name=f"p{k}", source=nodes[-1].name, kernel=2, stride=1))
    nodes += [
        Flatten(name="f", source=nodes[-1].name),
        Linear(name="l", source="f", weight=[[1, 0, 0, 0]], weight_bits=2),
    ]
    return Network((*nodes, Readout(name="out", source="l", bias=[0])), steps)


def test_counts_beyond_32_bits_do_not_wrap() -> None:
    """2^30 in every step fit 32 bits, those of two steps do not."""
    result = golden.run(spikes_added(15, 2), np.ones((1, 1, 17, 17), int), keep=(), counts=["p14"])
    assert result.counts["p14"].tolist() == [[[[1 << 31] * 2] * 2]] and result.logits.tolist() == [[1 << 31]]


def test_sums_over_time_count_all_steps() -> None:
    assert spikes_added(23, 4).signals["p22"].high == LARGEST // 4
    with pytest.raises(NetworkError, match=r"^p22: the range of its spikes over all time steps reaches 351,8"):
        spikes_added(23, 5)


@st.composite
def extremes(draw: st.DrawFn) -> Network:
    """Two channels of neurons with numbers of all sizes up to their bound, or just above what 23, 24, 31 bits hold."""
    steps = draw(st.integers(1, 8))
    most = (LARGEST // (2 * steps) - 254) // 2
    sizes = [*range(1, 5), *((1 << n) + d for n in (22, 23, 24, 30, 31) for d in (-1, 0, 1)), most - 1, most]
    channel, sizes = st.tuples(*[st.sampled_from(sizes)] * 3), [n for n in sizes if n <= most]
    rows, signs = np.array([draw(channel) for _ in range(2)]).T, st.sampled_from([-1, 1])
    rows = np.minimum(rows, most)
    near = draw(st.booleans())  # spikes are rare where the numbers do not belong together
    threshold, bias = rows[0], rows[0] + draw(st.integers(-2, 2)) if near else rows[1] * draw(signs)
    return Network(
        (
            Input(name="in", shape=(2, 1, 1), high=draw(st.sampled_from([1, 2]))),
            Linear(name="l", source="in", weight=[[127, -1], [-3, 2]], weight_bits=8),
            IF(
                name="fire",
                source="l",
                threshold=threshold,
                bias=np.clip(bias, -most, most),
                v0=rows[2] * draw(signs),
                rule=draw(st.sampled_from(["causal", "signed", "lossless"])),
                strict=draw(st.booleans()),
            ),
            Linear(name="last", source="fire", weight=[[1, -2], [1, 1]], weight_bits=3),
            Readout(name="out", source="last", bias=[draw(st.sampled_from([0, -LARGEST + 64, LARGEST - 64])), 1]),
        ),
        steps,
    )


@settings(max_examples=150, deadline=None)
@given(extremes())
def test_the_golden_model_is_exact_up_to_the_bound(network: Network) -> None:
    high = network.input.high
    frames = np.array([[0, 0], [high, 0], [0, high], [high, high]]).reshape(-1, 2, 1, 1)
    whole, some = golden.run(network, frames), golden.run(network, frames, keep=(), counts=["fire"])
    for k, frame in enumerate(frames):
        want = naive(network, frame)
        assert all(np.array_equal(whole[name][k], want[name]) for name in want)
        assert np.array_equal(some.logits[k], want["out"])
        assert np.array_equal(some.counts["fire"][k], np.abs(want["fire"]).sum(0))
