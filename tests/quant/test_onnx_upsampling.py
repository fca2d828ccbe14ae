"""Resize and Upsample of ONNX in floats: against ONNX Runtime, and what is refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from spikeloom.quant.frontends.float_graph import FloatGraph
from spikeloom.quant.frontends.floats import results
from spikeloom.quant.frontends.layers import Repeated, UnsupportedLayer
from spikeloom.quant.frontends.onnx import Onnx

pytest.importorskip("onnx", reason="the extra 'onnx' is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime, the oracle, is not installed")

from onnx_graphs import Built, floats, pixels, runtime

RNG = np.random.default_rng(0)
SCALES, NONE = np.array([1, 1, 2, 3], np.float32), np.zeros(0, np.float32)
Form = tuple[int, Callable[[Built, str], str]]


def resize(*inputs: Any, opset: int = 13, **attributes: Any) -> Form:
    return opset, lambda b, x: b.op("Resize", x, *inputs, **attributes)


def convention(place: str, nearest: str = "round_prefer_floor", opset: int = 13) -> Form:
    return resize(NONE, SCALES, opset=opset, coordinate_transformation_mode=place, nearest_mode=nearest)


FORMS: dict[str, Form] = {
    "Upsample with an attribute": (7, lambda b, x: b.op("Upsample", x, scales=[1.0, 1.0, 2.0, 3.0])),
    "Upsample": (9, lambda b, x: b.op("Upsample", x, SCALES)),
    "Resize of opset 10": resize(SCALES, opset=10),
    "as PyTorch exports it": convention("asymmetric", "floor"),
    "as it is by default": resize(NONE, SCALES),
    "half a pixel, up": convention("half_pixel", "round_prefer_ceil"),
    "half a pixel of PyTorch": convention("pytorch_half_pixel"),
    "half a pixel of TensorFlow": convention("tf_half_pixel_for_nn", "floor", 11),
    "sizes": resize("", "", np.array([1, 3, 10, 18]), opset=19),
    "sizes of two axes": resize("", "", np.array([10, 18]), opset=18, axes=[2, 3]),
}


def saved(folder: Path, form: Form) -> Path:
    opset, build = form
    built = Built(1, 2, 5, 6, opset=opset)
    x = built.op("Relu", built.op("Conv", "x", RNG.normal(size=(3, 2, 3, 3)), pads=[1] * 4))
    x = built.op("Relu", built.op("Conv", build(built, x), RNG.normal(size=(4, 3, 3, 3)), strides=[2, 2]))
    x = built.op("Gemm", built.op("Flatten", built.op("GlobalAveragePool", x)), RNG.normal(size=(4, 10)), np.zeros(10))
    return built.save(folder, x)


@pytest.mark.parametrize("name", FORMS)
def test_against_onnx_runtime(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path, FORMS[name])
    graph = Onnx().read(path)
    assert isinstance(graph, FloatGraph)
    (layer,) = (layer for layer in graph.layers if isinstance(layer, Repeated))
    assert layer.factor == (2, 3)
    images = floats(pixels((1, 2, 5, 6)))
    *_, (_, logits) = results(graph.layers, torch.from_numpy(images))
    np.testing.assert_allclose(logits.numpy(), runtime(path, images), rtol=1e-4, atol=1e-5)


REFUSED: dict[str, tuple[Form, str]] = {
    "linear": (resize(NONE, SCALES, mode="linear"), "with mode='linear'"),
    "a fraction": (resize(NONE, np.array([1, 1, 1.5, 2], np.float32)), "of a map of 3x5x6 by 1, 1, 1.5, 2"),
    "smaller": (resize(NONE, np.array([1, 1, 0.5, 1], np.float32)), "of a map of 3x5x6 by 1, 1, 0.5, 1"),
    "channels": (resize(NONE, np.array([1, 2, 2, 2], np.float32)), "of a map of 3x5x6 by 1, 2, 2, 2"),
    "an odd size": (resize("", "", np.array([1, 3, 11, 18])), "of a map of 3x5x6 by 1, 1, 2.2, 3"),
    "corners": (convention("align_corners"), "with coordinate_transformation_mode='align_corners', nearest_mode="),
    "the next one": (convention("asymmetric", "ceil"), "with coordinate_.*='asymmetric', nearest_mode='ceil'"),
    "asymmetric, rounded": (convention("asymmetric"), "with coordinate_.*='asymmetric', nearest_mode="),
    "a crop": (convention("tf_crop_and_resize"), "with coordinate_transformation_mode='tf_crop_and_resize'"),
    "a policy": (resize("", "", np.array([10, 18]), opset=18, axes=[2, 3], keep_aspect_ratio_policy="not_larger"),
                 "with keep_aspect_ratio_policy"),
    "of the image": ((13, lambda b, x: b.op("Resize", x, NONE, b.op("GlobalAveragePool", x))),
                     "to a size that depends on the image, or without scales"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_exact_is_refused(tmp_path: Path, name: str) -> None:
    form, what = REFUSED[name]
    with pytest.raises(UnsupportedLayer, match=rf"^Resize\d: Resize {what}.* is not supported; supported: \w+"):
        Onnx().read(saved(tmp_path, form))


def test_what_pytorch_exports(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Upsample(scale_factor=2), nn.Conv2d(3, 2, 1)).eval()
    x = torch.rand(1, 2, 6, 7)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (x,), str(tmp_path / "net.onnx"), dynamo=False, verbose=False)
    graph = Onnx().read(tmp_path / "net.onnx")
    assert isinstance(graph, FloatGraph) and graph.maps
    *_, (_, found) = results(graph.layers, x)
    assert torch.allclose(found.view(1, 2, 8, 10), net(x), atol=1e-5)
