"""Files of ONNX that give maps: what lays them out for a reader is cut off and said, and nothing else is."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import spikeloom
from examples.face_detector.net import STRIDES, Slim
from spikeloom.quant import golden
from spikeloom.quant.frontends.float_graph import FloatGraph
from spikeloom.quant.frontends.floats import results
from spikeloom.quant.frontends.layers import UnsupportedLayer

onnx = pytest.importorskip("onnx", reason="the extra 'onnx' is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime, the oracle, is not installed")

from onnx import TensorProto, helper  # noqa: E402
from onnx_graphs import Built, floats, outputs, pixels  # noqa: E402

from spikeloom.quant.frontends.onnx import Onnx  # noqa: E402

RNG = np.random.default_rng(4)


def head(built: Built, x: str, channels: int, name: str) -> str:
    return built.op("Conv", x, RNG.normal(size=(channels, 4, 1, 1)), name=name)


def features(built: Built) -> str:
    return built.op("Relu", built.op("Conv", "x", RNG.normal(size=(4, 1, 3, 3)), name="first"), name="act")


def saved(built: Built, folder: Path, **ranks: int) -> Path:
    """The file with outputs of so many dimensions; their sizes are left open."""
    model = built.model(next(iter(ranks)))
    del model.graph.output[:]
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * rank)
                              for name, rank in ranks.items())  # fmt: skip
    onnx.save(model, folder / "net.onnx")
    return folder / "net.onnx"


def table(built: Built, x: str, size: int) -> str:
    """A map as rows of ``size`` numbers, as exporters write it: the batch is asked of the map."""
    x = built.op("Transpose", x, perm=[0, 2, 3, 1])
    batch = built.op("Gather", built.op("Shape", x), np.array(0))
    sizes = [built.op("Unsqueeze", n, np.array([0])) for n in (batch, np.array(-1), np.array(size))]
    return built.op("Reshape", x, built.op("Concat", *sizes, axis=0))


def detector(built: Built) -> tuple[str, str]:
    """Two heads of scores and one of boxes, in tables."""
    x = features(built)
    scores = [table(built, head(built, x, 4, f"scores{k}"), 2) for k in range(2)]
    boxes = table(built, head(built, x, 8, "boxes"), 4)
    return built.op("Softmax", built.op("Concat", *scores, axis=1), axis=2), boxes


def read(path: Path, shape: tuple[int, int, int] | None = None) -> FloatGraph:
    found = Onnx().read(path, shape)
    assert isinstance(found, FloatGraph)
    return found


def rows(x: Tensor, size: int) -> Tensor:
    return x.permute(0, 2, 3, 1).reshape(len(x), -1, size)


def test_tables_are_cut_and_said(tmp_path: Path) -> None:
    """What stands before them gives, laid out again, what the file gives."""
    built = Built(1, 1, 6, 7)
    scores, boxes = detector(built)
    path = saved(built, tmp_path, **{scores: 3, boxes: 3})
    graph, images = read(path), floats(pixels((1, 1, 6, 7)))
    assert graph.maps == ("scores0", "scores1", "boxes")
    assert graph.cut == (f"{scores} is Transpose (2), Reshape (2), Concat, Softmax of scores0, scores1",
                         f"{boxes} is Transpose, Reshape of boxes")  # fmt: skip
    found = {layer.name: x for layer, x in results(graph.layers, torch.from_numpy(images))}
    wanted = outputs(path, images)
    ours = torch.cat([rows(found["scores0"], 2), rows(found["scores1"], 2)], 1).softmax(2)
    np.testing.assert_allclose(ours, wanted[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(rows(found["boxes"], 4), wanted[1], rtol=1e-4, atol=1e-5)


def test_what_is_cut_is_in_the_file_and_in_the_notes(tmp_path: Path) -> None:
    built = Built(1, 1, 6, 7)
    scores, boxes = detector(built)
    images = pixels((20, 1, 6, 7)).astype(np.uint8)
    made = spikeloom.convert(saved(built, tmp_path, **{scores: 3, boxes: 3}), calibrate=images)
    said = f"{scores} is Transpose (2), Reshape (2), Concat, Softmax of scores0, scores1"
    assert made.network.meta["cut"] == f"{said}; {boxes} is Transpose, Reshape of boxes"
    assert any(note == f"left out, for who reads the maps: {said}" for note in made.notes)
    unit = json.loads(made.network.meta["units"])["boxes"]
    ours = unit * golden.run(made.network, images[:1].astype(int), keep=())["boxes"]
    wanted = outputs(tmp_path / "net.onnx", floats(images[:1]))[1]
    assert np.square(ours.transpose(0, 2, 3, 1).reshape(1, -1, 4) - wanted).sum() < 1e-3 * np.square(wanted).sum()


@pytest.mark.parametrize("tail", ["", "Softmax", "Sigmoid", "Identity"])
def test_one_map(tmp_path: Path, tail: str) -> None:
    built = Built(1, 1, 6, 7)
    x = head(built, features(built), 3, "classes")
    x = built.op(tail, x, **({"axis": 1} if tail == "Softmax" else {})) if tail else x
    graph = read(saved(built, tmp_path, **{x: 4}))
    assert graph.maps == ("classes",) and graph.cut == ((f"{x} is {tail} of classes",) if tail else ())


def test_a_map_that_the_network_takes_too_and_two_of_one_table(tmp_path: Path) -> None:
    built = Built(1, 1, 6, 7)
    x = features(built)
    y = built.op("Relu", head(built, x, 4, "inner"), name="after")
    last = head(built, y, 2, "last")
    joined = built.op("Concat", y, last, axis=1)
    graph = read(saved(built, tmp_path, **{joined: 4, y: 4}))
    assert graph.maps == ("after", "last")
    images = floats(pixels((1, 1, 6, 7)))
    found = list(results(graph.layers, torch.from_numpy(images)))[-1][1]
    wanted = outputs(tmp_path / "net.onnx", images)
    order = {"after": wanted[1], "last": wanted[0][:, 4:]}
    ours = np.concatenate([order[name].reshape(1, -1) for name in graph.maps], 1)
    np.testing.assert_allclose(found, ours, rtol=1e-4, atol=1e-5)


def test_one_vector_of_classes_is_as_before(tmp_path: Path) -> None:
    built = Built(1, 1, 6, 7)
    x = built.op("Softmax", built.op("Gemm", built.op("Flatten", features(built)), RNG.normal(size=(80, 5))))
    graph = read(built.save(tmp_path, x, 5))
    assert graph.classes == 5 and not graph.maps and not graph.cut


def scaled(b: Built, x: str) -> str:
    return b.op("Mul", b.op("Softmax", x, axis=1), np.float32(2))


REFUSED: dict[str, tuple[Callable[[Built, str], str], str]] = {
    "behind a softmax": (scaled, r"^Softmax4: Softmax over axis 1 of 4 dimensions, or before other nodes"),
    "in the middle": (lambda b, x: b.op("Conv", b.op("Transpose", x, perm=[0, 1, 3, 2]), RNG.normal(size=(2, 3, 1, 1))),
                      r"^Transpose4: Transpose is not supported"),
    "a constant beside": (lambda b, x: b.op("Concat", x, np.zeros((1, 1, 4, 5), np.float32), axis=1),
                          r"^Concat4: Concat"),
    "a shape of numbers": (lambda b, x: b.op("Reshape", x, b.op("Cast", b.op("ReduceMax", x), to=7)),
                           r"^ReduceMax4: ReduceMax is not supported"),
    "the image": (lambda b, x: b.op("Identity", "x"), r"^out4: an output that no layer gives"),
    "argmax": (lambda b, x: b.op("ArgMax", x, axis=1), r"^ArgMax4: ArgMax over axis 1"),
    "another domain": (lambda b, x: b.op("Concat", x, x, axis=1, domain="com.x"), "of the domain 'com.x'"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_everything_else_is_refused(tmp_path: Path, name: str) -> None:
    build, message = REFUSED[name]
    built = Built(1, 1, 6, 7)
    x, other = features(built), ""
    x, other = head(built, x, 3, "one"), head(built, x, 2, "other")
    path = saved(built, tmp_path, **{build(built, x): 4, other: 4})
    with pytest.raises(UnsupportedLayer, match=message):
        Onnx().read(path)


def test_integers_have_one_output(tmp_path: Path) -> None:
    built = Built(1, 1, 3, 4)
    x = built.op("Flatten", built.quant("x", 4, 1 / 16, signed=0))
    x = built.op("MatMul", x, built.quant(RNG.normal(size=(12, 6)), 4, 0.25))
    again = built.op("Identity", x)
    with pytest.raises(UnsupportedLayer, match=rf"outputs {x}, {again} of a file of integers are not supported"):
        Onnx().read(saved(built, tmp_path, **{x: 2, again: 2}))


def test_nodes_without_names_are_called_after_their_weights(tmp_path: Path) -> None:
    """As PyTorch wrote them before it gave names."""
    built = Built(1, 1, 6, 7)
    built.constants.append(onnx.numpy_helper.from_array(RNG.normal(size=(4, 1, 3, 3)).astype(np.float32), "a.0.weight"))
    x = built.op("Conv", "x", "a.0.weight", name="")
    x = built.op("Relu", x, name="")
    path = saved(built, tmp_path, **{head(built, x, 2, ""): 4})
    assert [layer.name for layer in read(path).layers][:3] == ["a.0", "out1", "out2"]


class Tables(nn.Module):
    """The detector as it is exported: scores of all strides in a table, and boxes."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Any:
        maps = self.net(x)
        scores, boxes = (torch.cat([rows(maps[f"{kind}{s}"], n) for s in STRIDES], 1)
                         for kind, n in (("scores", 2), ("boxes", 4)))  # fmt: skip
        return scores.softmax(2), boxes


def test_a_detector_of_pytorch_and_its_file_are_the_same_integers(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="onnxscript, which PyTorch exports with, is not installed")
    torch.manual_seed(0)
    net = Slim(2).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(Tables(net), (torch.zeros(1, 3, 64, 64),), str(tmp_path / "net.onnx"), dynamo=False,
                          verbose=False)  # fmt: skip
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 64, 64)).astype(np.uint8)
    seen: dict[str, Any] = {"pixel_range": (0, 255), "mean": 127, "std": 128, "calibrate": images}
    one, other = spikeloom.convert(net, **seen).network, spikeloom.convert(tmp_path / "net.onnx", **seen).network
    assert len(other.maps) == 8 and "Softmax" in other.meta["cut"]
    found = [golden.run(network, images.astype(int), keep=()) for network in (one, other)]
    heads = [[found[k][node.name] for node in network.maps] for k, network in enumerate((one, other))]
    assert all(np.array_equal(a, b) for a, b in zip(*heads, strict=True))
    assert max(int(np.abs(a).max()) for a in heads[0]) > 0
