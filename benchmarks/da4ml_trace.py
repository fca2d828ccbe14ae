"""A quantised network of ours as da4ml's pipeline in Verilog; runs in the environment that ``da4ml_design.py`` makes.

    python da4ml_trace.py NETWORK.safetensors FRAMES.npy FOLDER CUTOFF

Reads a network file (docs/network.md) and frames (N, C, H, W). Writes into FOLDER da4ml's Verilog, the logits of
da4ml's own interpreter for these frames, and ``pipeline.json``: the number of stages and how its ports are packed.
CUTOFF is the longest stage in da4ml's unit of delay, one adder.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from da4ml.codegen import VerilogModel  # pyright: ignore[reportMissingImports] (another environment)
from da4ml.trace import (  # pyright: ignore[reportMissingImports]
    FixedVariableArray,
    HWConfig,
    comb_trace,
    to_pipeline,
)
from da4ml.types import minimal_kif  # pyright: ignore[reportMissingImports]
from safetensors import safe_open

TOP = "da4ml_top"
HARDWARE = HWConfig(1, -1, -1)
"""A delay of one for every adder, whatever its width: da4ml's default."""


def patches(x: Any, kernel: tuple[int, int]) -> Any:
    """The windows of ``x`` (C, H, W) as rows (positions, C * Ky * Kx)."""
    (_, height, width), (ky, kx) = x.shape, kernel
    positions = [(i, j) for i in range(height - ky + 1) for j in range(width - kx + 1)]
    rows = np.stack([x._vars[:, i : i + ky, j : j + kx].ravel() for i, j in positions])
    return FixedVariableArray(rows, x.solver_options, hwconf=x.hwconf)


def step(node: dict[str, Any], arrays: dict[str, np.ndarray], x: Any) -> Any:
    """The result of ``node`` on ``x``. Raises ValueError where the node has settings that have no form here."""
    match node:
        case {"type": "Conv2d", "stride": 1, "padding": 0} if "dilation" not in node:
            weight = arrays["weight"]
            (outputs, _, ky, kx), (_, height, width) = weight.shape, x.shape
            if weight.shape[1] != x.shape[0]:
                raise ValueError(f"{node['name']}: grouped convolution")
            sums = patches(x, (ky, kx)) @ weight.reshape(outputs, -1).T.astype(float)
            return sums.transpose((1, 0)).reshape((outputs, height - ky + 1, width - kx + 1))
        case {"type": "Linear"}:
            return x.flatten() @ arrays["weight"].T.astype(float)
        case {"type": "Requant", "lo": 0, "hi": hi} if (hi + 1) & hi == 0:
            shape = (-1,) + (1,) * (x.ndim - 1)
            scaled = (x - arrays["bias"].astype(float).reshape(shape)) * 2.0 ** -arrays["shift"].reshape(shape)
            # Truncation floors, saturation clamps to 0..2^i - 1.
            return scaled.quantize(k=0, i=hi.bit_length(), f=0, overflow_mode="SAT", round_mode="TRN")
        case {"type": "MaxPool", "kernel": k, "stride": int(s)} if k == s and "padding" not in node:
            channels, height, width = (n // d for n, d in zip(x.shape, (1, k, k), strict=True))
            inside = x[:, : height * k, : width * k].reshape((channels, height, k, width, k))
            return np.max(inside, axis=(2, 4))
        case {"type": "Flatten"}:
            return x.flatten()
        case {"type": "Readout"}:
            return x + arrays["bias"].astype(float)
    raise ValueError(f"{node['name']}: no form for da4ml of {node}")


def trace(path: str) -> tuple[Any, Any]:
    """Inputs and outputs of the network file ``path`` as da4ml's symbols."""
    with safe_open(path, framework="numpy") as file:
        first, *nodes = json.loads(file.metadata()["spikeloom"])["nodes"]
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    shape, high = first["shape"], float(first["high"])
    x = inputs = FixedVariableArray.from_lhs(np.zeros(shape), np.full(shape, high), np.ones(shape), HARDWARE)
    for node in nodes:
        prefix = node["name"] + "/"
        x = step(node, {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}, x)
    return inputs, x


def verilog(folder: Path) -> str:
    """All modules that da4ml wrote into ``folder`` and that the top module needs, as one text."""
    source = folder / "src"
    text = "".join(path.read_text() for path in sorted(source.glob(f"{TOP}*.v")) if "wrapper" not in path.name)
    return text + "".join(path.read_text() for path in sorted((source / "static").glob("*.v")) if path.stem in text)


def main(network: str, frames: str, folder: str, cutoff: str) -> None:
    """Write the design; see the top of this file."""
    inputs, outputs = trace(network)
    logic = comb_trace(inputs, outputs)
    pipeline = to_pipeline(logic, float(cutoff), verbose=False)
    out, pixels = Path(folder), np.load(frames)
    VerilogModel(pipeline, TOP, out).write()
    (out / f"{TOP}.v").write_text(verilog(out))
    np.save(out / "logits.npy", logic.predict(pixels.reshape(len(pixels), -1).astype(float)))
    # Sign, integer and fractional bits of every value, packed from the least significant bit of the port upwards.
    values = {"inputs": pipeline.inp_qint, "outputs": pipeline.out_qint}
    packed = {port: [list(map(int, minimal_kif(v))) for v in intervals] for port, intervals in values.items()}
    contents = {"top": TOP, "verilog": f"{TOP}.v", "stages": len(pipeline.solutions), **packed}
    (out / "pipeline.json").write_text(json.dumps(contents))


if __name__ == "__main__":
    main(*sys.argv[1:])
