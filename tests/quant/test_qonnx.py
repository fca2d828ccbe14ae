"""QONNX graphs as integer networks, against qonnx's own execution of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeloom.quant import golden
from spikeloom.quant.data import Dataset
from spikeloom.quant.frontends.layers import UnsupportedLayer
from spikeloom.quant.frontends.onnx import Onnx
from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import Conv2d, Gain, Linear
from spikeloom.quant.ir.ops.staircase import Staircase
from spikeloom.quant.ir.ops.upsample import Upsample

onnx = pytest.importorskip("onnx", reason="the extra 'onnx' is not installed")
pytest.importorskip("qonnx", reason="qonnx, the oracle, is not installed")

from onnx_graphs import BREVITAS, QONNX, Built, executed, pixels, relation  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:Output shapes disagree")


def integers(path: Path) -> Network:
    """The integer network of a graph."""
    network = Onnx().read(path)
    assert isinstance(network, Network)
    return network


def compared(path: Path, images: np.ndarray, scales: dict[str, float], zero: int = 0) -> Network:
    """The network of a graph, whose activations (``scales``, by node, and ``zero`` point) and logits are those of the
    graph."""
    network, wanted = integers(path), executed(path, images)
    names = {node.name: node.output[0] for node in onnx.load(path).graph.node}
    found = golden.run(network, images)
    for name, scale in scales.items():
        values, outputs = found[name], wanted[names[name]]
        assert len(np.unique(values)) > 1, name
        values = (values.reshape(outputs.shape) - zero).astype(np.float32)
        assert np.array_equal(values * np.float32(scale), outputs), name
    logits = wanted[onnx.load(path).graph.output[0].name]
    assert len(np.unique(logits)) > 5
    np.testing.assert_allclose(relation(network)(found.logits), logits, rtol=2e-5, atol=2e-5)
    assert np.array_equal(found.classes, logits.argmax(1))
    return network


def mlp(rng: np.random.Generator, images: int, opset: int = 13, **changed: Any) -> tuple[Built, str]:
    """Two layers: bits of weights and activations, scales, and the rounding are ``changed``."""
    size = {"bits": 4, "scale": 0.5, "weight_scale": 0.25, "rounding": "ROUND", "signed": 1, "zero": 0.0} | changed
    built = Built(images, 1, 5, 6, opset=opset)
    x = built.quant(built.op("Sub", built.op("Mul", "x", 2.0), 1.0), 3, 0.25, name="pixels")
    x = built.op("Flatten", x)
    weight = built.quant(rng.normal(size=(30, 16)), 4, 0.25)
    x = built.norm(built.op("MatMul", x, weight), 16, rng, 1.0)
    x = built.quant(x, size["bits"], size["scale"], size["zero"], size["signed"], rounding=size["rounding"], name="act")
    weight = built.quant(rng.normal(size=(16, 10)), 4, size["weight_scale"])
    return built, built.op("Add", built.op("Mul", built.op("MatMul", x, weight), 1.5), -0.7)


@pytest.mark.parametrize("rounding", ["ROUND", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN"])
def test_every_rounding(tmp_path: Path, rounding: str) -> None:
    built, output = mlp(np.random.default_rng(1), 200, rounding=rounding)
    network = compared(built.save(tmp_path, output), pixels((200, 1, 5, 6)), {"pixels": 0.25, "act": 0.5})
    assert network.meta["thresholds"].startswith("0 of ")


@pytest.mark.parametrize(
    "changed",
    [{"bits": 2, "scale": 1.0}, {"bits": 1}, {"bits": 3, "signed": 0}, {"scale": 0.3}, {"weight_scale": 0.07},
     {"signed": 0, "zero": 5}, {"zero": -3, "rounding": "FLOOR"}],
    ids=str,
)
def test_levels_and_scales(tmp_path: Path, changed: dict) -> None:
    built, output = mlp(np.random.default_rng(2), 200, **changed)
    scales = {"act": changed.get("scale", 0.5)}
    compared(built.save(tmp_path, output), pixels((200, 1, 5, 6)), scales, changed.get("zero", 0))


def test_halves_are_rounded_as_the_graph_rounds_them(tmp_path: Path) -> None:
    """Sums of which every second one is a half of a level, and factors that turn them."""
    for rounding in ("ROUND", "HALF_UP", "HALF_DOWN", "CEIL"):
        built = Built(256, 4)
        x = built.quant("x", 3, 1 / 4)
        x = built.op("MatMul", x, built.quant(np.array([[1, -1, 1], [1, -1, 2], [1, 2, -1], [0, 1, 1]]), 4))
        x = built.quant(built.op("Mul", x, np.array([1.0, -1.0, 0.5])), 4, 0.5, rounding=rounding, name="act")
        output = built.op("MatMul", x, built.quant(np.arange(30).reshape(3, 10) % 7 - 3, 4))
        network = compared(built.save(tmp_path, output), pixels((256, 4))[:, :, None, None], {"act": 0.5})
        turned = next(node for node in network if isinstance(node, Linear) and node.name == "MatMul2")
        assert turned.weight[1].tolist() == [1, 1, -2, -1]


def test_bipolar_weights_and_activations(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    built = Built(300, 12)
    x = built.op("BipolarQuant", built.op("Sub", "x", 0.5), np.float32(1), domain=BREVITAS)
    for inputs, outputs in ((12, 9), (9, 8)):
        weight = built.op("BipolarQuant", rng.normal(size=(outputs, inputs)), np.float32(0.5), domain=BREVITAS)
        x = built.op("MatMul", x, built.op("Transpose", weight, perm=[1, 0]))
        x = built.op("BipolarQuant", built.norm(x, outputs, rng, 2.0), np.float32(2), domain=BREVITAS)
    output = built.op("MatMul", x, built.op("BipolarQuant", rng.normal(size=(8, 10)), np.float32(1), domain=BREVITAS))
    network = compared(built.save(tmp_path, output), pixels((300, 12, 1, 1)), {})
    steps = [node for node in network if isinstance(node, Staircase)]
    weighted = [node for node in network if isinstance(node, Linear) and " of " not in node.name]
    assert [node.weight_bits for node in weighted] == [1, 1, 1]
    assert len(steps) == 3 and all((node.threshold[:, 0] == node.threshold[:, 1]).all() for node in steps)


def convolutional(rng: np.random.Generator, images: int) -> tuple[Built, str]:
    """Convolutions, grouped and padded, with biases and scales for each channel, pools and a residual sum."""
    built = Built(images, 2, 9, 9)
    x = built.quant("x", 8, 1 / 255, signed=0)
    weight = built.quant(rng.normal(size=(6, 2, 3, 3)), 4, rng.choice([0.125, 0.25, 0.5], (6, 1, 1, 1)))
    x = built.op("Conv", x, weight, rng.normal(size=6), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    x = one = built.quant(built.op("Relu", built.norm(x, 6, rng, 1.0)), 4, 0.25, signed=0, name="one")
    weight = built.quant(rng.normal(size=(6, 1, 3, 3)), 3, 0.5)
    x = built.op("Conv", x, weight, kernel_shape=[3, 3], pads=[1, 1, 1, 1], group=6)
    x = built.quant(built.norm(x, 6, rng, 3.0), 3, 0.5, name="two")
    x = built.quant(built.op("Add", x, one), 3, 0.5, name="sum")
    x = built.op("MaxPool", x, name="pool", kernel_shape=[2, 2], strides=[2, 2])
    weight = built.quant(rng.normal(size=(8, 6, 2, 2)), 3, 0.5)
    x = built.quant(built.op("Clip", built.op("Conv", x, weight, strides=[2, 2]), -2.0, 3.0), 3, 1.0, name="clip")
    x = built.op("Reshape", built.op("AveragePool", x, kernel_shape=[2, 2]), np.array([images, -1]))
    return built, built.op("MatMul", x, built.quant(rng.normal(size=(8, 10)), 4, 0.25))


def test_convolutions_pools_and_sums(tmp_path: Path) -> None:
    built, output = convolutional(np.random.default_rng(4), 100)
    scales = {"one": 0.25, "two": 0.5, "sum": 0.5, "pool": 0.5, "clip": 1.0}
    network = compared(built.save(tmp_path, output), pixels((100, 2, 9, 9)), scales)
    assert sorted(node.groups for node in network if isinstance(node, Conv2d)) == [1, 1, 6, 6]
    gains = [np.unique(node.gain).tolist() for node in network if isinstance(node, Gain)]
    weights = [np.unique(node.weight).tolist() for node in network if isinstance(node, Conv2d) and " of " in node.name]
    assert (weights, gains) == ([[2]], [[1]]), "0.5 are two times 0.25; a sum in gates has a layer with weights"


def upsampled(built: Built, rng: np.random.Generator, x: str) -> str:
    """Every pixel twice in a column and three times in a row, and a convolution of that."""
    x = built.op("Resize", x, np.zeros(0, np.float32), np.array([1, 1, 2, 3], np.float32), name="up",
                 coordinate_transformation_mode="asymmetric", nearest_mode="floor")  # fmt: skip
    return built.op("Conv", x, built.quant(rng.normal(size=(4, 3, 3, 3)), 3, 0.5), strides=[2, 2])


def test_upsampling(tmp_path: Path) -> None:
    rng, built = np.random.default_rng(5), Built(40, 2, 4, 5)
    x = built.op("Conv", built.quant("x", 8, 1 / 255, signed=0), built.quant(rng.normal(size=(3, 2, 1, 1)), 4, 0.25))
    x = built.quant(built.op("Relu", x), 4, 0.25, signed=0, name="one")
    x = built.op("Reshape", built.quant(upsampled(built, rng, x), 3, 1.0, name="two"), np.array([40, -1]))
    output = built.op("MatMul", x, built.quant(rng.normal(size=(84, 10)), 4, 0.25))
    network = compared(built.save(tmp_path, output), pixels((40, 2, 4, 5)), {"one": 0.25, "two": 1.0})
    assert [node.factor for node in network if isinstance(node, Upsample)] == [(2, 3)]


def test_zero_points_are_padding(tmp_path: Path) -> None:
    """Around a tensor with a zero point stands that number, which is its 0."""
    rng, built = np.random.default_rng(6), Built(100, 2, 6, 6)
    x = built.quant("x", 8, 1 / 256, 114.0, signed=0)
    for name, inputs, zero in (("one", 2, 5.0), ("two", 4, 0.0)):
        weight = built.quant(rng.normal(size=(4, inputs, 3, 3)), 4, 0.25)
        x = built.norm(built.op("Conv", x, weight, pads=[1, 1, 1, 1], strides=[2, 2]), 4, rng, 1.0)
        x = built.quant(x, 4, 0.25, zero, signed=0, name=name)
    output = built.op("MatMul", built.op("Flatten", x), built.quant(rng.normal(size=(16, 10)), 4, 0.25))
    network = compared(built.save(tmp_path, output), pixels((100, 2, 6, 6)), {"two": 0.25})
    pads = [node.pad for node in network if isinstance(node, Conv2d) and " of " not in node.name]
    assert [pad is not None and sorted(set(pad.tolist())) for pad in pads] == [[114], [5]]


def test_all_pairs_of_a_sum(tmp_path: Path) -> None:
    """The 65,536 pairs of two tensors of 8 bits, added and quantised."""
    a, b = np.meshgrid(np.arange(256), np.arange(256))
    images = np.stack([a, b], -1).reshape(-1, 2)
    built = Built(len(images), 2)
    x = built.quant("x", 8, 1 / 255, signed=0)
    one = built.quant(built.op("MatMul", x, np.array([[1.0, 0], [0, 0]])), 4, 1 / 15, signed=0)
    other = built.quant(built.op("MatMul", x, np.array([[0.0, 0], [1, 0]])), 4, 2 / 15, signed=0)
    x = built.quant(built.op("Add", one, other), 4, 0.11, signed=0, rounding="FLOOR", name="sum")
    output = built.op("MatMul", x, built.quant(np.arange(20).reshape(2, 10) - 7, 5))
    compared(built.save(tmp_path, output), images[:, :, None, None], {"sum": 0.11})


@pytest.mark.parametrize("rounding", ["ROUND", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN"])
def test_trunc_of_both_versions(tmp_path: Path, rounding: str) -> None:
    """A shift of sums, with a rounding of its own: of sums below 0 and above, with halves among them."""
    for version, zero, rest in ((1, 0.0, (6.0, 5.0)), (1, 8.0, (6.0, 4.0)), (2, 0.0, (6.0, 1.0, 3.0)),
                                (2, 8.0, (6.0, 0.5, 3.0))):  # fmt: skip
        built = Built(256, 4)
        built.versions[QONNX] = version
        x = built.op("MatMul", built.quant("x", 3, 1 / 4), built.quant(np.arange(12).reshape(4, 3) % 5 - 2, 4, 1.0))
        scale = 0.25
        x = built.op("Trunc", x, scale, zero, *map(np.float32, rest), domain=QONNX, name="act", rounding_mode=rounding)
        output = built.op("MatMul", x, built.quant(np.arange(30).reshape(3, 10) % 7 - 3, 4))
        images, path = pixels((256, 4, 1, 1)), built.save(tmp_path, output)
        network, wanted = integers(path), executed(path, images)
        found = golden.run(network, images)
        step, off = (scale, zero) if version == 1 else (rest[1], zero * scale / rest[1])
        assert np.array_equal((found["act"].reshape(256, 3) - off) * step, wanted["out3"])
        assert len(np.unique(wanted["out3"])) > 2
        assert np.array_equal(relation(network)(found.logits), wanted[output])


@pytest.mark.parametrize("settings", [{}, {"out_scale": 0.5, "out_bias": -2.0}, {"one": True}], ids=str)
def test_multi_threshold(tmp_path: Path, settings: dict[str, Any]) -> None:
    """Edges for each channel or for all, in no order, some of them reached exactly and some never."""
    rng, one = np.random.default_rng(6), settings.pop("one", False)
    built = Built(256, 4)
    x = built.op("MatMul", built.quant("x", 3, 1 / 4), built.quant(np.arange(12).reshape(4, 3) % 5 - 2, 4, 1.0))
    edges = rng.integers(-16, 17, (1 if one else 3, 9)) / 4
    x = built.op("MultiThreshold", x, edges, domain=QONNX, name="act", out_dtype="UINT4", **settings)
    output = built.op("MatMul", x, built.quant(np.arange(30).reshape(3, 10) % 7 - 3, 4))
    images, path = pixels((256, 4, 1, 1)), built.save(tmp_path, output)
    network, wanted = integers(path), executed(path, images)
    found = golden.run(network, images)
    values = found["act"].reshape(256, 3) * settings.get("out_scale", 1.0) + settings.get("out_bias", 0.0)
    assert np.array_equal(values, wanted["out3"]) and len(np.unique(values)) > 5
    assert np.array_equal(relation(network)(found.logits), wanted[output])


def test_a_last_layer_with_whole_biases(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    built = Built(100, 6)
    weight = built.quant(rng.normal(size=(10, 6)), 4, 0.5)
    output = built.op("Gemm", built.quant("x", 4, 0.0625, signed=0), weight, rng.integers(-99, 99, 10) / 32, transB=1)
    network = compared(built.save(tmp_path, output), pixels((100, 6, 1, 1)), {})
    assert network.meta["logits"].endswith("(logit +0)") and len(np.unique(network.readouts[-1].bias)) > 5


def last(built: Built, x: str, **changed: Any) -> str:
    """Ten classes of ``x``, quantised in 2 bits."""
    x = built.op("Flatten", built.quant(x, 2, 0.5))
    inputs = changed.get("inputs", 32)
    return built.op("MatMul", x, built.quant(np.ones((inputs, 10)), 4, changed.get("scale", 0.5)))


W = np.random.default_rng(0).integers(-7, 8, (2, 2, 3, 3)) / 4
REFUSED: dict[str, tuple[Callable[[Built], str], str]] = {
    "levels": (lambda b: b.quant(b.op("Conv", b.quant("x", 2), b.quant(W, 4)), 10, 0.01, name="q"),
               "^q: Quant of \\d+ levels is .*supported: up to 256"),
    "weights": (lambda b: b.op("Conv", b.quant("x", 2), W), "Conv1: Conv with weights that nothing quantises"),
    "wide": (lambda b: b.op("Conv", b.quant("x", 2), b.quant(99 * W, 9, 0.25)), "weights, of more than 8 bits"),
    "values": (lambda b: b.op("Conv", b.op("Conv", b.quant("x", 2), b.quant(W, 4)), b.quant(W, 4)),
               "Conv4: Conv of numbers that are not quantised .*supported: a quantiser before it"),
    "upsampling": (lambda b: upsampled(b, np.random.default_rng(0), b.op("Conv", b.quant("x", 2), b.quant(W, 4))),
                   "up: Resize of numbers that are not quantised"),
    "pool": (lambda b: last(b, b.op("MaxPool", b.op("Conv", b.quant("x", 2), b.quant(W, 4)), kernel_shape=[2, 2])),
             "MaxPool3: MaxPool of numbers that are not quantised"),
    "zero": (lambda b: b.op("Conv", b.quant("x", 2, zero=5.0), b.quant(W, 4), pads=[1, 1, 1, 1]),
             "whose zero point lies outside its numbers"),
    "trunc": (lambda b: b.op("Trunc", b.quant("x", 4), 1.0, 0.5, 4.0, 2.0, domain=QONNX),
              "^Trunc1: Trunc with a scale"),
    "wider": (lambda b: b.op("Trunc", b.quant("x", 4), 1.0, 0.0, 4.0, 6.0, domain=QONNX),
              "^Trunc1: Trunc of 4 bits to 6"),
    "edges": (lambda b: b.op("MultiThreshold", "x", np.zeros((3, 4)), domain=QONNX, out_dtype="UINT4"),
              "or \\(1, K\\)"),
    "rounding": (lambda b: b.quant("x", 2, rounding="NEAR"), "Quant with rounding_mode='NEAR' .*supported: ROUND, "),
    "scale": (lambda b: b.quant("x", 2, -1.0), "Quant with a scale that is not positive"),
    "bits": (lambda b: b.quant("x", 2.5), r"Quant of \[2.5\] bits"),
    "fraction": (lambda b: b.quant("x", 2, zero=0.5), "a zero point that is no whole number"),
    "domain": (lambda b: b.op("Quant", "x", 1.0, 0.0, 2.0, domain="com.x"), "Quant of the domain 'com.x'"),
    "classes": (lambda b: last(b, "x", inputs=128, scale=np.arange(1, 11) / 4), "of classes with several scales"),
    "biases": (lambda b: b.op("Add", last(b, "x", inputs=128), np.arange(10) / 7), "biases that are no whole"),
    "bent": (lambda b: b.op("Relu", last(b, "x", inputs=128)), "Relu that gives no line of sums"),
    "channels": (lambda b: b.op("Conv", b.quant("x", 2, np.array([[[1.0]], [[2.0]]])), b.quant(W, 4)),
                 "of channels with several scales"),
    "rows": (lambda b: b.op("Conv", b.quant("x", 2), b.quant(W, 4, W * W + 1)), "several scales for one output"),
    "units": (lambda b: last(b, b.op("Add", b.quant("x", 2, 0.5), b.quant("x", 2, 0.3))), "that is a whole multiple"),
    "infinite": (lambda b: last(b, b.op("Mul", "x", np.float32(np.inf))), "a constant that is not finite"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_exact_is_refused(tmp_path: Path, name: str) -> None:
    build, message = REFUSED[name]
    built = Built(1, 2, 8, 8)
    with pytest.raises(UnsupportedLayer, match=message):
        Onnx().read(built.save(tmp_path, build(built)))


def test_the_given_network_of_mnist(data_dir: Path, real: Callable[[str], Dataset]) -> None:
    _given(data_dir, real("mnist"), 500)


@pytest.mark.slow
def test_the_given_network_on_all_images(data_dir: Path, real: Callable[[str], Dataset]) -> None:
    assert _given(data_dir, real("mnist"), 10_000) == 0.9474


def _given(data_dir: Path, data: Dataset, count: int) -> float:
    """All logits of the network of the QONNX model zoo are the function of integers that the end of the graph is."""
    path = data_dir / "weights" / "qonnx-TFC_1W2A.onnx"
    if not path.is_file():
        pytest.skip("no qonnx-TFC_1W2A.onnx in the folder that SPIKELOOM_DATA names")
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    images = data.test_x[:count]
    model = ModelWrapper(str(path))
    model.set_tensor_shape("0", images.shape)
    wanted = execute_onnx(model.transform(InferShapes()), {"0": images.astype(np.float32) / np.float32(255)}, True)
    network = integers(path)
    found = golden.run(network, images)
    for name, tensor in (("Quant_13 as a vector", "39"), ("Quant_23", "49"), ("Quant_33", "59"), ("Quant_43", "69")):
        assert np.array_equal(found[name].reshape(count, -1), wanted[tensor]), name
    last = found.logits.astype(np.float32)
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    mean, gain, shift = (constants[f"features.15.{name}"] for name in ("running_mean", "weight", "bias"))
    end = (last - mean) / constants["84"] ** np.float32(0.5) * gain + shift
    assert np.array_equal(end, wanted["82"])
    np.testing.assert_allclose(relation(network)(found.logits), wanted["82"], rtol=0, atol=1e-6)
    assert network.meta["thresholds"] == "0 of 386 lie where the rounding of floats decides"
    assert np.array_equal(found.classes, wanted["82"].argmax(1))
    return float((found.classes == data.test_y[:count]).mean())
