"""From a user's ordinary ``nn.Module`` to a plain graph of layers, batch norm folded.

The model is traced with torch.fx. Every operation is either understood exactly or refused with the name of the module
and what is supported instead; nothing is skipped silently. Dropout, Identity and a final (log) softmax change no
answer and are left out; a max-pool before its activation is moved behind it, which is the same for a rising function.
"""

from __future__ import annotations

import operator
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from .layers import (
    IMAGE,
    Activation,
    Flat,
    Layer,
    Pool,
    Shortcut,
    Sum,
    UnsupportedLayer,
    Weights,
    folded,
    from_conv,
    from_linear,
    one_number,
    pooled,
    refuse,
)
from .methods.qcfs import QCFS, QcfsTracer, is_relu
from .structure import check, size

__all__ = ["trace"]

SUPPORTED = (
    "Conv2d, Linear, BatchNorm1d, BatchNorm2d, ReLU, QCFS, AvgPool2d, MaxPool2d, AdaptiveAvgPool2d(1), Flatten, "
    "Dropout, Identity, the sum of two branches and a final Softmax or LogSoftmax"
)

ADDITIONS = (operator.add, operator.iadd, torch.add, "add", "add_")
MEANS = (torch.mean, "mean")
VIEWS = ("view", "reshape", torch.reshape)


def trace(model: nn.Module, shape: tuple[int, int, int] | None = None) -> list[Layer]:
    """The layers of ``model``, each behind its sources, the last one the ``Linear`` of the classes.

    ``shape`` (C, H, W) of the image is needed where a pool covers the whole map. Raises UnsupportedLayer, naming the
    module, for everything without an integer counterpart.
    """
    if isinstance(model, fx.GraphModule):
        graph = model.graph  # knows the names of the modules that its functions were called in
    else:
        try:
            graph = QcfsTracer().trace(model)
        except Exception as error:  # torch.fx runs the user's code, so anything may come out of it
            raise UnsupportedLayer(
                f"{type(model).__name__}: its forward cannot be traced ({error}); supported: a forward "
                f"without branches on its data"
            ) from error
    reader = _Reader(dict(model.named_modules(remove_duplicate=False)))
    for node in graph.nodes:
        if node.op == "output":
            if not isinstance(node.args[0], fx.Node):
                raise UnsupportedLayer("output: several results are not supported; supported: the logits")
            answer = reader.layer(node.args[0], "output")
            break
        reader.read(node)
    return size(check(list(reader.layers.values()), answer), shape)


class _Reader:
    """Layers, one operation after the other. ``found``: the layer that holds the result of an operation; ``sizes``:
    operations that give a size, with their source and its axis (None: all of them, "map": height and width)."""

    def __init__(self, modules: dict[str, nn.Module]) -> None:
        self.modules = modules
        self.layers: dict[str, Layer] = {}
        self.found: dict[fx.Node, str] = {}
        self.sizes: dict[fx.Node, tuple[fx.Node, int | str | None]] = {}

    def read(self, node: fx.Node) -> None:
        name = self._name(node)
        if node.op == "placeholder":
            if self.found:
                raise UnsupportedLayer(f"{name}: a second input is not supported; supported: one image")
            self.found[node] = IMAGE
        elif node.op == "get_attr":
            raise UnsupportedLayer(f"{name}: a parameter used outside a layer is not supported; supported: {SUPPORTED}")
        elif not self._is_size(node):
            self._read(name, node)

    def layer(self, node: Any, name: str) -> str:
        """The layer whose result ``node`` is."""
        if not isinstance(node, fx.Node) or node not in self.found:
            what = self._name(node) if isinstance(node, fx.Node) else repr(node)
            raise UnsupportedLayer(f"{name}: takes {what}, which is no result of a layer; supported: {SUPPORTED}")
        return self.found[node]

    def _read(self, name: str, node: fx.Node) -> None:
        if node.op != "call_module" and node.target in ADDITIONS:
            self._add(name, node)
            return
        source = self.layer(node.args[0] if node.args else node.kwargs.get("input"), name)
        module = self.modules[str(node.target)] if node.op == "call_module" else None
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            before = self.layers.get(source)
            if not isinstance(before, Weights) or len(node.all_input_nodes[0].users) > 1:
                refuse(name, "batch norm there", "batch norm directly behind a convolution or linear layer")
            self.layers[source] = folded(name, before, module)
            self.found[node] = source
        elif is_relu(node, self.modules):
            self._put(node, Activation(name, (source,), None))
        elif module is not None:
            self._module(name, node, module, source)
        else:
            self._function(name, node, source)

    def _put(self, node: fx.Node, layer: Layer) -> None:
        name = layer.name
        while name in self.layers or name == IMAGE:
            name += "_"
        self.layers[name] = replace(layer, name=name)
        self.found[node] = name

    def _name(self, node: fx.Node) -> str:
        """The path of a module; for a function its name, behind the path of the module that called it."""
        if node.op == "call_module":
            return str(node.target)
        path = list(node.meta.get("nn_module_stack", {"": None}))[-1]
        if not path:
            return node.name
        return f"{path}.{node.target if isinstance(node.target, str) else getattr(node.target, '__name__', node.name)}"

    def _add(self, name: str, node: fx.Node) -> None:
        alpha = node.kwargs.get("alpha", 1)
        if alpha != 1:
            refuse(name, f"a sum with alpha={alpha}", "a plain sum")
        terms = [*node.args, *(node.kwargs[k] for k in ("input", "other") if k in node.kwargs)]
        self._put(node, Sum(name, tuple(self.layer(term, name) for term in terms)))

    def _module(self, name: str, node: fx.Node, module: nn.Module, source: str) -> None:
        match module:
            case nn.Conv2d():
                self._put(node, from_conv(name, source, module))
            case nn.Linear():
                self._put(node, from_linear(name, source, module))
            case QCFS():
                self._put(node, Activation(name, (source,), module))
            case nn.AvgPool2d():
                if module.divisor_override is not None:
                    refuse(name, f"divisor_override={module.divisor_override}", "a plain average")
                sizes = (module.kernel_size, module.stride, module.padding, 1, module.ceil_mode)
                self._put(node, pooled(name, source, "average", *sizes))
            case nn.MaxPool2d():
                sizes = (module.kernel_size, module.stride, module.padding, module.dilation, module.ceil_mode)
                self._put(node, pooled(name, source, "max", *sizes))
            case nn.AdaptiveAvgPool2d():
                self._global(name, node, source, module.output_size)
            case nn.Flatten():
                if (module.start_dim, module.end_dim) != (1, -1):
                    refuse(name, f"Flatten({module.start_dim}, {module.end_dim})", "Flatten(1, -1)")
                self._put(node, Flat(name, (source,)))
            case nn.Dropout() | nn.Dropout2d() | nn.Identity():
                self.found[node] = source
            case nn.Softmax() | nn.LogSoftmax():
                self._final(name, node, source)
            case _:
                refuse(name, type(module).__name__, SUPPORTED)

    def _function(self, name: str, node: fx.Node, source: str) -> None:
        def arg(at: int, key: str, default: Any) -> Any:
            return node.args[at] if len(node.args) > at else node.kwargs.get(key, default)

        target = node.target
        if target in (torch.flatten, "flatten"):
            if (arg(1, "start_dim", 0), arg(2, "end_dim", -1)) != (1, -1):
                refuse(name, f"flatten({arg(1, 'start_dim', 0)}, {arg(2, 'end_dim', -1)})", "flatten(x, 1)")
            self._put(node, Flat(name, (source,)))
        elif target in VIEWS:
            to = arg(1, "shape", ()) if isinstance(arg(1, "shape", ()), tuple | list) else node.args[1:]
            if len(to) != 2 or self._axis(to[0]) != 0 or to[1] != -1:
                refuse(name, "a view", "x.view(x.size(0), -1) or torch.flatten(x, 1)")
            self._put(node, Flat(name, (source,)))
        elif target in (F.dropout, F.dropout2d):
            self.found[node] = source
        elif target in (F.softmax, F.log_softmax, torch.softmax, torch.log_softmax, "softmax", "log_softmax"):
            self._final(name, node, source)
        elif target in (F.avg_pool2d, F.max_pool2d, torch.max_pool2d):
            most = target is not F.avg_pool2d
            kernel, stride = arg(1, "kernel_size", None), arg(2, "stride", None)
            if not most and self._whole_map(kernel):
                self._global(name, node, source, 1)
                return
            rest = (
                arg(3, "padding", 0),
                arg(4, "dilation", 1) if most else 1,
                arg(5 if most else 4, "ceil_mode", False),
            )
            self._put(node, pooled(name, source, "max" if most else "average", kernel, stride or kernel, *rest))
        elif target is F.adaptive_avg_pool2d:
            self._global(name, node, source, arg(1, "output_size", None))
        elif target in MEANS:
            axes = arg(1, "dim", None)
            if not isinstance(axes, tuple | list) or sorted(a % 4 for a in axes) != [2, 3]:
                refuse(name, f"mean over {axes}", "mean((2, 3)), over the whole map")
            self._global(name, node, source, 1)
            if not arg(2, "keepdim", False):
                self._put(node, Flat(f"{name}_flat", (self.found[node],)))
        elif target is operator.getitem:
            self._strided(name, node, source)
        elif target is F.pad:
            self._padded(name, node, source, arg(1, "pad", ()), arg(2, "mode", "constant"), arg(3, "value", None))
        else:
            refuse(name, getattr(target, "__name__", str(target)), SUPPORTED)

    def _global(self, name: str, node: fx.Node, source: str, output: Any) -> None:
        if set(output if isinstance(output, tuple | list) else [output]) != {1}:
            refuse(name, f"an adaptive pool to {output}", "one to 1, over the whole map")
        self._put(node, Pool(name, (source,), "average", 0, 0))

    def _strided(self, name: str, node: fx.Node, source: str) -> None:
        """x[:, :, ::s, ::s], the beginning of a shortcut."""
        every, index = slice(None), node.args[1]
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
            self.layers[source], self.found[node] = wider, source
        else:
            self._put(node, Shortcut(name, (source,), 1, pad[4], pad[5]))

    def _final(self, name: str, node: fx.Node, source: str) -> None:
        if any(user.op != "output" for user in node.users):
            refuse(name, "softmax inside the network", "softmax as the last layer, where it changes no answer")
        self.found[node] = source

    def _is_size(self, node: fx.Node) -> bool:
        """Note x.size(), x.size(k), x.shape and x.shape[k]; False for anything else."""
        args = node.args
        if node.op == "call_method" and node.target == "size":
            axis = args[1] if len(args) > 1 else node.kwargs.get("dim")
            self.sizes[node] = (node.all_input_nodes[0], None if axis is None else int(axis) % 4)  # type: ignore[arg-type]
        elif node.op == "call_function" and node.target is getattr and args[1] == "shape":
            self.sizes[node] = (node.all_input_nodes[0], None)
        elif node.target is operator.getitem and args[0] in self.sizes:
            of, axis = self.sizes[node.all_input_nodes[0]]
            index = args[1]
            if axis is not None or not (isinstance(index, int) or index in (slice(2, None), slice(-2, None))):
                return False
            self.sizes[node] = (of, index % 4 if isinstance(index, int) else "map")
        else:
            return False
        return True

    def _axis(self, value: Any) -> int | str | None:
        return self.sizes[value][1] if isinstance(value, fx.Node) and value in self.sizes else None

    def _whole_map(self, kernel: Any) -> bool:
        sides = kernel if isinstance(kernel, tuple | list) else [kernel]
        return all(self._axis(side) in (2, 3, "map") for side in sides)
