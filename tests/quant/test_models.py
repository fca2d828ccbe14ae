"""Every model goes through QCFS: prepared, thresholds calibrated, converted to integers, and run once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spikeloom.quant import golden
from spikeloom.quant.conversion.integers import convert
from spikeloom.quant.ir.ops import Conv2d, Linear
from spikeloom.quant.methods.integernet import algorithm as integernet
from spikeloom.quant.methods.qcfs.algorithm import calibrate, prepare
from spikeloom.quant.models import build

CASES = [
    ("mlp", {"hidden": [32, 16]}, (1, 28, 28), 784 * 32 + 32 * 16 + 160),
    ("lenet5", {}, (1, 28, 28), 150 + 2400 + 400 * 120 + 120 * 84 + 840),
    ("lenet5", {}, (3, 32, 32), 450 + 2400 + 400 * 120 + 120 * 84 + 840),
    ("mnist_c", {}, (1, 28, 28), 24_464),
    ("vgg", {"width": 8}, (3, 32, 32), 9 * (3 * 8 + 8 * 16 + 16 * 32 + 32 * 32 + 32 * 64 + 3 * 64 * 64) + 640),
    ("vgg", {"blocks": [[32, 32], [64, 64]]}, (1, 28, 28), 96_160),
    ("resnet", {"depth": 20, "width": 8}, (3, 32, 32), None),
    ("resnet", {"depth": 32, "width": 4, "shortcut": "projection"}, (3, 32, 32), None),
    ("resnet", {"depth": 44, "width": 4}, (3, 32, 32), None),
    ("resnet", {"depth": 56, "width": 4}, (3, 32, 32), None),
]


@pytest.mark.parametrize(("name", "args", "shape", "weights"), CASES)
def test_models_become_networks(name: str, args: dict, shape: tuple[int, int, int], weights: int | None) -> None:
    torch.manual_seed(0)
    model = prepare(build(name, shape, 10, **args), 4)
    pixels = np.random.default_rng(0).integers(0, 256, (4, *shape))
    x = torch.from_numpy(pixels).float() / 255
    model.train()(x)
    calibrate(model, x)
    network = convert(model.eval(), shape=shape, input_high=255, steps=4, weight_bits=4, first_bits=8)
    assert golden.run(network, pixels.astype(np.uint8), keep=()).logits.shape == (4, 10)
    found = [n for n in network if isinstance(n, Conv2d | Linear)]
    assert weights is None or sum(n.weight.size for n in found) == weights
    if name == "resnet":
        assert len(found) == args["depth"] + (2 if "shortcut" in args else 0)


def test_a_convolution_in_every_shortcut_suits_integernet() -> None:
    model = build("resnet", (3, 32, 32), 10, depth=20, width=4, shortcut="convolution")
    net = integernet.prepare(model, 4, (3, 32, 32))
    assert net.train()(torch.randint(256, (4, 3, 32, 32))).shape == (4, 10)
    network = integernet.convert(net.eval(), shape=(3, 32, 32))
    assert sum(isinstance(n, Conv2d | Linear) for n in network) == 20 + 9


def test_vgg_of_the_paper_has_its_layers() -> None:
    for depth, last in ((11, 8), (13, 10), (16, 13), (19, 16)):
        names = [n for n, _ in build("vgg", (3, 32, 32), 10, depth=depth, width=2).named_children()]
        assert f"conv{last}" in names and f"conv{last + 1}" not in names and "pool5" in names


@pytest.mark.parametrize(
    ("name", "args", "shape", "message"),
    [
        ("vgg", {"depth": 12}, (3, 32, 32), "depth must be 11, 13, 16, 19, not 12"),
        ("vgg", {"pool": "sum"}, (3, 32, 32), "pool must be 'average' or 'max', not 'sum'"),
        ("vgg", {"width": 2}, (1, 28, 28), "pool5: nothing is left of an image of 28x28; use fewer blocks"),
        ("vgg", {"widht": 2}, (1, 32, 32), r"no argument 'widht' \(is 'width' meant\?\)"),
        ("mnist_c", {"width": 2}, (1, 32, 32), r"Model 'mnist_c' has no argument 'width'; it has none"),
        ("cnn", {"kernel": True}, (1, 8, 8), r"Model 'cnn': kernel must be an integer in 1\.\.65536, not True"),
        ("cnn", {"channels": 3}, (1, 8, 8), r"channels must be a list of up to 256, each an integer in 1\.\.65536"),
        ("vgg", {"blocks": [[2, -1]]}, (1, 8, 8), r"blocks must be a list of up to 256, each a list of up to 256"),
        ("resnet", {"depth": 6 * 10_000 + 2}, (1, 8, 8), r"depth must be 6n \+ 2 .*, at most 1202, not 60002"),
        ("lenet5", {}, (1, 8, 8), "nothing is left of an image of 8x8 after two 5x5 convolutions and pools"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, args: dict, shape: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(name, shape, 10, **args)
