"""What executes graphs of NIR in these tests, by the equations of NIR alone, and networks that become such graphs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch
import torch.nn.functional as F

from spikeloom.quant.ir.network import Network
from spikeloom.quant.ir.ops import IF, Conv2d, Flatten, Input, Linear, Node, Readout, SumPool


def executed(graph: nir.NIRGraph, image: np.ndarray, steps: int) -> dict[str, np.ndarray]:
    """What every node gives for a constant current (N, ...) in every step, (N, T, ...), in double floats.

    A step is 1 long. IF: v += r * I; where v > v_threshold (v >= v_threshold, where the metadata say so) a spike, and
    v -= v_threshold, from v0 of the metadata, else from 0.
    """
    (start,) = [name for name, node in graph.nodes.items() if isinstance(node, nir.Input)]
    order, after = [start], dict(graph.edges)
    while order[-1] in after:
        order.append(after[order[-1]])
    found: dict[str, list[torch.Tensor]] = {name: [] for name in order}
    membranes = {name: torch.as_tensor(graph.nodes[name].metadata.get("v0", 0.0)).double() for name in order}
    for _ in range(steps):
        x = torch.from_numpy(image).double()
        for name in order:
            node = graph.nodes[name]
            if isinstance(node, nir.IF):
                v, threshold = membranes[name] + double(node.r) * x, double(node.v_threshold)
                x = (v >= threshold if node.metadata.get("test") == ">=" else v > threshold).double()
                membranes[name] = v - x * threshold
            else:
                x = stateless(node, x)
            found[name].append(x)
    return {name: torch.stack(each, 1).numpy() for name, each in found.items()}


def stateless(node: Any, x: torch.Tensor) -> torch.Tensor:
    """A step of a node without a state."""
    match node:
        case nir.Conv2d():
            weight, bias = double(node.weight), double(node.bias)
            padding = node.padding if isinstance(node.padding, str) else pair(node.padding)
            moved = {"stride": pair(node.stride), "padding": padding, "dilation": pair(node.dilation)}
            return F.conv2d(x, weight, bias, groups=int(node.groups), **moved)
        case nir.Conv1d():
            moved = {"stride": int(node.stride), "padding": int(node.padding), "dilation": int(node.dilation)}
            return F.conv1d(x, double(node.weight), double(node.bias), groups=int(node.groups), **moved)
        case nir.Affine():
            return F.linear(x, double(node.weight), double(node.bias))
        case nir.Linear():
            return F.linear(x, double(node.weight))
        case nir.SumPool2d() | nir.AvgPool2d():
            windows = pair(node.kernel_size), pair(node.stride), pair(node.padding)
            return F.avg_pool2d(x, *windows, divisor_override=1 if isinstance(node, nir.SumPool2d) else None)
        case nir.Flatten():
            return x.flatten(1)
        case nir.Scale():
            return x * double(node.scale)
    return x


def double(values: Any) -> torch.Tensor:
    return torch.as_tensor(np.asarray(values)).double()


def pair(values: Any) -> tuple[int, int]:
    rows, columns = np.broadcast_to(np.asarray(values), (2,))
    return int(rows), int(columns)


def chained(folder: Path, *nodes: Any, **metadata: Any) -> Path:
    """A file of ``nodes``, one behind the other, named by their types and places."""
    names = [f"{type(node).__name__.lower()}{k}" for k, node in enumerate(nodes)]
    return written(folder, dict(zip(names, nodes, strict=True)), list(zip(names, names[1:], strict=False)), **metadata)


def written(folder: Path, nodes: dict[str, Any], edges: Sequence[tuple[str, str]], **metadata: Any) -> Path:
    """A file of any graph, which the package does not look at."""
    nir.write(folder / "net.nir", nir.NIRGraph(nodes, list(edges), metadata=metadata, type_check=False))
    return folder / "net.nir"


def neurons(shape: Sequence[int], threshold: Any = 1.0, r: Any = 1.0, **metadata: Any) -> nir.IF:
    ones = np.ones(shape, np.float32)
    made = nir.IF(r=ones * r, v_threshold=ones * threshold, v_reset=0 * ones)
    made.metadata = metadata
    return made


def causal(seed: int, *, strict: bool = False, v0: int = 0, counts: bool = False, steps: int = 5) -> Network:
    """Two convolutions, one of them depthwise, a pool and two linear layers, with random integers, ``v0`` up to which
    membranes begin; ``counts``: the answer is spikes."""
    rng = np.random.default_rng(seed)

    def fire(name: str, source: str, channels: int, *size: int, least: int = 9) -> IF:
        start, bias = rng.integers(0, v0 + 1, (channels, *size)), rng.integers(-2, 3, channels)
        threshold = rng.integers(least, 3 * least, channels)
        return IF(name=name, source=source, threshold=threshold, bias=bias, v0=start, strict=strict)

    nodes: list[Node] = [
        Input(name="image", shape=(2, 7, 6), high=15),
        Conv2d(name="a/conv", source="image", weight=rng.integers(-3, 4, (4, 2, 3, 2)), weight_bits=3, stride=(2, 1),
               padding=(1, 0)),
        fire("a.fire", "a/conv", 4, 4, 5),
        Conv2d(name="depth", source="a.fire", weight=rng.choice([-7, 9], (4, 1, 2, 2)), weight_bits=5, groups=4,
               dilation=(1, 2)),
        fire("b", "depth", 4),
        SumPool(name="pool", source="b", kernel=(3, 2), stride=1, padding=(1, 0)),
        Flatten(name="flat", source="pool"),
        Linear(name="hidden", source="flat", weight=rng.choice([-1, 1], (6, 24)), weight_bits=1),
        fire("c", "hidden", 6),
        Linear(name="last", source="c", weight=rng.integers(-8, 8, (3, 6)), weight_bits=4),
    ]  # fmt: skip
    if counts:
        nodes += [fire("d", "last", 3, least=2), Linear(name="out counts", source="d", weight=np.eye(3), weight_bits=2)]
    bias = np.zeros(3) if counts else [3, -4, 1]
    return Network((*nodes, Readout(name="out", source=nodes[-1].name, bias=bias)), steps)
