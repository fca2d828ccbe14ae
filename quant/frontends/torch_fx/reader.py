"""Operations of a traced graph, one after the other, as layers.

Dropout, Identity and a final (log) softmax change no answer and are left out.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field, replace
from typing import Any

import torch.nn.functional as F
from torch import fx, nn

from ..activations import QCFS
from ..layers import (
    IMAGE,
    Activation,
    Flat,
    Layer,
    Pool,
    Shortcut,
    Sum,
    UnsupportedLayer,
    Weights,
    refuse,
)
from .arguments import (
    ADDITIONS,
    DROPOUTS,
    FLATTENS,
    MAX_POOLS,
    MEANS,
    SOFTMAXES,
    VIEWS,
    Arguments,
    in_place,
    is_relu,
)
from .modules import divided_by, folded, from_conv, from_linear, one_number, pooled
from .sizes import Sizes
from .tracing import call_name, type_name

__all__ = ["Reader", "Reading"]

SUPPORTED = (
    "Conv2d, Linear, BatchNorm1d, BatchNorm2d, ReLU, QCFS, AvgPool2d, MaxPool2d, AdaptiveAvgPool2d(1), Flatten, "
    "Dropout, Identity, the sum of two branches and a final Softmax or LogSoftmax"
)


@dataclass
class Reading:
    """What was read from a graph. ``layers`` by name, each behind its sources, as the graph has them; ``nodes``, the
    operation that gives the result of each; ``passed``, operations that give what another one does; ``softmax``, final
    ones, with what they take; ``folds``, the batch norm that is part of a layer."""

    layers: dict[str, Layer] = field(default_factory=dict)
    nodes: dict[str, fx.Node] = field(default_factory=dict)
    passed: dict[fx.Node, fx.Node] = field(default_factory=dict)
    softmax: dict[fx.Node, fx.Node] = field(default_factory=dict)
    folds: dict[str, nn.Module] = field(default_factory=dict)


class Reader:
    """Layers, one operation after the other.

    ``found``: the layer that holds the result of an operation; ``sizes``: operations that give a size; ``latest``: the
    operation that has written over the result of another one; ``reading``: the layers and what :mod:`~.operations`
    needs to know of them; ``answer``: the layer of the logits.
    """

    def __init__(self, modules: dict[str, nn.Module]) -> None:
        self.modules = modules
        self.reading = Reading()
        self.layers = self.reading.layers
        self.answer = ""
        self.found: dict[fx.Node, str] = {}
        self.latest: dict[fx.Node, fx.Node] = {}
        self.sizes = Sizes()

    def read(self, node: fx.Node) -> None:
        """The next operation. Raises UnsupportedLayer, naming it, where it has no integer counterpart."""
        name = call_name(node)
        if node.op == "placeholder":
            if self.found:
                raise UnsupportedLayer(f"{name}: a second input is not supported; supported: one image")
            self.found[node] = IMAGE
        elif node.op == "get_attr":
            raise UnsupportedLayer(f"{name}: a parameter used outside a layer is not supported; supported: {SUPPORTED}")
        elif not self.sizes.note(node):
            given = Arguments(node)
            of = given.take("input", None)
            if node.op != "call_module" and node.target in ADDITIONS:
                self._add(name, node, given, of)
            else:
                self._read(name, node, given, self.layer(of, name), self._now(of))
            given.done()
            if in_place(node, self.modules):
                self.latest[self._now(of)] = node

    def layer(self, node: Any, name: str) -> str:
        """The layer whose result ``node`` is."""
        if not isinstance(node, fx.Node) or node not in self.found:
            what = call_name(node) if isinstance(node, fx.Node) else repr(node)
            raise UnsupportedLayer(f"{name}: takes {what}, which is no result of a layer; supported: {SUPPORTED}")
        return self.found[self._now(node)]

    def _now(self, node: fx.Node) -> fx.Node:
        """The operation whose result ``node`` holds by now."""
        while node in self.latest:
            node = self.latest[node]
        return node

    def _read(self, name: str, node: fx.Node, given: Arguments, source: str, of: fx.Node) -> None:
        module = self.modules[str(node.target)] if node.op == "call_module" else None
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            before = self.layers.get(source)
            if not isinstance(before, Weights) or len(node.all_input_nodes[0].users) > 1:
                refuse(name, "batch norm there", "batch norm directly behind a convolution or linear layer")
            self._replace(node, source, folded(name, before, module))
            self.reading.folds[source] = module
        elif is_relu(node, self.modules):
            given.take("inplace")
            self._put(node, Activation(name, (source,), None))
        elif module is not None:
            self._module(name, node, module, source, of)
        else:
            self._function(name, node, given, source, of)

    def _put(self, node: fx.Node, layer: Layer) -> None:
        name = layer.name
        while name in self.layers or name == IMAGE:
            name += "_"
        self._replace(node, name, replace(layer, name=name))

    def _replace(self, node: fx.Node, name: str, layer: Layer) -> None:
        """``layer`` is ``name`` from here on, and ``node`` gives its result."""
        self.layers[name], self.found[node], self.reading.nodes[name] = layer, name, node

    def _pass(self, node: fx.Node, source: str, of: fx.Node) -> None:
        """``node`` gives what ``of`` does, in evaluation."""
        self.found[node], self.reading.passed[node] = source, of

    def _add(self, name: str, node: fx.Node, given: Arguments, of: Any) -> None:
        alpha = given.take("alpha", 1)
        if alpha != 1:
            refuse(name, f"a sum with alpha={alpha}", "a plain sum")
        self._put(node, Sum(name, tuple(self.layer(term, name) for term in (of, given.take("other")))))

    def _module(self, name: str, node: fx.Node, module: nn.Module, source: str, of: fx.Node) -> None:
        match module:
            case nn.Conv2d():
                self._put(node, from_conv(name, source, module))
            case nn.Linear():
                self._put(node, from_linear(name, source, module))
            case QCFS():
                self._put(node, Activation(name, (source,), module))
            case nn.AvgPool2d():
                sizes = (module.kernel_size, module.stride, module.padding, 1, module.ceil_mode)
                pool = pooled(name, source, "average", *sizes)
                self._put(node, replace(pool, divisor=divided_by(name, module.divisor_override)))
            case nn.MaxPool2d():
                if module.return_indices:
                    refuse(name, "return_indices=True", "max-pools that give their values alone")
                sizes = (module.kernel_size, module.stride, module.padding, module.dilation, module.ceil_mode)
                self._put(node, pooled(name, source, "max", *sizes))
            case nn.AdaptiveAvgPool2d():
                self._global(name, node, source, module.output_size)
            case nn.Flatten():
                if (module.start_dim, module.end_dim) != (1, -1):
                    refuse(name, f"Flatten({module.start_dim}, {module.end_dim})", "Flatten(1, -1)")
                self._put(node, Flat(name, (source,)))
            case nn.Dropout() | nn.Dropout2d() | nn.Identity():
                self._pass(node, source, of)
            case nn.Softmax() | nn.LogSoftmax():
                self._final(name, node, source, of, module.dim)
            case _:
                refuse(name, type_name(module), SUPPORTED)

    def _function(self, name: str, node: fx.Node, given: Arguments, source: str, of: fx.Node) -> None:
        target, take = node.target, given.take
        if target in FLATTENS:
            ends = take("start_dim", 0), take("end_dim", -1)
            if ends != (1, -1):
                refuse(name, f"flatten({ends[0]}, {ends[1]})", "flatten(x, 1)")
            self._put(node, Flat(name, (source,)))
        elif target in VIEWS:
            to = take("shape") or [take(key) for key in list(given.left) if key.startswith("argument ")]
            to = to[0] if len(to) == 1 and isinstance(to[0], tuple | list) else to
            if len(to) != 2 or self.sizes.axis(to[0]) != 0 or to[1] != -1:
                refuse(name, "a view", "x.view(x.size(0), -1) or torch.flatten(x, 1)")
            self._put(node, Flat(name, (source,)))
        elif target in DROPOUTS:
            for key in ("p", "inplace"):  # which change nothing in evaluation
                take(key)
            if take("training", True) is not False:
                refuse(name, "dropout that is on in evaluation", "nn.Dropout, or F.dropout(x, p, self.training)")
            self._pass(node, source, of)
        elif target in SOFTMAXES:
            take("_stacklevel")
            self._final(name, node, source, of, take("dim"))
            if take("dtype") is not None:
                refuse(name, "a softmax in another type of numbers", "softmax without dtype")
        elif target in MAX_POOLS:
            sizes = take("kernel_size"), take("stride"), take("padding", 0), take("dilation", 1), take("ceil_mode")
            if take("return_indices"):
                refuse(name, "return_indices=True", "max-pools that give their values alone")
            self._put(node, pooled(name, source, "max", sizes[0], sizes[1] or sizes[0], *sizes[2:]))
        elif target is F.avg_pool2d:
            self._average(name, node, given, source)
        elif target is F.adaptive_avg_pool2d:
            self._global(name, node, source, take("output_size"))
        elif target in MEANS:
            axes, keep = take("dim"), take("keepdim", False)
            if not isinstance(axes, tuple | list) or sorted(a % 4 for a in axes) != [2, 3]:
                refuse(name, f"mean over {axes}", "mean((2, 3)), over the whole map")
            if take("dtype") is not None:
                refuse(name, "a mean in another type of numbers", "mean without dtype")
            self._global(name, node, source, 1)
            if not keep:
                self._put(node, Flat(f"{name}_flat", (self.found[node],)))
        elif target is operator.getitem:
            self._strided(name, node, source, take("index"))
        elif target is F.pad:
            self._padded(name, node, source, take("pad", ()), take("mode", "constant"), take("value"))
        else:
            refuse(name, getattr(target, "__name__", str(target)), SUPPORTED)

    def _average(self, name: str, node: fx.Node, given: Arguments, source: str) -> None:
        take = given.take
        kernel, stride, padding = take("kernel_size"), take("stride"), take("padding", 0)
        ceil, divisor = take("ceil_mode", False), take("divisor_override")
        take("count_include_pad")  # there is no padding
        if whole := self.sizes.whole_map(kernel):
            kernel = stride = 1  # one window, whatever the stride
        pool = pooled(name, source, "average", kernel, stride or kernel, padding, 1, ceil)
        pool = replace(pool, divisor=divided_by(name, divisor))
        self._put(node, replace(pool, kernel=0, stride=0) if whole else pool)

    def _global(self, name: str, node: fx.Node, source: str, output: Any) -> None:
        if set(output if isinstance(output, tuple | list) else [output]) != {1}:
            refuse(name, f"an adaptive pool to {output}", "one to 1, over the whole map")
        self._put(node, Pool(name, (source,), "average", 0, 0))

    def _strided(self, name: str, node: fx.Node, source: str, index: Any) -> None:
        """x[:, :, ::s, ::s], the beginning of a shortcut."""
        every = slice(None)
        steps = [s.step for s in index[2:] if isinstance(s, slice)] if isinstance(index, tuple) else []
        if len(steps) != 2 or index != (every, every, *(slice(None, None, s) for s in steps)):
            refuse(name, f"the part [{index}]", "x[:, :, ::s, ::s] as a shortcut")
        self._put(node, Shortcut(name, (source,), one_number(name, "stride", [s or 1 for s in steps]), 0, 0))

    def _padded(self, name: str, node: fx.Node, source: str, pad: Any, mode: str, value: Any) -> None:
        """F.pad(x, (0, 0, 0, 0, before, after)), the channels of zeros of a shortcut."""
        if mode != "constant" or value not in (None, 0) or list(pad[:4]) != [0] * 4 or len(pad) != 6 or min(pad) < 0:
            refuse(name, f"pad {tuple(pad)}", "F.pad(x, (0, 0, 0, 0, before, after)), channels of zeros, as a shortcut")
        before = self.layers.get(source)
        if isinstance(before, Shortcut) and len(node.all_input_nodes[0].users) == 1:
            wider = replace(before, before=before.before + pad[4], after=before.after + pad[5])
            self._replace(node, source, wider)
        else:
            self._put(node, Shortcut(name, (source,), 1, pad[4], pad[5]))

    def _final(self, name: str, node: fx.Node, source: str, of: fx.Node, axis: Any) -> None:
        if any(user.op != "output" for user in node.users):
            refuse(name, "softmax inside the network", "softmax as the last layer, where it changes no answer")
        if axis not in (None, 1, -1):  # None is 1 for what a Linear gives
            refuse(name, f"softmax over axis {axis}", "softmax over the classes, axis 1")
        self.found[node], self.reading.softmax[node] = source, of
