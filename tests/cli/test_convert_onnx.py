"""``spikeloom convert NET.onnx``: floats by a method, integers as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeloom import api
from spikeloom.converted import Converted
from spikeloom.quant import golden
from spikeloom.quant.ir.network import NetworkError

pytest.importorskip("onnx", reason="the extra 'onnx' is not installed")
pytest.importorskip("qonnx", reason="qonnx, the oracle, is not installed")

from onnx_graphs import Built, executed, pixels

RNG = np.random.default_rng(0)


def integers(folder: Path) -> tuple[Path, str]:
    built = Built(1, 1, 3, 4)
    x = built.op("Flatten", built.quant("x", 4, 1 / 16, signed=0))
    x = built.op("MatMul", x, built.quant(RNG.normal(size=(12, 6)), 4, 0.25))
    x = built.quant(built.norm(x, 6, RNG, 1.0), 3, 0.5, name="act")
    output = built.op("MatMul", x, built.quant(RNG.normal(size=(6, 10)), 4, 0.25))
    return built.save(folder, output), output


def test_integers_are_taken_as_they_are(cli: Callable[..., Any], tmp_path: Path) -> None:
    path, output = integers(tmp_path)
    ran = cli("convert", path, "-o", tmp_path / "net.safetensors")
    assert ran.status == 0, ran.err
    text = " ".join(ran.out.split())
    assert "method none: onnx reads integers as they are" in text and "the graph are 0.125 * (logit +0)" in text
    network = api.load(tmp_path / "net.safetensors")
    image = pixels((1, 1, 3, 4))
    assert np.array_equal(golden.run(network, image).logits * 0.125, executed(path, image)[output])
    assert str(tmp_path) not in str(network.meta) and network.meta["origin"] == "net.onnx"
    np.savez(tmp_path / "images.npz", frames=image.astype(np.uint8))
    for option, value, name in (("--method", "ptq", "method"), ("--bits", 4, "bits"), ("--steps", 4, "steps"),
                                ("--test", tmp_path / "images.npz", "test")):  # fmt: skip
        given = ("-o", tmp_path / "other.safetensors", option, value)
        cli("convert", path, *given).refused("onnx: reads integers as they are; leave out", name)


def test_what_a_file_of_integers_sees_is_said(tmp_path: Path) -> None:
    """Bits of pixels, their range, mean and std: single floats, as what calls the graph would compute them."""
    path, output = integers(tmp_path)
    network = api.convert(path, input_bits=4, pixel_range=(-1, 1), mean=(0.1,), std=(0.7,))
    assert network.meta["sees"] == "pixels 0..15 as -1..1, less 0.1, by 0.7" and network.input.high == 15
    for image in pixels((8, 1, 1, 3, 4)) // 16:
        x = image.astype(np.float32) / np.float32(15) * np.float32(2) + np.float32(-1)
        wanted = executed(path, (x - np.float32(0.1)) / np.float32(0.7))
        assert np.array_equal(golden.run(network, image).logits * 0.125, wanted[output])
    with pytest.raises(NetworkError, match="net.onnx: mean has 3 values, but an image 1 channels"):
        api.convert(path, mean=(0.1, 0.2, 0.3))


def test_floats_are_quantised_by_a_method(cli: Callable[..., Any], tmp_path: Path) -> None:
    built = Built("N", 1, 3, 4)
    x = built.op("Relu", built.op("Gemm", built.op("Flatten", "x"), RNG.normal(size=(12, 6)), RNG.normal(size=6)))
    path = built.save(tmp_path, built.op("Gemm", x, RNG.normal(size=(6, 10))))
    images = pixels((40, 1, 3, 4)).astype(np.uint8)
    np.savez(tmp_path / "images.npz", frames=images, train_frames=images)
    ran = cli("convert", path, "--calibrate", tmp_path / "images.npz", "-o", tmp_path / "net.safetensors", "--json")
    assert ran.status == 0, ran.err
    assert ran.json["agreement"] > 0.9 and ran.json["method"] == "ptq"
    assert [layer["name"] for layer in ran.json["layers"]][0] == "Relu2"
    made = api.convert(path, calibrate=images)
    assert isinstance(made, Converted) and made.hash == ran.json["hash"]


def test_files_and_nodes_are_refused_in_a_line(cli: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"\0" * 100)
    out = ("-o", tmp_path / "net.safetensors")
    cli("convert", tmp_path / "net.onnx", *out).refused("net.onnx: is no ONNX file, or a damaged one")
    cli("convert", tmp_path / "none.onnx", *out).refused("none.onnx: No such file")
    built = Built(1, 1, 3, 4)
    x = built.op("Erf", built.op("Flatten", "x"), name="/act")
    built.save(tmp_path, built.op("Gemm", x, RNG.normal(size=(12, 10))))
    cli("convert", tmp_path / "net.onnx", *out).refused("/act: Erf is not supported; supported:")
    cli("convert", tmp_path / "net.onnx", "--weights", "x.pt", *out).refused("has its own weights")
    assert not (tmp_path / "net.safetensors").exists()


def test_what_is_not_exact_is_taken_where_that_is_asked_for(cli: Callable[..., Any], tmp_path: Path) -> None:
    """Averages of four values in their own scale: every fourth sum is a half, which floats round in their order."""
    scale = np.float32(1 / 255)
    built = Built(1, 1, 4, 4)
    x = built.op("QuantizeLinear", "x", scale, np.uint8(0))
    x = built.op("QLinearAveragePool", x, scale, np.uint8(0), scale, np.uint8(0), domain="com.microsoft", name="mean",
                 kernel_shape=[2, 2], strides=[2, 2])  # fmt: skip
    path = built.save(tmp_path, built.op("DequantizeLinear", built.op("Flatten", x), scale, np.uint8(0)), 4)
    given = ("convert", path, "-o", tmp_path / "net.safetensors")
    said = "(255 of 1,021 of them) lie so near the middle of two levels that the order of floats decides"
    cli(*given).refused("mean: QLinearAveragePool behind an average whose sums", said, "--approximate")
    ran = cli(*given, "--approximate")
    assert ran.status == 0 and said in " ".join(ran.out.split()), ran.err
    assert said in api.load(tmp_path / "net.safetensors").meta["approximate"]
    assert said in api.convert(path, approximate=True).facts["approximate"]
    built = Built("N", 1, 3, 4)
    built.save(tmp_path, built.op("Gemm", built.op("Flatten", "x"), RNG.normal(size=(12, 10))))
    cli(*given, "--approximate").refused("onnx: reads no integers here; leave out approximate (--approximate)")
