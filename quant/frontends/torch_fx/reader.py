"""Operations of a traced graph, one after the other, as layers."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_arg

from ..layers import IMAGE, Flat, Heads, Layer, UnsupportedLayer, Weights, refuse
from . import unchanged  # noqa: F401  registers its readers
from .arguments import in_place
from .call import Call
from .registry import READERS
from .results import named
from .sizes import Sizes
from .tracing import Constant, call_name, type_name

__all__ = ["Reader", "Reading"]

SUPPORTED = (
    "Conv2d, Linear, BatchNorm1d, BatchNorm2d, ReLU, ReLU6, Hardtanh, LeakyReLU, PReLU, Sigmoid, Tanh, SiLU, GELU and "
    "their like, QCFS, AvgPool2d, MaxPool2d, "
    "AdaptiveAvgPool2d, AdaptiveMaxPool2d, Upsample, ZeroPad2d, ChannelShuffle, Flatten, Dropout, Identity, sums, "
    "concatenations, splits and shuffles of channels, and a final Softmax, LogSoftmax or Sigmoid"
)


@dataclass
class Reading:
    """What was read from a graph. ``layers`` by name, each behind its sources, as the graph has them; ``nodes``, the
    operation that gives the result of each; ``passed``, operations that give what another one does; ``softmax``, final
    ones, with what they take; ``folds``, the batch norm that is part of a layer; ``lines``, whether
    the model takes lines (N, C, L), which are maps of one row here."""

    layers: dict[str, Layer] = field(default_factory=dict)
    nodes: dict[str, fx.Node] = field(default_factory=dict)
    passed: dict[fx.Node, fx.Node] = field(default_factory=dict)
    softmax: dict[fx.Node, fx.Node] = field(default_factory=dict)
    folds: dict[str, Any] = field(default_factory=dict)
    lines: bool = False


class Reader:
    """Layers, one operation after the other.

    ``found``: the layer that holds the result of an operation; ``sizes``: operations that give a size; ``latest``: the
    operation that has written over the result of another one; ``constants``: parameters and buffers of the model;
    ``parts``: operations that give no layer by themselves, with the one they are of (:meth:`Call.hold`); ``reading``:
    the layers and what :mod:`~.operations` needs to know of them; ``answer``: the layer of the logits, or ``heads``,
    the maps that the model gives.
    """

    def __init__(self, modules: dict[str, nn.Module]) -> None:
        self.modules = modules
        self.reading = Reading()
        self.layers = self.reading.layers
        self.answer = ""
        self.heads: Heads | None = None
        self.found: dict[fx.Node, str] = {}
        self.latest: dict[fx.Node, fx.Node] = {}
        self.sizes = Sizes()
        self.constants: dict[fx.Node, Any] = {}
        self.parts: dict[fx.Node, tuple[fx.Node, Any]] = {}

    def read(self, node: fx.Node) -> None:
        """The next operation. Raises UnsupportedLayer, naming it, where it has no integer counterpart."""
        name = call_name(node)
        if node.op == "placeholder":
            if self.found:
                raise UnsupportedLayer(f"{name}: a second input is not supported; supported: one image")
            self.found[node] = IMAGE
        elif node.op == "get_attr":
            self.constants[node] = self.attribute(str(node.target))
        elif isinstance(node.target, Constant):
            self.constants[node] = node.target.value
        elif node.all_input_nodes and all(given in self.constants for given in node.all_input_nodes):
            self.constants[node] = self._computed(node, name)
        elif node.target is operator.getitem and not node.users:
            return  # of a result in parts, one that nobody asked for
        elif not self.sizes.note(node):
            call = Call(self, node)
            self._reader(node)(call)
            call.given.done()
            if in_place(node, self.modules):
                self.latest[self._now(call.of)] = node

    @property
    def whole(self) -> list[Layer]:
        """All layers, the heads last where there are any."""
        return [*self.layers.values(), *([] if self.heads is None else [self.heads])]

    def answers(self, result: Any) -> None:
        """Take note of the ``result`` of the model: logits, or maps. Raises UnsupportedLayer for what is neither."""
        parts = list(named(result))
        if not parts or not all(isinstance(part, fx.Node) for _, part in parts):
            refuse("output", "what is no tensor as a result", "a tensor, or a tuple, list or dict of tensors")
        sources = tuple(self.layer(part, "output") for _, part in parts)
        if IMAGE in sources:
            refuse("output", "the image itself as a result", "results of layers")
        self.answer = sources[0]
        if isinstance(result, fx.Node) and self._vector(self.answer):
            return
        for _, part in parts:
            self._check_head(part)
        self.heads = Heads.of(sources, self.layers, [name for name, _ in parts])
        self.answer = self.heads.name

    def _vector(self, name: str) -> bool:
        """Whether the result of a layer is a vector in the model."""
        layer = self.layers.get(name)
        if layer is None:
            return False
        return layer.weight.ndim == 2 if isinstance(layer, Weights) else (
            isinstance(layer, Flat) or self._vector(layer.sources[0])
        )

    def _check_head(self, node: fx.Node) -> None:
        """Refuse a softmax of a map, which would change its numbers."""
        while node in self.reading.passed:
            node = self.reading.passed[node]
        if node in self.reading.softmax:
            refuse(
                call_name(node),
                "softmax or sigmoid of a result that is no vector of classes, or one of several,",
                "the numbers before it, to which those who read the maps apply it",
            )

    def layer(self, node: Any, name: str) -> str:
        """The layer whose result ``node`` is."""
        if isinstance(node, fx.Node) and node in self.constants:
            raise UnsupportedLayer(f"{name}: a parameter used outside a layer is not supported; supported: {SUPPORTED}")
        if not isinstance(node, fx.Node) or node not in self.found:
            what = call_name(node) if isinstance(node, fx.Node) else repr(node)
            raise UnsupportedLayer(f"{name}: takes {what}, which is no result of a layer; supported: {SUPPORTED}")
        return self.found[self._now(node)]

    def attribute(self, path: str) -> Any:
        """The parameter or buffer at ``path`` of the model."""
        *owner, name = path.split(".")
        return getattr(self.modules[".".join(owner)], name)

    def _computed(self, node: fx.Node, name: str) -> Any:
        """What ``node`` gives of parameters and buffers alone, as a weight that a forward makes of another."""
        if in_place(node, self.modules):
            refuse(name, "writing over a parameter or a buffer", "a forward that leaves them as they are")
        args, kwargs = map_arg((node.args, node.kwargs), lambda given: self.constants[given])
        if node.op == "call_module":
            return self.modules[str(node.target)](*args, **kwargs)
        if node.op == "call_method":
            return getattr(args[0], str(node.target))(*args[1:], **kwargs)
        assert not isinstance(node.target, str)  # a function
        return node.target(*args, **kwargs)

    def constant(self, value: Any, name: str) -> Tensor | None:
        """See :meth:`Call.constant`."""
        if isinstance(value, fx.Node):
            value = self.constants.get(value)
        if isinstance(value, bool) or not isinstance(value, int | float | Tensor):
            return None
        found = torch.as_tensor(value, dtype=torch.float64).detach()
        shape = tuple(found.shape)
        channels = 0  # (n,) beside a vector, (C, 1, 1) beside a map; whether it fits is seen when it is compared
        if len(shape) in (1, 2) or (len(shape) in (3, 4) and shape[-2:] == (1, 1)):
            channels = shape[-1 if len(shape) < 3 else -3]
        if found.numel() > 1 and found.numel() != channels:
            refuse(
                name,
                f"a parameter used outside a layer, of shape {shape},",
                f"one number, one a channel, of shape (C, 1, 1), (n,) beside a vector, and {SUPPORTED}",
            )
        return found.reshape(-1)

    def put(self, node: fx.Node, layer: Layer) -> None:
        """``layer`` is new, under a name that is free, and ``node`` gives its result."""
        name = layer.name
        while name in self.layers or name == IMAGE:
            name += "_"
        self.replace(node, name, replace(layer, name=name))

    def replace(self, node: fx.Node, name: str, layer: Layer) -> None:
        """``layer`` is ``name`` from here on, and ``node`` gives its result."""
        self.layers[name], self.found[node], self.reading.nodes[name] = layer, name, node

    def hand_on(self, node: fx.Node, source: str, of: fx.Node) -> None:
        """``node`` gives what ``of`` does, in evaluation."""
        self.found[node], self.reading.passed[node] = source, self._now(of)

    def decide(self, node: fx.Node, source: str, of: fx.Node) -> None:
        """``node`` is a (log) softmax of ``of``, the logits."""
        self.found[node], self.reading.softmax[node] = source, self._now(of)

    def _reader(self, node: fx.Node) -> Callable[[Call], None]:
        """What reads ``node``."""
        if (known := self._known(node)) is not None:
            return known
        for given in node.all_input_nodes or [None]:
            self.layer(given, call_name(node))
        return self._refuse(node)

    def _known(self, node: fx.Node) -> Callable[[Call], None] | None:
        """What reads ``node``, if anything; of a class of modules derived from another one, what reads that."""
        if node.op != "call_module":
            return READERS.get(node.target)
        kinds = type(self.modules[str(node.target)]).__mro__
        return next((READERS[kind] for kind in kinds if kind in READERS), None)

    def _refuse(self, node: fx.Node) -> NoReturn:
        module = self.modules[str(node.target)] if node.op == "call_module" else None
        what = type_name(module) if module is not None else getattr(node.target, "__name__", str(node.target))
        refuse(call_name(node), what, SUPPORTED)

    def check_modules(self, graph: fx.Graph) -> None:
        """Raise UnsupportedLayer for the first module that nothing reads, whatever else there may be before it."""
        for node in graph.nodes:
            if node.op == "call_module" and self._known(node) is None:
                self._refuse(node)

    def _now(self, node: fx.Node) -> fx.Node:
        """The operation whose result ``node`` holds by now."""
        while node in self.latest:
            node = self.latest[node]
        return node
