"""Every operation of a traced graph compared with the layer that was read from it, on random numbers of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from ..activations import QCFS
from ..layers import IMAGE, Activation, Layer, UnsupportedLayer
from .compare import SEED, compare, scales
from .reader import Reading
from .tracing import call_name, evaluating, type_name

__all__ = ["check_layers"]


def check_layers(model: nn.Module, graph: fx.Graph, reading: Reading, x: Tensor) -> None:
    """Compare every operation of ``graph`` with the layer read from it, for images ``x``. Raises UnsupportedLayer,
    naming the first one that differs."""
    ends = {
        reading.nodes[layer.sources[0]]: end
        for layer in reading.layers.values()
        if isinstance(layer, Activation) and layer.sources[0] in reading.nodes and math.isfinite(end := _end(layer))
    }
    runner = _Runner(model, graph, set(reading.nodes.values()), ends)
    with evaluating(model):
        try:
            runner.run(x.clone())
        except Exception as error:
            where = call_name(runner.at) if runner.at else type_name(model)
            raise UnsupportedLayer(
                f"{where}: fails on images of shape {tuple(x.shape[1:])} ({error}); supported: layers that fit one "
                f"another"
            ) from error
        image_node = next(node for node in graph.nodes if node.op == "placeholder")
        nodes = {node: name for name, node in reading.nodes.items()}  # the last of a node's layers
        values = {IMAGE: runner.seen[image_node]}
        for name, layer in reading.layers.items():
            node, sources = reading.nodes[name], [values[source] for source in layer.sources]
            if nodes[node] != name:  # one operation that becomes two layers
                values[name] = layer.value(sources)
                continue
            compare(name, _expected(layer, sources), runner.computed[node], _size(layer, sources, reading))
            values[name] = runner.seen[node]
        for node, of in reading.passed.items():
            compare(call_name(node), runner.seen[of], runner.computed[node], runner.seen[of].abs().max())
        for node, of in reading.softmax.items():
            logits = runner.seen[of]
            found = runner.computed[node]
            forms = (logits.softmax(1), logits.log_softmax(1), logits.sigmoid(), F.logsigmoid(logits))
            soft = min(forms, key=lambda form: (form - found).abs().max().item() if form.shape == found.shape else 1e9)
            compare(call_name(node), soft, found, logits.abs().max())


class _Runner(fx.Interpreter):
    """Executes a graph with the user's modules and functions on random numbers.

    ``computed``, what each operation gives for what it takes; ``seen``, what the others take of it: of the operations
    ``last`` of a layer random numbers, as large as the end of the activation that takes them, ``ends``. A result that
    shares its memory with something else stays as it is, for writing over it is what may be wrong. ``at``: the
    operation it is at.
    """

    at: fx.Node | None

    def __init__(
        self, model: nn.Module, graph: fx.Graph, last: set[fx.Node], ends: Mapping[fx.Node, float]
    ) -> None:
        super().__init__(model, graph=graph)
        self.last, self.ends, self.at = last, ends, None
        self.computed, self.seen = dict[fx.Node, Tensor](), dict[fx.Node, Tensor]()
        self.random = torch.Generator().manual_seed(SEED)

    def run_node(self, n: fx.Node) -> Any:
        """One operation."""
        self.at = n
        result = super().run_node(n)
        if not isinstance(result, Tensor) or n.op == "output":
            return result
        self.computed[n] = result.clone()
        taken = [self.env[k] for k in n.all_input_nodes if isinstance(self.env.get(k), Tensor)]
        if n in self.last and all(result.untyped_storage().data_ptr() != x.untyped_storage().data_ptr() for x in taken):
            noise = torch.randn(result.shape, generator=self.random, dtype=torch.float64).to(result.dtype)
            result = noise * self.ends.get(n, 1.0)
        self.seen[n] = result.clone()
        return result


def _end(activation: Activation) -> float:
    """The upper end of an activation, infinite where it has none; of one without an upper end the lower one."""
    if activation.qcfs is not None:
        return activation.qcfs.threshold.item()
    return activation.high if math.isfinite(activation.high) else -activation.low or math.inf


def _expected(layer: Layer, x: list[Tensor]) -> Tensor:
    """What ``layer`` gives, computed without the hooks of its module."""
    if not isinstance(layer, Activation) or layer.qcfs is None:
        return layer.value(x)
    if type(layer.qcfs).forward is not QCFS.forward:
        raise UnsupportedLayer(
            f"{layer.name}: {type_name(layer.qcfs)} has a forward of its own; supported: a QCFS whose quantise alone "
            f"is another"
        )
    result, threshold = QCFS.forward(layer.qcfs, x[0].clone()), layer.qcfs.threshold.item()
    half = threshold / layer.qcfs.levels / 2
    if (apart := (result - x[0].clamp(0, threshold)).abs().max().item()) > half * 1.001:
        raise UnsupportedLayer(
            f"{layer.name}: its quantise gives values {apart:.4g} away from what it takes; supported: rounding, by at "
            f"most half a level, {half:.4g}"
        )
    return result


def _size(layer: Layer, x: list[Tensor], reading: Reading) -> Tensor:
    """How large the numbers are that ``layer`` adds up, as a whole or in each channel."""
    size = layer.magnitude(x)
    norm: Any = reading.folds.get(layer.name)
    if norm is not None:  # mean and bias may cancel
        size = size + scales(norm)[1].view(-1, *[1] * (size.ndim - 2))
    return size
