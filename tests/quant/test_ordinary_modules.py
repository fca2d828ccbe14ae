"""Modules as users write them: those that convert are exact in floats and near in integers, the others are refused by
name, rule and remedy."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import ordinary_blocks  # noqa: F401  its modules
import pytest
import torch
import torch.nn.functional as F
from ordinary_refused import MORE, REFUSED
from ordinary_styles import MODULES
from own_model import look_trained
from torch import Tensor, nn

from spikeloom import api
from spikeloom.quant import golden, reference
from spikeloom.quant.frontends.float_graph import FloatGraph
from spikeloom.quant.frontends.floats import results
from spikeloom.quant.frontends.layers import UnsupportedLayer
from spikeloom.quant.frontends.torch_fx.graph import read
from spikeloom.quant.ir.network import NetworkError

DECIBELS = 18.0
"""Signal to noise of the logits, beside their mean over the images, for frames that nothing was calibrated with."""

WORSE = {"SqueezeNet": 14.0}
"""Of those whose logits differ little from image to image, behind an activation of their own."""

FINAL = (lambda z: z, lambda z: z.softmax(1), lambda z: z.log_softmax(1), torch.sigmoid, F.logsigmoid)
"""What a module may make of its logits at its end, which changes no answer."""


def model(name: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return look_trained(MODULES[name][0]())


def pixels(shape: tuple[int, int, int], count: int, seed: int) -> np.ndarray:
    """Random images (count, C, H, W) of 0..255: flat areas of all brightnesses, and noise."""
    random = np.random.default_rng(seed)
    c, h, w = shape
    rough = random.integers(0, 256, (count, c, -(-h // 4), -(-w // 4))).repeat(4, 2).repeat(4, 3)[:, :, :h, :w]
    level = random.random((count, c, 1, 1))
    return (rough * level + random.integers(0, 80, (count, *shape)) * (1 - level)).clip(0, 255).astype(np.uint8)


def images(name: str, x: np.ndarray, graph: FloatGraph | None = None) -> Tensor:
    """Pixels as the module takes them, 0..1, without the row where it has one alone; or as its ``graph`` does."""
    found = torch.from_numpy(x).double() / 255
    if graph is None:
        return found[:, :, 0] if name == "KeywordSpotting" else found
    if graph.normalised is None:
        return found
    mean, std = (torch.tensor(a, dtype=torch.float64).view(-1, 1, 1) for a in graph.normalised)
    return (found - mean) / std


QUICK = ("TwoHeads", "RepVgg", "ShuffleNet", "SmallDarknet")


def marked(name: str) -> Any:
    """``name``, as a parameter of a test that is slow for most modules."""
    return name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)


@pytest.mark.parametrize("name", MODULES)
def test_the_float_graph_gives_what_the_module_gives(name: str) -> None:
    made, shape = model(name).double(), MODULES[name][1]
    graph, frames = read(made, shape), pixels(shape, 4, 1)
    with torch.no_grad():
        want = made(images(name, frames))
    *_, (_, logits) = results(graph.layers, images(name, frames, graph))
    assert want.std(0).max() > 1e-6, "a module that gives the same for all images tests nothing"
    apart = min((final(logits) - want).abs().max().item() for final in FINAL)
    assert apart <= 1e-9 * want.abs().max().item()


@pytest.mark.parametrize("name", [marked(name) for name in MODULES])
def test_it_converts(name: str) -> None:
    made, shape = model(name), MODULES[name][1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network = api.convert(made, calibrate=pixels(shape, 32, 2), method="ptq")
    frames = pixels(shape, 16, 3)
    found, other = golden.run(network, frames), reference.run(network, frames)
    for node in network:
        assert np.array_equal(found[node.name], other[node.name]), node.name
    graph = read(made, shape)
    *_, (_, floats) = results(graph.layers, images(name, frames, graph).float())
    assert decibels(found.logits, floats.numpy()) > WORSE.get(name, DECIBELS)


def decibels(logits: np.ndarray, floats: np.ndarray) -> float:
    """Signal to noise of ``logits`` in the unit that fits best, both (N, classes) beside their means over images."""
    logits, floats = (a - a.mean(0) for a in (logits, floats))
    unit = (logits * floats).sum() / max(1e-30, (logits * logits).sum())
    return float(10 * np.log10((floats**2).sum() / ((logits * unit - floats) ** 2).sum()))


def test_forty_of_which_thirty_seven_convert() -> None:
    assert len(MODULES) + len(REFUSED) == 40 and len(MODULES) == 37


@pytest.mark.parametrize("name", REFUSED | MORE)
def test_the_others_are_refused_by_layer_rule_and_remedy(name: str) -> None:
    kind, shape, pattern = (REFUSED | MORE)[name]
    with torch.random.fork_rng(), pytest.raises((UnsupportedLayer, NetworkError), match=pattern) as caught:
        torch.manual_seed(0)
        read(kind().eval(), shape)
    assert re.search(r"^[\w. ]+: .*supported: ", str(caught.value))
