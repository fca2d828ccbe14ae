"""A convolution that pads with a value for each channel: its equation, its rules, its file, what frames reach of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from double_nodes import evaluated
from golden_loops import Builder, compare, probe
from reach_loops import by_hand
from safetensors import safe_open

from spikeloom.quant import golden
from spikeloom.quant.analysis.possible import possible
from spikeloom.quant.analysis.reach import Reach
from spikeloom.quant.ir.netfile import load, save
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import Conv2d, Flatten, Linear, NetworkError, Readout, SumPool
from spikeloom.quant.ir.signal import Signal

SHAPE, HIGH = (4, 5, 4), 15
PAD = [7, 0, 15, 1]
GEOMETRIES: dict[str, dict[str, Any]] = {
    "even": dict(padding=1),
    "sides": dict(padding=(0, 2, 1, 0), stride=(2, 1)),
    "dilated": dict(padding=(3, 2, 1, 0), dilation=(2, 1), groups=2),
    "depthwise": dict(padding=2, groups=4),
}


def network(steps: int = 3, pad: Any = PAD, fire: str = "causal", pool: bool = False, **geometry: Any) -> Network:
    """A convolution of values that pads, neurons, and a linear layer."""
    b = Builder(1, SHAPE, HIGH)
    if pool:
        b.add(SumPool, kernel=2, stride=1)
    groups = geometry.get("groups", 1)
    b.add(Conv2d, weight=b.weights(4, 4 // groups, 3, 3), weight_bits=3, pad=pad, **geometry).fire(4, rule=fire)
    b.add(Flatten)
    b.add(Linear, weight=b.weights(3, probe(b, steps)), weight_bits=3)
    return b.add(Readout, bias=[0, 1, 2]).network(steps)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_golden_model_reference_and_loops_agree(geometry: str) -> None:
    made = network(**GEOMETRIES[geometry])
    result = compare(made, 3)
    node = made.nodes[1]
    x = result["in"].astype(np.int64)
    assert np.array_equal(node.reference([x], [False], 3), result[node.name])
    assert np.array_equal(evaluated(node, [torch.from_numpy(x).double()]).numpy(), result[node.name])
    zeros = golden.run(network(pad=None, **GEOMETRIES[geometry]), x)
    assert not np.array_equal(zeros[node.name], result[node.name]), "the pad shows"


def test_an_image_of_the_pad_sees_no_edge() -> None:
    """Around an image of the pad alone nothing can be told from the image."""
    made = network(padding=2)
    frame = np.broadcast_to(np.array(PAD)[:, None, None], (1, *SHAPE))
    assert all(len(np.unique(row)) == 1 for row in golden.run(made, frame)["Conv2d1"][0].reshape(4, -1))


def test_sums_of_pixels_are_padded_with_sums() -> None:
    compare(network(pool=True, pad=[60, 0, 30, 7], padding=1), 2)


def test_what_frames_reach() -> None:
    """A weight that meets the pad alone is tested by it, and a window that holds it is no zero window."""
    made = network(padding=(0, 2, 1, 0), stride=(2, 1))
    for frames in (np.zeros((2, *SHAPE), int), np.random.default_rng(0).integers(0, HIGH + 1, (3, *SHAPE))):
        result = golden.run(made, frames)
        found = Reach(made)
        found.add(result.outputs)
        want = by_hand(made, {n.name: result[n.name] for n in made}, set())
        node = found.nodes["Conv2d1"]
        for kind in ("inputs", "padding"):
            assert np.array_equal(node.branches[kind].seen, want["Conv2d1", kind]), kind
        assert list(node.windows) == want["Conv2d1", "windows"].tolist()
    assert want["Conv2d1", "windows"][0] == 0


def test_spans_hold_the_padding() -> None:
    """The lowest and the highest current of windows in the padding are within the range and the span."""
    made = network(pad=[15, 0, 0, 15], padding=2)
    for fill in (0, HIGH):
        got = golden.run(made, np.full((1, *SHAPE), fill))["Conv2d1"]
        signal, (low, high) = made.signals["Conv2d1"], possible(made).spans["Conv2d1"].always
        assert signal.low <= got.min() and got.max() <= signal.high
        assert (low <= got.min((0, 2, 3))).all() and (got.max((0, 2, 3)) <= high).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(pad=[1, 2]), r"c: pad must have a value for each of the 4 input channels, not shape \(2,\)"),
        (dict(pad=[[1, 2, 3, 4]]), r"not shape \(1, 4\)"),
        (dict(pad=[0, 0, 0, 16]), r"c: pad must be in 0\.\.15, the range of in, found 0\.\.16; clip it"),
        (dict(pad=[0, 0, 0, -1]), r"found -1\.\.0"),
        (dict(pad=[0.5, 0, 0, 0]), "c: pad holds fractions"),
        (dict(padding=0), "c: has pad, but padding = 0, .* leave one of them out"),
    ],
)
def test_what_no_input_could_have_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        conv = Conv2d(**{"name": "c", "source": "in", "weight": np.ones((2, 4, 2, 2)), "weight_bits": 2, "padding": 1,
                         "pad": PAD} | changes)  # fmt: skip
        conv.signal([Signal("values", SHAPE, False, 0, HIGH)], 2)


def test_spikes_have_none() -> None:
    b = Builder(1, SHAPE, HIGH)
    b.add(Conv2d, weight=b.weights(4, 4, 1, 1), weight_bits=3).fire(4)
    b.add(Conv2d, weight=b.weights(4, 4, 3, 3), weight_bits=3, padding=1, pad=[1, 0, 0, 0]).fire(4).add(Flatten)
    b.add(Linear, weight=b.weights(3, 80), weight_bits=3).add(Readout, bias=[0, 1, 2])
    with pytest.raises(NetworkError, match="Conv2d3: has pad, .* IF2 gives spikes, .* leave pad out"):
        b.network(2)


def test_files_keep_it_and_old_ones_stay(tmp_path: Path) -> None:
    made, plain = network(padding=1), network(pad=None, padding=1)
    zeros = network(pad=[0] * 4, padding=1)
    assert zeros.nodes[1] == plain.nodes[1] and zeros.hash == plain.hash != made.hash
    assert "Conv2d, pad" in made.summary() and "Conv2d, pad" not in plain.summary()
    for k, one in enumerate((made, plain)):
        save(one, tmp_path / f"{k}")
        again = load(tmp_path / f"{k}")
        assert again.nodes == one.nodes and again.hash == one.hash
    with safe_open(tmp_path / "1", framework="numpy") as file:
        assert "pad" not in json.dumps(json.loads(file.metadata()["spikeloom"])["nodes"]).replace("padding", "")
        assert "Conv2d1/pad" not in file.keys()  # noqa: SIM118
    with safe_open(tmp_path / "0", framework="numpy") as file:
        assert file.get_tensor("Conv2d1/pad").tolist() == PAD
