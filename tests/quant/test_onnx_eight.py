"""Files of 8 bits as ONNX Runtime writes them, QDQ and QOperator, as integer networks: against ONNX Runtime."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeloom.quant import golden
from spikeloom.quant.data import Dataset
from spikeloom.quant.frontends.layers import UnsupportedLayer
from spikeloom.quant.frontends.onnx import Onnx
from spikeloom.quant.frontends.protocol import Pixels
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import Conv2d, Gain, MaxPool
from spikeloom.quant.ir.ops.staircase import Staircase

onnx = pytest.importorskip("onnx", reason="the extra 'onnx' is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime, the oracle, is not installed")

from onnx_graphs import Built, floats, outputs, pixels, relation, runtime, statically, with_outputs  # noqa: E402
from onnxruntime.quantization import QuantFormat, QuantType  # noqa: E402

QDQ, OPERATORS = QuantFormat.QDQ, QuantFormat.QOperator


def read(path: Path, **settings: Any) -> Network:
    network = Onnx().read(path, **settings)
    assert isinstance(network, Network)
    return network


def compared(path: Path, images: np.ndarray) -> Network:
    """The network of a file, whose logits are those of ONNX Runtime to the last level."""
    network, wanted = read(path), runtime(path, floats(images))
    found = relation(network)(golden.run(network, images).logits)
    unit = float(network.meta["logits"].split()[5])
    assert len(np.unique(wanted)) > 10
    assert np.array_equal(np.rint(found / unit), np.rint(wanted / unit))
    return network


def residual(built: Built, rng: np.random.Generator) -> str:
    """Convolutions with all that they have, a sum, a concatenation, pools, a Gemm."""

    def conv(x: str, co: int, ci: int, k: int = 3, **attributes: object) -> str:
        weight = rng.normal(size=(co, ci, k, k)) / np.sqrt(ci * k * k)
        return built.op("Conv", x, weight, rng.normal(size=co) / 3, **attributes)

    x = one = built.op("Relu", conv("x", 8, 3, pads=[1, 1, 1, 1]))
    x = built.op("Clip", conv(x, 8, 2, pads=[1, 0, 1, 2], group=4), np.float32(0), np.float32(1.5))
    x = conv(x, 8, 8, pads=[1, 1, 1, 1])
    x = built.op("Relu", built.op("Add", x, one))
    x = built.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    x = built.op("Concat", built.op("Relu", conv(x, 6, 8, 1)), conv(x, 4, 8, 1), axis=1)
    x = built.op("Relu", conv(x, 12, 10, strides=[1, 2], pads=[1, 1, 1, 1]))
    x = built.op("Flatten", built.op("GlobalAveragePool", x))
    return built.op("Gemm", x, rng.normal(size=(10, 12)), rng.normal(size=10) / 9, transB=1)


def shortcuts(built: Built, rng: np.random.Generator) -> str:
    """Every second pixel and channels of zeros; a MatMul, and a constant for each class added to it."""
    x = one = built.op("Relu", built.op("Conv", "x", rng.normal(size=(4, 3, 3, 3)) / 5, pads=[1, 1, 1, 1]))
    for axis in (2, 3):
        one = built.op("Slice", one, np.array([0]), np.array([1 << 40]), np.array([axis]), np.array([2]))
    one = built.op("Pad", one, np.array([0, 1, 0, 0, 0, 1, 0, 0]), np.float32(0))
    x = built.op("Conv", x, rng.normal(size=(6, 4, 3, 3)) / 6, strides=[2, 2], pads=[1, 1, 1, 1])
    x = built.op("Flatten", built.op("LeakyRelu", built.op("Add", x, one), alpha=0.25))
    return built.op("Add", built.op("MatMul", x, rng.normal(size=(96, 10)) / 9), rng.normal(size=10))


def quantised(tmp_path: Path, build: Callable[[Built, np.random.Generator], str], images: np.ndarray,
              **settings: Any) -> Path:  # fmt: skip
    rng = np.random.default_rng(3)
    built = Built("N", 3, 8, 8, opset=13)
    path = built.save(tmp_path, build(built, rng))
    return statically(path, tmp_path / "eight.onnx", [floats(images[:40]), floats(images[40:80])], **settings)


IMAGES = pixels((200, 3, 8, 8))


@pytest.mark.parametrize("kind", [QuantType.QUInt8, QuantType.QInt8], ids=["unsigned", "signed"])
@pytest.mark.parametrize("each", [False, True], ids=["tensor", "channel"])
@pytest.mark.parametrize("form", [QDQ, OPERATORS], ids=["qdq", "operators"])
def test_a_residual_network(tmp_path: Path, form: QuantFormat, each: bool, kind: QuantType) -> None:
    path = quantised(tmp_path, residual, IMAGES, quant_format=form, per_channel=each, activation_type=kind)
    network = compared(path, IMAGES)
    pools = [node for node in network if isinstance(node, MaxPool)]
    assert [node.padding for node in pools] == [1]
    convs = [node for node in network if isinstance(node, Conv2d) and " of " not in node.name]
    assert [node.groups for node in convs] == [1, 4, 1, 1, 1, 1] and convs[1].padding == (1, 1, 0, 2)
    places = {node.name: k for k, node in enumerate(network)}
    added = [node for node in network if node.name.startswith("Add") and " of " in node.name]
    main = [places[node.sources[0]] for node in added if isinstance(node, Conv2d)]
    others = [places[node.sources[0]] for node in added if isinstance(node, Gain)]
    assert main == [max(main + others)] and min(others) < main[0], "what comes last has weights: the other waits for it"


@pytest.mark.parametrize("form", [QDQ, OPERATORS], ids=["qdq", "operators"])
def test_shortcuts_without_weights(tmp_path: Path, form: QuantFormat) -> None:
    settings = {"extra_options": {"AddQDQPairToWeight": True}} if form == QDQ else {}
    network = compared(quantised(tmp_path, shortcuts, IMAGES, quant_format=form, **settings), IMAGES)
    skips = [node for node in network if isinstance(node, Conv2d | Gain) and " of " in node.name and node.stride == 2]
    if form == QDQ:  # one scale on both sides of the Pad
        assert [node.offset for node in skips if isinstance(node, Gain)] == [1] and len(skips) == 1
    else:
        (skip,) = (node for node in skips if isinstance(node, Conv2d))
        assert skip.weight.reshape(6, 4).tolist() == np.eye(6, 4, -1).tolist()


def test_every_level_of_every_layer(tmp_path: Path) -> None:
    """Not the logits alone: the integers that each operator gives."""
    path = quantised(tmp_path, residual, IMAGES, quant_format=OPERATORS)
    graph = onnx.load(path).graph
    zeros = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    network = read(path)
    found = golden.run(network, IMAGES)
    steps = [node for node in graph.node if f"{node.name} levels" in {n.name for n in network}]
    assert len(steps) >= 9 and {"QLinearConv", "QLinearAdd", "QLinearConcat", "QGemm"} < {n.op_type for n in steps}
    wanted = outputs(with_outputs(path, [node.output[0] for node in steps]), floats(IMAGES))
    for node, tensor in zip(steps, wanted, strict=True):
        place = {"QLinearConcat": 1, "QLinearGlobalAveragePool": 4, "QGemm": 8}.get(node.op_type, 7)
        levels = found[f"{node.name} levels"] + int(zeros[node.input[place]])
        assert len(np.unique(tensor)) > 20 and np.array_equal(levels.reshape(tensor.shape), tensor), node.name


def test_sums_whose_float_is_rounded(tmp_path: Path) -> None:
    """Sums beyond 2^24 are rounded to single floats, and halves to the even level, before the zero point."""
    weight, bias = np.array([[127], [-127]], np.int8), np.array([1 << 24, 7 - (1 << 25)], np.int32)
    scale = np.float32(1 / 255)
    x = np.arange(256).reshape(-1, 1)
    for factor in (2.0**-9, 1 / 3e5, 0.5 / 127):
        built = Built(256, 1)
        q = built.op("QuantizeLinear", "x", scale, np.uint8(0))
        q = built.op("QGemm", q, scale, np.uint8(0), weight, np.float32(1), np.int8(0), bias if factor < 1e-3 else
                     bias % 5, scale / np.float32(factor), np.uint8(101), domain="com.microsoft", transB=1)  # fmt: skip
        path = built.save(tmp_path, built.op("DequantizeLinear", q, np.float32(1), np.uint8(101)), 2)
        found = golden.run(read(path), x[:, :, None, None]).logits
        assert np.array_equal(found, runtime(path, floats(x)))


@pytest.mark.parametrize("clamp", [("Relu",), ("Clip", np.float32(-0.3), np.float32(0.7))], ids=str)
def test_clamps_inside_the_ends_of_a_type(tmp_path: Path, clamp: tuple[Any, ...]) -> None:
    """Between a sum and its quantiser: they end levels that the type has."""
    x = np.arange(256).reshape(-1, 1)
    scales, code = np.float32([0.02, 0.03]), (np.float32(0.0145), np.int8(-20))
    built = Built(256, 1)
    pixel = (np.float32(1 / 255), np.uint8(77))
    q = built.op("DequantizeLinear", built.op("QuantizeLinear", "x", *pixel), *pixel)
    weight = built.op("DequantizeLinear", np.array([[100], [-77]], np.int8), scales, np.int8([0, 0]), axis=0)
    bias = built.op("DequantizeLinear", np.array([100, -50], np.int32), scales * pixel[0], np.int32([0, 0]), axis=0)
    q = built.op(clamp[0], built.op("Gemm", q, weight, bias, transB=1), *clamp[1:])
    q = built.op("QuantizeLinear", q, *code)
    path = built.save(tmp_path, built.op("DequantizeLinear", q, np.float32(1), code[1]), 2)
    found = golden.run(read(path), x[:, :, None, None]).logits
    wanted = runtime(path, floats(x))
    assert np.array_equal(found, wanted) and wanted.min() > -108 and len(np.unique(wanted)) > 40


def dense(built: Built, **changed: Any) -> str:
    """A QLinearMatMul behind a QuantizeLinear."""
    given = {"scale": np.float32(0.02), "zero": np.uint8(3), "weight": np.ones((2, 3), np.int8),
             "weight_zero": np.int8(0), "weight_scale": np.float32(0.1)} | changed  # fmt: skip
    q = built.op("QuantizeLinear", "x", given["scale"], given["zero"], **given.get("attributes", {}))
    return built.op("QLinearMatMul", q, given["scale"], given["zero"], given["weight"], given["weight_scale"],
                    given["weight_zero"], np.float32(0.1), np.uint8(0))  # fmt: skip


REFUSED: dict[str, tuple[Callable[[Built], str], str]] = {
    "16 bits": (lambda b: dense(b, zero=np.uint16(3)), "QuantizeLinear0: QuantizeLinear of uint16 .*int8 and uint8"),
    "scales": (lambda b: dense(b, scale=np.float32([1, 2])), "with 2 scales for the values of a tensor"),
    "blocks": (lambda b: dense(b, attributes={"block_size": 2}), "QuantizeLinear0: QuantizeLinear in blocks"),
    "scale": (lambda b: dense(b, scale=np.float32(-1)), "with a scale that is not positive"),
    "weights": (lambda b: dense(b, weight=np.full((2, 3), 9, np.uint8), weight_zero=np.uint8(200)),
                "QLinearMatMul1: QLinearMatMul with 6 weights, of more than 8 bits"),
    "floats": (lambda b: dense(b, weight=np.ones((2, 3))), "QLinearMatMul1: .*of constants of float32"),
    "axis": (lambda b: dense(b, weight_scale=np.float32([1, 2])), "with 2 scales and 1 zero points"),
    "integers": (lambda b: b.op("Relu", dense(b)), "Relu2: Relu of integers .*DequantizeLinear before it"),
    "twice": (lambda b: b.op("DequantizeLinear", b.op("DequantizeLinear", dense(b), np.float32(1)), np.float32(1)),
              "DequantizeLinear3: DequantizeLinear of floats"),
    "bias": (lambda b: b.op("QGemm", b.op("QuantizeLinear", "x", np.float32(1), np.uint8(0)), np.float32(1),
                            np.uint8(0), np.ones((2, 3), np.int8), np.float32(1), np.int8(0), np.ones(3),
                            domain="com.microsoft"),
             "QGemm1: QGemm with a bias that is no constant of 32 bits"),
    "domain": (lambda b: b.op("QLinearConv", "x", domain="com.x"), "QLinearConv of the domain 'com.x'"),
    "operator": (lambda b: b.op("QLinearMul", *["x"] * 8, domain="com.microsoft"), "QLinearMul0: QLinearMul is not"),
    "dynamic": (lambda b: b.op("MatMulInteger", dense(b), np.ones((3, 3), np.uint8)), "MatMulInteger2: .*static"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_exact_is_refused(tmp_path: Path, name: str) -> None:
    build, message = REFUSED[name]
    built = Built(1, 2, opset=21)
    with pytest.raises(UnsupportedLayer, match=message):
        Onnx().read(built.save(tmp_path, build(built)))


def test_every_damaged_byte_is_an_error_or_a_network(tmp_path: Path) -> None:
    path = quantised(tmp_path, shortcuts, IMAGES, quant_format=OPERATORS)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            Onnx().read(path)
        except ValueError as error:
            assert type(error).__module__.startswith("spikeloom."), repr(error)


@pytest.mark.slow
@pytest.mark.parametrize("each", [False, True], ids=["tensor", "channel"])
@pytest.mark.parametrize("form", [QDQ, OPERATORS], ids=["qdq", "operators"])
def test_the_given_resnet(
    tmp_path: Path, data_dir: Path, real: Callable[[str], Dataset], form: QuantFormat, each: bool
) -> None:
    """All logits of the published ResNet-20 for CIFAR-10, as ONNX Runtime quantises it with 200 images."""
    import torch
    from onnxruntime.quantization.shape_inference import quant_pre_process

    from spikeloom.quant.models import load_weights, resnet

    data, weights = real("cifar10"), data_dir / "weights" / "akamaster-resnet20-12fca82f.th"
    if not weights.is_file():
        pytest.skip("no trained ResNet-20 in the folder that SPIKELOOM_DATA names")
    model = resnet((3, 32, 32), 10).eval()
    load_weights(model, weights)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (torch.zeros(1, 3, 32, 32),), str(tmp_path / "net.onnx"), dynamo=False,
                          input_names=["x"], dynamic_axes={"x": {0: "N"}}, verbose=False)  # fmt: skip
        quant_pre_process(str(tmp_path / "net.onnx"), str(tmp_path / "ready.onnx"), skip_symbolic_shape=True)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

    def seen(images: np.ndarray) -> np.ndarray:
        centred = floats(images) - np.float32(mean).reshape(1, 3, 1, 1)
        return centred / np.float32(std).reshape(1, 3, 1, 1)

    calibration = [seen(data.train_x[k : k + 50]) for k in range(0, 200, 50)]
    to = tmp_path / "eight.onnx"
    path = statically(tmp_path / "ready.onnx", to, calibration, quant_format=form, per_channel=each)
    network = read(path, shape=(3, 32, 32), pixels=Pixels(255, 0.0, 1.0, mean, std))
    found, wanted = golden.run(network, data.test_x[:500]), runtime(path, seen(data.test_x[:500]))
    unit = float(network.meta["logits"].split()[5])
    assert np.array_equal(np.rint(relation(network)(found.logits) / unit), np.rint(wanted / unit))
    assert (found.classes == data.test_y[:500]).mean() > 0.9
    assert any(isinstance(node, Staircase) and node.threshold.shape[1] == 255 for node in network)
