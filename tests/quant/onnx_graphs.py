"""Graphs of ONNX and QONNX written by hand, and what their own runtimes give for them."""

from __future__ import annotations

import logging
import math
import re
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from spikeloom.quant.ir.network import Network

BREVITAS, QONNX = "onnx.brevitas", "qonnx.custom_op.general"


class Built:
    """A graph in the making, for images ``shape`` (N, C, H, W) or (N, C)."""

    def __init__(self, *shape: int | str, opset: int = 13) -> None:
        self.shape, self.opset, self.versions = shape, opset, dict[str, int]()
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[TensorProto] = []

    def constant(self, array: Any) -> str:
        array = np.asarray(array)
        array = array.astype(np.float32) if array.dtype == np.float64 else array
        self.constants.append(numpy_helper.from_array(array, f"constant{len(self.constants)}"))
        return self.constants[-1].name

    def op(self, kind: str, *inputs: Any, domain: str = "", name: str | None = None, **attributes: Any) -> str:
        """A node; inputs that are no names become constants. The name of its output."""
        names = [x if isinstance(x, str) else self.constant(x) for x in inputs]
        name = f"{kind}{len(self.nodes)}" if name is None else name
        output = f"out{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, names, [output], name, domain=domain, **attributes))
        return output

    def quant(self, x: Any, bits: int, scale: Any = 1.0, zero: float = 0.0, signed: int = 1, narrow: int = 0,
              rounding: str = "ROUND", name: str | None = None) -> str:  # fmt: skip
        return self.op("Quant", x, np.float32(scale), np.float32(zero), np.float32(bits), domain=QONNX, name=name,
                       signed=signed, narrow=narrow, rounding_mode=rounding)  # fmt: skip

    def norm(self, x: str, channels: int, rng: np.random.Generator, size: float) -> str:
        """A batch norm of sums about as large as ``size``."""
        scale = rng.uniform(-2, 2, channels)
        mean, var = rng.normal(size=channels) * size, rng.uniform(0.5, 1, channels) * size**2
        return self.op("BatchNormalization", x, scale, rng.normal(size=channels), mean, var, epsilon=1e-5)

    def model(self, output: str, outputs: int = 10) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes, "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, [self.shape[0], outputs])], self.constants,
        )  # fmt: skip
        domains = {node.domain for node in self.nodes} - {""}
        versions = {"": self.opset, **{domain: self.versions.get(domain, 1) for domain in sorted(domains)}}
        opsets = [helper.make_opsetid(domain, version) for domain, version in versions.items()]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)

    def save(self, folder: Path, output: str, outputs: int = 10) -> Path:
        onnx.save(self.model(output, outputs), folder / "net.onnx")
        return folder / "net.onnx"


def pixels(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Random pixels, 0 and 255 among them."""
    found = np.random.default_rng(seed).integers(0, 256, shape)
    found.reshape(-1)[: min(8, math.prod(shape)) : 2] = 255
    return found


def floats(images: np.ndarray) -> np.ndarray:
    """Pixels as ONNX graphs take them, 0..1."""
    return images.astype(np.float32) / np.float32(255)


def executed(path: Path, images: np.ndarray) -> dict[str, np.ndarray]:
    """All tensors of a QONNX graph for a batch of pixels, or floats, as large as the graph says, by qonnx itself."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    model = ModelWrapper(str(path)).transform(InferShapes())
    x = images if images.dtype == np.float32 else floats(images)
    shape = model.get_tensor_shape(model.graph.input[0].name)
    return execute_onnx(model, {model.graph.input[0].name: x.reshape(shape)}, True)


def statically(path: Path, to: Path, batches: Iterable[np.ndarray], **settings: Any) -> Path:
    """The file of floats ``path``, quantised by ONNX Runtime with calibration on ``batches`` of its input, saved ``to``
    a file. Weights have 7 bits: kernels for processors without VNNI add up pairs of products in 16."""
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(batches)

        def get_next(self) -> Any:
            batch = next(self.left, None)
            return None if batch is None else {"x": batch}

    settings = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8} | settings
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            quantize_static(str(path), str(to), Reader(), reduce_range=True, **settings)
        finally:
            logging.disable(logging.NOTSET)
    return to


def with_outputs(path: Path, names: Iterable[str]) -> Path:
    """A file like ``path`` that gives the tensors ``names`` alone."""
    model = onnx.load(path)
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    onnx.save(model, path.with_suffix(".outputs.onnx"))
    return path.with_suffix(".outputs.onnx")


def relation(network: Network) -> Callable[[np.ndarray], np.ndarray]:
    """What the logits of the graph are, of those of the network: its meta says so."""
    said = re.fullmatch(r"those of the graph are (\S+) \* \(logit (\S+)\)", network.meta["logits"])
    assert said is not None
    unit, start = map(float, said.groups())
    return lambda logits: unit * (logits + start)


def runtime(path: Path, images: np.ndarray) -> np.ndarray:
    """The output of an ONNX graph, by ONNX Runtime."""
    return outputs(path, images)[0]


def outputs(path: Path, images: np.ndarray) -> list[np.ndarray]:
    """All outputs of an ONNX graph, by ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: images})
    assert all(isinstance(part, np.ndarray) for part in found)
    return [np.asarray(part) for part in found]
