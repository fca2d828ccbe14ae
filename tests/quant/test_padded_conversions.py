"""Models of normalised images with padding in their first layer: what stands around the image in integers is the pixel
that comes nearest to their 0, in every method, and the border of the first layer is as good as its inside."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spikeloom import api
from spikeloom.gen.design import Design
from spikeloom.gen.emit import writer as emit
from spikeloom.gen.folding.find import auto
from spikeloom.quant import golden
from spikeloom.quant.conversion.pixels import of_plain_pixels
from spikeloom.quant.conversion.reals import layers_of
from spikeloom.quant.frontends.layers import UnsupportedLayer, Weights
from spikeloom.quant.frontends.torch_fx.graph import read
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import Conv2d
from spikeloom.quant.methods.qcfs.algorithm import prepare
from spikeloom.quant.qat.integer_graph import IntegerGraph
from spikeloom.sim.verify import verify

SHAPE = (3, 8, 8)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NEAREST = [124, 116, 104]  # of 123.675, 116.28 and 103.53
INNER = np.s_[..., 1:-1, 1:-1]


class Cnn(nn.Module):
    """Two convolutions with padding, a pool, a linear layer; the image is normalised by the model or before it."""

    def __init__(self, own: bool = False) -> None:
        super().__init__()
        self.first, self.relu = nn.Conv2d(3, 8, 3, padding=1), nn.ReLU()
        self.second, self.act = nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.ReLU()
        self.fc, self.own = nn.Linear(128, 4), own

    def forward(self, x: Tensor) -> Tensor:
        x = normalised(x) if self.own else x
        return self.fc(self.act(self.second(self.relu(self.first(x)))).flatten(1))


def normalised(x: Tensor) -> Tensor:
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (MEAN, STD))
    return (x - mean) / std


def model(own: bool = False) -> Cnn:
    torch.manual_seed(3)
    return Cnn(own).eval()


def pixels(count: int = 48) -> np.ndarray:
    """Bright and dark images of large spots."""
    rng = np.random.default_rng(5)
    spots = rng.integers(0, 200, (count, 3, 2, 2)).repeat(4, 2).repeat(4, 3) + rng.integers(0, 56, (count, *SHAPE))
    return spots.astype(np.uint8)


def black(network: Network) -> Network:
    """The network with zeros around the image."""
    return Network(tuple(replace(n, pad=None) if isinstance(n, Conv2d) else n for n in network), network.steps)


def lost(network: Network, images: np.ndarray, part: Any) -> float:
    """Noise to signal of ``part`` of the first activation, as well as one number a channel can make it."""
    with torch.no_grad():
        found = model()
        want = found.relu(found.first(normalised(torch.from_numpy(images).float() / 255))).double().numpy()[part]
    got = golden.run(network, images)["relu"].astype(float)
    got = (got.sum(1) if got.ndim == 5 else got)[part]
    axes = tuple(k for k in range(got.ndim) if k != 1)
    scale = (want * got).sum(axes, keepdims=True) / np.maximum((got * got).sum(axes, keepdims=True), 1)
    return float(((got * scale - want) ** 2).sum() / (want**2).sum())


METHODS: dict[str, dict[str, Any]] = {
    "values": {},
    "lossless": dict(steps=15),
    "moved": dict(steps=7, weight_bits=4, reconstruct=1),
    "causal": dict(method="spiking", steps=16),
}


@pytest.mark.parametrize("method", METHODS)
def test_the_border_is_as_good_as_the_inside(method: str) -> None:
    images = pixels()
    made = api.convert(model(), calibrate=images, mean=MEAN, std=STD, **METHODS[method])
    network = made.network
    (first, second) = (node for node in network if isinstance(node, Conv2d))
    assert first.pad is not None and first.pad.tolist() == NEAREST and second.pad is None
    before, now = (lost(each, images, np.s_[:]) for each in (black(network), network))
    inside = lost(network, images, INNER)
    assert now < 1.3 * inside and now < before / 3, (before, now, inside)
    (note,) = (note for note in made.notes if "pads with" in note)
    if method == "causal":
        want = "pads with 124, 116, 104 in place of 123.675, 116.28, 103.53, the 0 of the model (0.47 off)"
        assert note == f"first: {want}"
    else:
        assert note.startswith("relu: pads with whole pixels in place of the mean of the images: ")
        assert 40 < float(note.split()[-5]) < 70


def test_a_model_that_normalises_is_the_same() -> None:
    images = pixels()
    made, own = (api.convert(m, calibrate=images, **more)
                 for m, more in ((model(), dict(mean=MEAN, std=STD)), (model(own=True), {})))  # fmt: skip
    assert [n.pad.tolist() for n in own.network if isinstance(n, Conv2d) and n.pad is not None] == [NEAREST]
    assert np.array_equal(golden.run(own.network, images)["relu"], golden.run(made.network, images)["relu"])


def test_a_mean_of_whole_pixels_loses_nothing() -> None:
    made = api.convert(model(), calibrate=pixels(), mean=(100 / 255, 1.0, 0.0), std=STD)
    (pad,) = (n.pad.tolist() for n in made.network if isinstance(n, Conv2d) and n.pad is not None)
    assert pad == [100, 255, 0] and not made.notes


def test_levels_and_training_compute_the_network() -> None:
    """With QCFS activations: the network, the graph that is trained, and the way back, to the last bit."""
    trained = prepare(model(), 4, threshold=2.0, shape=SHAPE).eval()
    layers, around = of_plain_pixels(read(trained, SHAPE).layers, SHAPE, MEAN, STD, 255)
    assert [each.pad for each in around] == [tuple(NEAREST)]
    network = api.convert(trained, shape=SHAPE, input_high=255, mean=MEAN, std=STD, weight_bits=5).network
    (first, _) = (node for node in network if isinstance(node, Conv2d))
    assert first.pad is not None and first.pad.tolist() == NEAREST
    images = pixels(12)
    want = golden.run(network, images).logits
    settings: dict[str, Any] = dict(input_high=255, steps=4, weight_bits=5, shape=SHAPE)
    for each in (layers, layers_of(network)):
        graph = IntegerGraph(each, rule="causal", **settings).eval()
        with torch.no_grad():
            got = graph(torch.from_numpy(images)).numpy()
        value = (got * want).sum() / (want * want).sum()
        assert np.allclose(got, want * value, rtol=1e-6), "the graph is not the network"
    bare = [replace(layer, pad=()) if isinstance(layer, Weights) else layer for layer in layers]
    assert not np.allclose(IntegerGraph(bare, rule="causal", **settings).eval()(torch.from_numpy(images)).detach(), got)


def test_a_pad_of_spikes_is_refused() -> None:
    trained = prepare(model(), 4, threshold=2.0, shape=SHAPE).eval()
    layers = copy.deepcopy(read(trained, SHAPE).layers)
    layers = [replace(layer, pad=(1.0,) * 8) if layer.name == "second" else layer for layer in layers]
    with pytest.raises(UnsupportedLayer, match="second: padding of spikes with another number than 0 is not supported"):
        IntegerGraph(layers, input_high=255, steps=4, weight_bits=5, shape=SHAPE)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["fpga", "asic"])
@pytest.mark.parametrize("method", ["values", "lossless"])
def test_in_emitted_verilog(method: str, target: Any, tmp_path: Path) -> None:
    """A converted model, with a fold that the search finds, pauses and resets."""
    images = pixels()
    network = api.convert(model(), calibrate=images, mean=MEAN, std=STD, **METHODS[method]).network
    design = Design(network, auto(network, 2000))
    contents = emit.write(design, tmp_path, target=target)
    run = verify(design, contents, tmp_path, images[:6], pauses=0.2, resets=((700, 1),))
    assert run.passed, str(run.differences[0])
