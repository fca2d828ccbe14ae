"""Classifiers of torchvision, with random weights, at 64 x 64: the float graph gives what the model gives, and every
node of the integer network what float64 arithmetic gives.

torchvision is no package of this project: its builds go with one build of PyTorch each, and beside another one the
operators that it compiles do not load. These tests declare two of them, which no classifier calls.
"""

from __future__ import annotations

import importlib.util
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from double_nodes import evaluated
from torch import Tensor, nn

from spikeloom import api
from spikeloom.quant import golden
from spikeloom.quant.frontends.floats import results
from spikeloom.quant.frontends.layers import UnsupportedLayer
from spikeloom.quant.frontends.torch_fx.graph import read

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("torchvision") is None,
        reason="needs torchvision of the same release as torch: pip install --no-deps torchvision",
    ),
]

SHAPE = (3, 64, 64)
SETTINGS: dict[str, dict[str, Any]] = {
    "alexnet": {}, "vgg11": {}, "vgg11_bn": {}, "vgg16": {}, "resnet18": {}, "resnet50": {}, "squeezenet1_0": {},
    "mobilenet_v2": {}, "shufflenet_v2_x1_0": {}, "densenet121": {},
    "googlenet": {"init_weights": False, "aux_logits": False},
}  # fmt: skip


def model(name: str, **settings: Any) -> nn.Module:
    """A model of torchvision with 10 classes and statistics of batch norm that are not those of before a training."""
    for operator in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, operator):
            torch.library.define(
                f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            )
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchvision import models  # type: ignore[import-not-found]

        torch.manual_seed(0)
        made: nn.Module = getattr(models, name)(weights=None, num_classes=10, **settings)
        for module in made.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None and module.running_var is not None
                module.running_mean.uniform_(-0.1, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return made.eval()


def pixels(count: int, seed: int) -> np.ndarray:
    """Random images (count, 3, 64, 64) of 0..255, of flat areas and noise."""
    random = np.random.default_rng(seed)
    rough = random.integers(0, 200, (count, 3, 8, 8)).repeat(8, 2).repeat(8, 3)
    return (rough + random.integers(0, 56, rough.shape)).astype(np.uint8)


@pytest.mark.parametrize("name", SETTINGS)
def test_converts_and_every_node_is_exact(name: str) -> None:
    made, frames = model(name, **SETTINGS[name]), pixels(2, 1)
    graph = read(made, SHAPE)
    images = torch.from_numpy(frames).float() / 255
    *_, (_, floats) = results(graph.layers, normalised(images, graph.normalised))
    with torch.no_grad():
        want = made(images)
    assert torch.allclose(floats, want, rtol=0, atol=1e-4 * want.abs().max().item())
    network = api.convert(made, calibrate=pixels(8, 2), method="ptq")
    for node, got, expected in nodes(network, frames):
        assert torch.equal(got, expected), node
    logits = golden.run(network, frames, keep=()).logits
    assert logits.shape == (2, 10) and len(np.unique(logits)) > 1


def normalised(images: Tensor, by: Any) -> Tensor:
    if by is None:
        return images
    mean, std = (torch.tensor(a).view(-1, 1, 1) for a in by)
    return (images - mean) / std


def nodes(network: Any, frames: np.ndarray) -> Any:
    """The name of every node, what the golden model gives, and what float64 gives for what the golden model gives
    before it."""
    found = golden.run(network, frames)
    for node in network:
        before = [torch.from_numpy(found[source]).double() for source in node.sources]
        got = torch.from_numpy(found[node.name]).double()
        expected = evaluated(node, before or [torch.from_numpy(frames).double()])
        yield node.name, got, expected.view(got.shape)


def test_what_cannot_convert_is_refused_by_name() -> None:
    """Squeeze and excitation multiplies two results."""
    with pytest.raises(UnsupportedLayer, match=r"^features.*: a product of two results.* not supported; supported: "):
        read(model("efficientnet_b0"), SHAPE)
