"""A copy of a user's model with other activations, to be trained: what the methods' ``prepare`` share.

The copy is a graph of torch.fx, which is what the model did when it was traced. So everything is settled before: what
is on in training alone, what writes over a result that is read again, and that the copy, with plain ReLUs and clamps,
gives what the model gives.
"""

from __future__ import annotations

import copy
import math
import operator
from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import fx, nn

from ..layers import Activation, UnsupportedLayer, refuse
from ..layers.pool import MAX_POOLS
from .arguments import Arguments, in_place
from .faithful import check_same
from .graph import checked, layers_of
from .tracing import Constant, call_name, graph_of, plain, type_name, word
from .unchanged import DROPOUTS

__all__ = ["prepared"]


def prepared(
    model: nn.Module,
    activation: Callable[[float], nn.Module],
    *,
    average_pools: bool = False,
    shape: tuple[int, int, int] | None = None,
) -> fx.GraphModule:
    """A copy of ``model`` with an ``activation`` of its own for every ReLU and every clamp from 0 on, called with its
    upper end, and with average pools for max-pools.

    ``shape`` as in :func:`~quant.methods.qcfs.prepare`. Raises UnsupportedLayer and NetworkError as ``graph.read``
    does, and for an activation that gives values below 0.
    """
    source = plain(model)
    layers, images = checked(source, shape)
    for layer in layers:
        if isinstance(layer, Activation):
            layer.check_unsigned("activations that become spikes")
    try:
        model = copy.deepcopy(model)
    except Exception as error:  # deepcopy runs the user's code
        raise UnsupportedLayer(
            f"{type_name(model)}: cannot be copied ({error}); supported: models that copy.deepcopy copies"
        ) from error
    graph = _graph(model)
    for node in graph.nodes:
        if isinstance(node.target, Constant):
            refuse(call_name(node), "a constant that the forward makes", "one of register_buffer, or a number")
    traced = fx.GraphModule(model, graph)
    highs = _own_activations(traced)
    check_same(source, plain(traced), images, replaced=highs)
    for name, high in highs.items():
        traced.add_submodule(name, activation(high))
    if average_pools:
        _average_pools(traced)
    traced.recompile()
    traced.delete_all_unused_submodules()
    return traced


def _graph(model: nn.Module) -> fx.Graph:
    """The graph of ``model``, in training and in evaluation, with modules for the dropouts that know which it is."""
    graph, training = (graph_of(model, training=flag) for flag in (False, True))
    for node, other in zip(list(graph.nodes), list(training.nodes), strict=False):
        switch = [n.kwargs.get("training") for n in (node, other)]
        if node.target in DROPOUTS and other.target is node.target and switch == [False, True]:
            kind = nn.Dropout if node.target is F.dropout else nn.Dropout2d
            name = _name(node)
            while hasattr(model, name):
                name += "_"
            settings = node.kwargs.get("p", 0.5), bool(node.kwargs.get("inplace"))
            model.add_module(name, kind(*settings).train(model.training))
            for n in (node, other):
                _replace(n, n.graph.call_module, name)
    if (lines := str(graph).splitlines()) != (others := str(training).splitlines()):
        line = next((b for a, b in zip(lines, others, strict=False) if a != b), others[-1])
        raise UnsupportedLayer(
            f"{type_name(model)}: its forward in training is another than in evaluation ({line.strip()}); supported: "
            f"one for both, with nn.Dropout, or F.dropout(x, p, self.training)"
        )
    return graph


def _own_activations(traced: fx.GraphModule) -> dict[str, float]:
    """Give every ReLU and every clamp of ``traced`` a module of its own, and every operation that writes over what it
    takes a result of its own, which is what the operations behind it read. Returns the upper ends of the modules, by
    name."""
    modules: dict[str, nn.Module] = {n: m for n, m in traced.named_modules(remove_duplicate=False)}  # noqa: C416
    highs: dict[str, float] = {}
    layers, nodes = layers_of(traced), list(traced.graph.nodes)
    behind = {node: k for k, node in enumerate(nodes)}
    for k, node in enumerate(nodes):
        of, writes = node.args[0] if node.args else node.kwargs.get("input"), False
        if node.target is operator.iadd:
            node.target, writes = operator.add, True
        elif isinstance(layer := layers.get(node), Activation) and layer.qcfs is None:
            of, writes = node.all_input_nodes[0], in_place(node, modules)
            name = _name(node)
            while name in highs or (name in modules and not isinstance(modules[name], nn.ReLU | nn.Hardtanh)):
                name += "_"
            highs[name] = layer.high
            traced.add_submodule(name, nn.ReLU() if layer.high == math.inf else nn.Hardtanh(0.0, layer.high))
            node = _replace(node, traced.graph.call_module, name)
        if writes:
            assert isinstance(of, fx.Node)
            of.replace_all_uses_with(node, lambda user, k=k: behind.get(user, -1) > k)
    traced.recompile()
    return highs


def _average_pools(traced: fx.GraphModule) -> None:
    modules: dict[str, Any] = dict(traced.named_modules(remove_duplicate=False))
    for node in list(traced.graph.nodes):
        if node.target in MAX_POOLS:
            given = Arguments(node)  # padding and the like were refused before
            sizes = {key: given.take(key) for key in ("kernel_size", "stride")}
            _replace(node, traced.graph.call_function, F.avg_pool2d, **sizes)
        elif node.op == "call_module" and isinstance(pool := modules[str(node.target)], nn.MaxPool2d):
            traced.add_submodule(str(node.target), nn.AvgPool2d(pool.kernel_size, pool.stride))


def _replace(node: fx.Node, call: Callable[..., fx.Node], target: Any, **settings: Any) -> fx.Node:
    """Put a ``call`` of ``target`` for the same input in place of ``node``."""
    with node.graph.inserting_after(node):
        other = call(target, (node.all_input_nodes[0],), settings)
    other.meta = dict(node.meta)
    node.replace_all_uses_with(other)
    node.graph.erase_node(node)
    return other


def _name(node: fx.Node) -> str:
    """A name for what replaces ``node``: with the path of the module it is, or that called it, as one word."""
    if node.op == "call_module":
        return str(node.target).replace(".", "_")
    path = list(node.meta.get("nn_module_stack", {"": None}))[-1]
    return f"{path.replace('.', '_')}_{word(node)}" if path else node.name
