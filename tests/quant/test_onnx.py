"""ONNX files of floats as float graphs, against ONNX Runtime; and what is refused."""

from __future__ import annotations

import time
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
from spikeloom.quant.frontends.layers import UnsupportedLayer
from spikeloom.quant.frontends.onnx import Onnx
from spikeloom.quant.frontends.onnx import file as onnx_file
from spikeloom.quant.frontends.onnx.file import OnnxError
from spikeloom.quant.frontends.protocol import find
from spikeloom.quant.ir.bounds import NetworkError

onnx = pytest.importorskip("onnx", reason="the extra 'onnx' is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime, the oracle, is not installed")

from onnx import ModelProto, TensorProto, helper  # noqa: E402
from onnx_graphs import Built, runtime  # noqa: E402

RNG = np.random.default_rng(0)


def floats(path: Path, shape: tuple[int, int, int] | None = None) -> FloatGraph:
    """The float graph of a file."""
    graph = Onnx().read(path, shape)
    assert isinstance(graph, FloatGraph)
    return graph


def weight(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape) / np.sqrt(np.prod(shape[1:]))


def conv(built: Built, x: str, co: int, ci: int, k: int = 3, bias: bool = True, **attributes: object) -> str:
    return built.op("Conv", x, weight(co, ci, k, k), *([RNG.normal(size=co)] if bias else []), **attributes)


def plain(built: Built) -> str:
    """Batch norm, padding in three ways, pools, a grouped convolution."""
    x = built.norm(conv(built, "x", 4, 2, bias=False, auto_pad="SAME_UPPER"), 4, RNG, 1.0)
    x = built.op("MaxPool", built.op("Relu", x), kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    x = built.op("Pad", x, np.array([0, 0, 1, 1, 0, 0, 1, 1]), mode="constant")
    x = built.op("Relu", conv(built, x, 6, 2, group=2, pads=[1, 1, 1, 1], dilations=[1, 1]))
    x = built.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2], count_include_pad=1)
    x = built.op("Dropout", built.op("Identity", x))
    return built.op("Softmax", built.op("Gemm", built.op("Flatten", x), weight(10, 6 * 5 * 5), weight(10), transB=1))


def residual(built: Built) -> str:
    """A sum of two branches, strided convolutions, max-pools before the activation, the mean of the map."""
    x = one = built.op("Relu", conv(built, "x", 4, 2, strides=[2, 2], pads=[1, 1, 1, 1]))
    x = built.op("Relu", conv(built, x, 4, 4, pads=[1, 1, 1, 1]))
    x = built.op("Relu", built.op("Add", conv(built, x, 4, 4, auto_pad="SAME_LOWER"), one))
    x = built.op("Relu", built.op("MaxPool", conv(built, x, 5, 4), kernel_shape=[2, 2], strides=[1, 1]))
    x = built.op("ReduceMean", x, axes=[-1, -2], keepdims=0)
    return built.op("Gemm", x, weight(5, 10), np.float32(0.5), alpha=2.0, beta=3.0)


def folded(built: Built) -> str:
    """Constants behind weights, and a shape that is computed as PyTorch exports it."""
    x = built.op("Sub", built.op("Mul", conv(built, "x", 4, 2), weight(1, 4, 1, 1)), RNG.normal(size=(4, 1, 1)))
    x = built.op("GlobalAveragePool", built.op("Relu", built.op("Div", x, np.float32(0.3))))
    n = built.op("Unsqueeze", built.op("Gather", built.op("Shape", x), np.int64(0), axis=0), np.array([0]))
    x = built.op("Reshape", x, built.op("Concat", n, np.array([-1]), axis=0))
    x = built.op("Relu", built.op("Add", built.op("MatMul", x, weight(4, 6)), weight(6, 1)[:, 0]))
    x = built.op("Sub", np.float32(0.4), built.op("MatMul", x, weight(6, 10)))
    return built.op("LogSoftmax", x, axis=1)


def old(built: Built) -> str:
    """Attributes that became inputs later."""
    x = built.op("Pad", "x", pads=[0, 0, 1, 1, 0, 0, 1, 1], mode="constant", value=0.0)
    x = built.op("Clip", conv(built, x, 3, 2), min=0.0)
    x = built.op("Squeeze", built.op("GlobalMaxPool", x), axes=[2, 3])
    return built.op("Gemm", x, weight(3, 10), weight(10))


@pytest.mark.parametrize(("build", "opset"), [(plain, 13), (plain, 21), (residual, 13), (folded, 15), (old, 9)])
def test_against_onnx_runtime(tmp_path: Path, build: Callable[[Built], str], opset: int) -> None:
    built = Built("N", 2, 18, 18, opset=opset)
    path = built.save(tmp_path, build(built))
    images = np.random.default_rng(1).uniform(0, 1, (6, 2, 18, 18)).astype(np.float32)
    graph = floats(path)
    *_, (_, logits) = results(graph.layers, torch.from_numpy(images))
    logits = {"Softmax": logits.softmax(1), "LogSoftmax": logits.log_softmax(1)}.get(built.nodes[-1].op_type, logits)
    wanted = runtime(path, images)
    assert graph.shape == (2, 18, 18) and wanted.std() > 1e-3
    np.testing.assert_allclose(logits.numpy(), wanted, rtol=1e-4, atol=1e-5)


def model() -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
                        nn.Conv2d(4, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(),
                        nn.Linear(8, 10), nn.Softmax(1))  # fmt: skip
    norm: Any = net[1]
    norm.running_mean.normal_()
    return net.eval()


@pytest.mark.parametrize("dynamo", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_what_pytorch_exports(tmp_path: Path, dynamo: bool) -> None:
    """The exporter that PyTorch has had for long, and the one that it has today, with the weights in a second file."""
    pytest.importorskip("onnxscript", reason="onnxscript, which PyTorch exports with, is not installed")
    path, net = tmp_path / "net.onnx", model()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (torch.zeros(1, 1, 12, 12),), str(path), dynamo=dynamo, verbose=False)
    assert (tmp_path / "net.onnx.data").is_file() == dynamo
    images = torch.from_numpy(np.random.default_rng(1).uniform(0, 1, (6, 1, 12, 12)).astype(np.float32))
    *_, (_, logits) = results(floats(path).layers, images)
    torch.testing.assert_close(logits.softmax(1), net(images), rtol=1e-4, atol=1e-5)
    if dynamo:
        (tmp_path / "net.onnx.data").unlink()
        with pytest.raises(OnnxError, match="its weights lie in .*net.onnx.data, which is not there; keep both files"):
            Onnx().read(path)


def test_a_vector_takes_the_pixels_of_a_map(tmp_path: Path) -> None:
    built = Built(1, 12)
    path = built.save(tmp_path, built.op("Gemm", "x", weight(12, 10)))
    assert floats(path).shape == (12, 1, 1)
    graph = floats(path, (1, 3, 4))
    assert graph.shape == (1, 3, 4) and [layer.name for layer in graph.layers] == ["image as a vector", "Gemm0"]
    with pytest.raises(NetworkError, match=r"net.onnx: x has shape 12, but images are 1x4x4; export it for"):
        Onnx().read(path, (1, 4, 4))


def two(built: Built) -> str:
    return built.op("Sum", built.op("Relu", conv(built, "x", 4, 2)), np.float32(1))


REFUSED: dict[str, tuple[Callable[[Built], str], str]] = {
    "operator": (lambda b: b.op("Erf", conv(b, "x", 4, 2), name="s"), r"^s: Erf is not supported; supported:"),
    "no name": (lambda b: b.op("Erf", conv(b, "x", 4, 2), name=""), r"^out1: Erf is not"),
    "domain": (lambda b: b.op("Relu", "x", domain="com.x"), r"Relu0: Relu of the domain 'com.x' is not"),
    "kernel": (lambda b: conv(b, "x", 4, 2, kernel_shape=[2, 2]), r"with a kernel \[2, 2\]"),
    "stride": (lambda b: conv(b, "x", 4, 2, strides=[1, 0]),
               r"Conv0: Conv with kernel .* strides=\[1, 0\].* 1 or more"),
    "pads": (lambda b: conv(b, "x", 4, 2, pads=[1, 1, -1, 0]), r"pads=\[1, 1, -1, 0\] .*: four pads of 0 or more"),
    "dilation": (lambda b: b.op("MaxPool", "x", kernel_shape=[2, 2], dilations=[2, 2]),
                 r"dilations=\[2, 2\] .* no gaps"),
    "attribute": (lambda b: b.op("Relu", "x", alpha=1.0), r"Relu0: Relu with alpha=1.0 .*: Relu without"),
    "pool": (lambda b: b.op("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1]), "padding that does not count"),
    "ceil": (lambda b: b.op("AveragePool", "x", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1), "fewer cells"),
    "clip": (lambda b: b.op("Clip", conv(b, "x", 4, 2), np.float32(1), np.float32(6)), r"Clip to 1.0..6.0 .*min <= 0"),
    "shapes": (lambda b: b.op("Add", conv(b, "x", 4, 2), conv(b, "x", 4, 2, k=1)), r"of shapes \(1, 4, 6, 6\) and"),
    "softmax": (lambda b: b.op("Relu", b.op("Softmax", b.op("Flatten", "x"))), "Softmax over axis -1 .*before other"),
    "channels": (lambda b: conv(b, "x", 4, 3), "Conv of 2 channels with kernels of 3 in 1 groups"),
    "features": (lambda b: b.op("MatMul", b.op("Flatten", "x"), weight(9, 10)), r"of \(1, 128\) and weights \(10, 9\)"),
    "reshape": (lambda b: b.op("Reshape", "x", np.array([1, 4, 4, 8])), "Reshape of 1x2x8x8 to 1x4x4x8"),
    "image": (lambda b: b.op("Div", np.float32(1), conv(b, "x", 4, 2)), "Div by a tensor that depends on the image"),
    "two images": (lambda b: b.op("Mul", (x := conv(b, "x", 4, 2)), b.op("Relu", x)), "Mul of two tensors that depend"),
    "training": (lambda b: b.op("Dropout", "x", np.float32(0.5), np.array(True)), "Dropout in training"),
    "pad": (lambda b: b.op("Relu", b.op("Pad", conv(b, "x", 4, 2), np.array([0, 0, 1, 1] * 2))),
            "Pad1: a pad before Act"),
    "uneven": (lambda b: b.op("Pad", "x", np.array([0, 1, 1, 1, 0, 0, 0, 0])), "Pad of channels and of maps at once"),
    "value": (lambda b: b.op("Pad", "x", np.array([0, 0, 1, 1] * 2), np.float32(1)), "Pad0: Pad with 1.0 .*: zeros"),
    "slice": (lambda b: b.op("Slice", "x", np.array([1]), np.array([9]), np.array([2])),
              r"Slice \[1:9:1\] along axis 2"),
    "part": (lambda b: b.op("Relu", b.op("Slice", "x", np.array([0]), np.array([9]), np.array([2]), np.array([2]))),
             "Relu1: Relu of every 2th row and 1th column"),
    "split": (lambda b: b.op("Split", "x", axis=2), "Split along axis 2 .*: parts of the channels"),
    "concat": (lambda b: b.op("Concat", "x", "x", axis=3), "Concat along axis 3"),
    "slope": (lambda b: b.op("PRelu", conv(b, "x", 4, 2), weight(4, 6, 6)), r"PRelu of \(1, 4, 6, 6\) and \(4, 6, 6\)"),
    "gate": (lambda b: b.op("Add", b.op("Mul", (x := conv(b, "x", 4, 2)), (y := b.op("Sigmoid", x))), y),
             "Mul3|Mul2: Mul of Sigmoid1, which another operator takes too"),
    "quantised": (lambda b: b.op("DynamicQuantizeLinear", "x"),
                  "^DynamicQuantizeLinear0: .* runs .*: static scales, as"),
    "constant": (lambda b: b.op("Relu", np.float32([1])), "Relu of a constant"),
    "huge": (lambda b: b.op("ConstantOfShape", np.array([1 << 20, 1 << 20])), "1,099,511,627,776 numbers, supported"),
    "last": (lambda b: conv(b, "x", 4, 2), "Conv0: the last layer must be a Linear"),
    "nothing": (lambda b: b.op("Identity", "x"), "a graph without weights"),
    "order": (lambda b: b.op("Relu", "later"), "Relu of 'later', which no node before it gives"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_names_the_node_and_the_remedy(tmp_path: Path, name: str) -> None:
    build, message = REFUSED[name]
    built = Built(1, 2, 8, 8) if name != "ceil" else Built(1, 2, 9, 9)
    with pytest.raises(UnsupportedLayer, match=message):
        Onnx().read(built.save(tmp_path, build(built)))


def dense(**changed: Any) -> Built:
    built = Built(*changed.get("shape", (1, 12)), opset=int(str(changed.get("opset", 13))))
    built.op("Gemm", "x", weight(12, 10))
    return built


def test_files_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = dense().save(tmp_path, "out0")
    whole = path.read_bytes()
    for content in (b"", b"PK\3\4 a zip", bytes(100), whole[: len(whole) // 2], b"\x0a" * 5000):
        path.write_bytes(content)
        began = time.monotonic()
        with pytest.raises(OnnxError, match=r"net.onnx: (is no ONNX file, or a damaged one|the tensor .* is damaged)"):
            Onnx().read(path)
        assert time.monotonic() - began < 3
    path.write_bytes(whole)
    monkeypatch.setattr(onnx_file, "MOST_BYTES", 100)
    with pytest.raises(OnnxError, match="bytes, supported: 100; export a smaller network"):
        Onnx().read(path)
    with pytest.raises(FileNotFoundError):
        Onnx().read(tmp_path / "none.onnx")


@pytest.mark.parametrize("kind", ["floats", "integers"])
def test_every_damaged_byte_is_an_error_or_a_graph(tmp_path: Path, kind: str) -> None:
    built = Built(1, 2, 8, 8)
    if kind == "floats":
        x = built.op("Relu", built.norm(conv(built, "x", 2, 2), 2, RNG, 1.0))
        path = built.save(tmp_path, built.op("Gemm", built.op("Flatten", x), weight(72, 3)), 3)
    else:
        x = built.quant(built.op("Sub", "x", 0.5), 3, 0.25)
        x = built.quant(built.norm(built.op("Conv", x, built.quant(weight(2, 2, 5, 5), 3, 0.25)), 2, RNG, 1.0), 2)
        path = built.save(tmp_path, built.op("MatMul", built.op("Flatten", x), built.quant(weight(32, 3), 3, 0.25)), 3)
    Onnx().read(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            Onnx().read(path)
        except ValueError as error:
            assert type(error).__module__.startswith("spikeloom."), repr(error)


def test_graphs_that_cannot_be_read(tmp_path: Path) -> None:
    def refused(change: Callable[[ModelProto], object], message: str, **changed: Any) -> None:
        made = dense(**changed).model("out0")
        change(made)
        (tmp_path / "net.onnx").write_bytes(made.SerializeToString())
        with pytest.raises(ValueError, match=message) as caught:
            Onnx().read(tmp_path / "net.onnx")
        assert type(caught.value).__module__.startswith("spikeloom.")

    refused(lambda m: None, "has the operators of opset 6, supported: 7 to", opset=6)
    refused(lambda m: None, "leaves the shape of x open; say it", shape=("N", "F"))
    refused(lambda m: None, "an input of 3 dimensions", shape=(1, 3, 4))
    refused(lambda m: m.graph.input[0].type.tensor_type.__setattr__("elem_type", 2), "x: an image of the type 2 is not")
    refused(lambda m: m.graph.output.append(m.graph.output[0]), "outputs out0, out0 are not supported; supported: one")
    refused(lambda m: m.graph.initializer[0].dims.append(99), "the tensor 'constant0' is damaged")
    refused(lambda m: m.functions.append(helper.make_function("d", "f", [], [], [], [])), "inline them first")
    refused(lambda m: m.graph.sparse_initializer.append(onnx.SparseTensorProto()), "sparse weights, supported: dense")

    def outside(made: ModelProto, place: str) -> None:
        tensor = made.graph.initializer[0]
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.append(onnx.StringStringEntryProto(key="location", value=place))

    refused(lambda m: outside(m, "../secret"), r"constant0 lies in '../secret', supported: a file in the folder")
    refused(lambda m: outside(m, "none.data"), "none.data, which is not there; keep both files together")


def test_the_front_end_is_found() -> None:
    assert isinstance(find("net.onnx"), Onnx) and isinstance(find(Path("a/NET.ONNX")), Onnx)
    assert not Onnx().takes("net.onnx.data") and not Onnx().takes(3)
