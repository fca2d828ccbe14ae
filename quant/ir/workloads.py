"""The standing workloads: integer perceptron and CNN on the digits, trained once and frozen, for all measurements.

A layer of theirs is h = clip((W @ x + b) >> shift, 0, 15), which is a :class:`~.nodes.Requant` with bias -b;
the last one gives logits W @ x + b. numpy only.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..files.npz import NpzError, NpzFile
from .network import Network
from .ops import Conv2d, Flatten, Input, Linear, MaxPool, NetworkError, Node, Readout, Requant

__all__ = ["from_workload", "workload_frames"]

HIGH = 15
"""Largest pixel and largest activation."""


def _open(path: str | Path) -> dict[str, np.ndarray]:
    try:
        with NpzFile(path) as file:
            return {name: file.array(name) for name in file.names}
    except FileNotFoundError:
        raise NetworkError(f"{path}: no such file") from None
    except NpzError as error:
        raise NetworkError(f"{path}: not a readable workload file ({error})") from None


def from_workload(npz_path: str | Path, prefix: str) -> Network:
    """The network ``prefix`` ("mlp" or "cnn") of a workload file, as a quantised network (T = 1, 4-bit weights).

    "mlp" takes pixels of shape (64, 1, 1), "cnn" (1, 8, 8): 3x3 kernels without padding, then a 2x2 max-pool.
    """
    if prefix not in ("mlp", "cnn"):
        raise NetworkError(f"Workload {prefix!r} is unknown; supported: mlp, cnn")
    file = _open(npz_path)
    if missing := [k for k in (f"{prefix}_w0", f"{prefix}_sh") if k not in file]:
        raise NetworkError(f"{npz_path}: has no {missing[0]}; not a workload file")
    shifts = file[f"{prefix}_sh"]
    nodes: list[Node] = [Input(name="input", shape=(64, 1, 1) if prefix == "mlp" else (1, 8, 8), high=HIGH)]

    def add(kind: type[Node], name: str, **values: object) -> None:
        nodes.append(kind(name=name, source=nodes[-1].name, **values))

    for k in range(len(shifts)):
        weight, bias = file[f"{prefix}_w{k}"], file[f"{prefix}_b{k}"]
        if weight.ndim == 2 and prefix == "cnn":
            add(MaxPool, "pool", kernel=2, stride=2)
            add(Flatten, "flatten")
        layer = f"{'conv' if weight.ndim == 4 else 'linear'}{k + 1}"
        add(Conv2d if weight.ndim == 4 else Linear, layer, weight=weight, weight_bits=4)
        if k < len(shifts) - 1:
            add(Requant, f"quant{k + 1}", bias=-bias, shift=np.full(len(bias), shifts[k]), lo=0, hi=HIGH)
        else:
            add(Readout, "readout", bias=bias)
    return Network(nodes=tuple(nodes), steps=1, meta={"origin": f"standing workload {prefix}, digits w4a4"})


def workload_frames(npz_path: str | Path, prefix: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The test frames (N, C, H, W) of network ``prefix``, their labels (N,) and the logits expected (N, 10)."""
    file = _open(npz_path)
    shape = (64, 1, 1) if prefix == "mlp" else (1, 8, 8)
    return file["Xte"].reshape(-1, *shape), file["yte"], file[f"{prefix}_y"]
