"""From a user's ordinary ``nn.Module`` to a plain chain of layers, batch norm folded.

The model is traced with torch.fx. Every operation is either understood exactly or refused with the name of the module
and what is supported instead; nothing is skipped silently. Dropout, Identity and a final (log) softmax change no
answer and are left out; a max-pool before its activation is moved behind it, which is the same for a rising function.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from .methods.qcfs import QCFS, QcfsTracer, is_relu

__all__ = ["Activation", "Flat", "Layer", "Pool", "UnsupportedLayer", "Weights", "trace"]


class UnsupportedLayer(ValueError):
    """A part of a model without an integer counterpart; the message names module, rule and what is supported."""


@dataclass(frozen=True)
class Layer:
    """A layer of the chain; ``name`` is the path of the module it came from."""

    name: str


@dataclass(frozen=True)
class Weights(Layer):
    """A convolution or linear layer, batch norm folded in.

    ``weight`` (Co, Ci, Ky, Kx) or (out, in) and ``bias`` (Co,), detached copies in the type of the model; ``stride``
    and ``padding`` of a convolution.
    """

    weight: Tensor
    bias: Tensor
    stride: int = 1
    padding: int = 0


@dataclass(frozen=True)
class Activation(Layer):
    """A ReLU (``qcfs`` is None) or the QCFS module itself."""

    qcfs: QCFS | None


@dataclass(frozen=True)
class Pool(Layer):
    """Pooling over ``kernel`` x ``kernel`` windows; ``kind`` is "average" or "max"."""

    kind: str
    kernel: int
    stride: int


@dataclass(frozen=True)
class Flat(Layer):
    """(N, C, H, W) to (N, C*H*W)."""


def trace(model: nn.Module) -> list[Layer]:
    """The layers of ``model`` in order. Raises UnsupportedLayer, naming the module, for anything but such a chain."""
    try:
        graph = QcfsTracer().trace(model)
    except Exception as error:  # torch.fx runs the user's code, so anything may come out of it
        raise UnsupportedLayer(
            f"{type(model).__name__}: its forward cannot be traced ({error}); supported: a forward "
            f"without branches on its data"
        ) from error
    modules = dict(model.named_modules(remove_duplicate=False))
    layers: list[Layer] = []
    last: fx.Node | None = None
    for node in graph.nodes:
        name = str(node.target) if node.op == "call_module" else str(node.name)
        if node.op == "output":
            break
        if node.op == "placeholder":
            if last is not None:
                raise UnsupportedLayer(f"{name}: a second input is not supported; supported: one image")
            last = node
            continue
        _check_chain(name, node, last, modules)
        last = node
        layer = _layer(name, node, modules)
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            if not layers or not isinstance(layers[-1], Weights):
                _refuse(name, "batch norm there", "batch norm directly behind a convolution or linear layer")
            layers[-1] = _fold(name, layers[-1], layer)
        elif isinstance(layer, Layer):
            while any(layer.name == other.name for other in layers):
                layer = replace(layer, name=f"{layer.name}_")
            layers.append(layer)
    return _ordered(layers)


def _check_chain(name: str, node: fx.Node, last: fx.Node | None, modules: dict[str, nn.Module]) -> None:
    if node.op == "get_attr":
        raise UnsupportedLayer(f"{name}: a parameter used outside a layer is not supported; supported: {SUPPORTED}")
    if (
        node.op == "call_function"
        and node.target in (operator.add, operator.iadd, torch.add)
        or node.op == "call_method"
        and node.target in ("add", "add_")
    ):
        _refuse(name, "a residual addition", "a chain of layers, each fed by the one before it")
    sources = node.all_input_nodes
    if sources != [last]:
        raise UnsupportedLayer(
            f"{name}: takes {' and '.join(str(s.target) for s in sources) or 'nothing'}, but the layer before it is "
            f"{last.target if last else 'missing'}; supported: a chain of layers, each fed by the one before it"
        )


SUPPORTED = (
    "Conv2d, Linear, BatchNorm1d, BatchNorm2d, ReLU, QCFS, AvgPool2d, MaxPool2d, Flatten, Dropout, Identity "
    "and a final Softmax or LogSoftmax"
)


def _refuse(name: str, what: str, instead: str) -> NoReturn:
    raise UnsupportedLayer(f"{name}: {what} is not supported; supported: {instead}")


def _layer(name: str, node: fx.Node, modules: dict[str, nn.Module]) -> Layer | nn.Module | None:
    """The layer of one node; a batch norm as it is; None for what changes no answer."""
    if is_relu(node, modules):
        return Activation(name, None)
    if node.op != "call_module":
        return _function(name, node)
    module = modules[str(node.target)]
    match module:
        case nn.Conv2d():
            return _conv(name, module)
        case nn.Linear():
            return Weights(name, module.weight.detach().clone(), _bias(module.bias, module.weight))
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            return module
        case QCFS():
            return Activation(name, module)
        case nn.AvgPool2d():
            if module.divisor_override is not None:
                _refuse(name, f"divisor_override={module.divisor_override}", "a plain average")
            return _pool(name, "average", module.kernel_size, module.stride, module.padding, 1, module.ceil_mode)
        case nn.MaxPool2d():
            return _pool(
                name, "max", module.kernel_size, module.stride, module.padding, module.dilation, module.ceil_mode
            )
        case nn.Flatten():
            if (module.start_dim, module.end_dim) != (1, -1):
                _refuse(name, f"Flatten({module.start_dim}, {module.end_dim})", "Flatten(1, -1)")
            return Flat(name)
        case nn.Dropout() | nn.Dropout2d() | nn.Identity():
            return None
        case nn.Softmax() | nn.LogSoftmax():
            return _final(name, node)
    hint = "AvgPool2d with the size of the map" if isinstance(module, nn.AdaptiveAvgPool2d) else SUPPORTED
    _refuse(name, type(module).__name__, hint)


def _function(name: str, node: fx.Node) -> Layer | None:
    def arg(at: int, key: str, default: Any) -> Any:
        return node.args[at] if len(node.args) > at else node.kwargs.get(key, default)

    target = node.target
    if target in (torch.flatten, "flatten"):
        if (arg(1, "start_dim", 0), arg(2, "end_dim", -1)) != (1, -1):
            _refuse(name, f"flatten({arg(1, 'start_dim', 0)}, {arg(2, 'end_dim', -1)})", "flatten(x, 1)")
        return Flat(name)
    if target in (F.dropout, F.dropout2d):
        return None
    if target in (F.softmax, F.log_softmax, torch.softmax, torch.log_softmax, "softmax", "log_softmax"):
        return _final(name, node)
    if target in (F.avg_pool2d, F.max_pool2d, torch.max_pool2d):
        most = target is not F.avg_pool2d
        kernel = arg(1, "kernel_size", None)
        return _pool(
            name,
            "max" if most else "average",
            kernel,
            arg(2, "stride", None) or kernel,
            arg(3, "padding", 0),
            arg(4, "dilation", 1) if most else 1,
            arg(5 if most else 4, "ceil_mode", False),
        )
    what = getattr(target, "__name__", str(target))
    _refuse(name, what, "torch.flatten(x, 1)" if what in ("view", "reshape", "size", "getattr") else SUPPORTED)


def _final(name: str, node: fx.Node) -> None:
    if any(user.op != "output" for user in node.users):
        _refuse(name, "softmax inside the network", "softmax as the last layer, where it changes no answer")


def _one(name: str, what: str, value: Any) -> int:
    """A setting that must be the same in both directions."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        if len(set(value)) != 1:
            _refuse(name, f"{what}={tuple(value)}", f"the same {what} in both directions")
        value = value[0]
    return int(value)


def _pool(name: str, kind: str, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Pool:
    if _one(name, "padding", padding) or _one(name, "dilation", dilation) != 1 or ceil_mode:
        _refuse(
            name, f"a pool with padding={padding}, dilation={dilation}, ceil_mode={ceil_mode}", "pools without them"
        )
    return Pool(name, kind, _one(name, "kernel_size", kernel), _one(name, "stride", stride))


def _bias(bias: Tensor | None, weight: Tensor) -> Tensor:
    return torch.zeros(len(weight), dtype=weight.dtype) if bias is None else bias.detach().clone()


def _conv(name: str, module: nn.Conv2d) -> Weights:
    if module.groups != 1:
        _refuse(name, f"groups={module.groups}", "groups=1")
    if (dilation := _one(name, "dilation", module.dilation)) != 1:
        _refuse(name, f"dilation={dilation}", "dilation=1")
    padding = module.padding
    if isinstance(padding, str):
        if padding == "same" and any(k % 2 == 0 for k in module.kernel_size):
            _refuse(name, "padding='same' with an even kernel", "a number, or 'same' with an odd kernel")
        padding = 0 if padding == "valid" else tuple(k // 2 for k in module.kernel_size)
    padding = _one(name, "padding", padding)
    if module.padding_mode != "zeros" and padding:
        _refuse(name, f"padding_mode={module.padding_mode!r}", "padding_mode='zeros'")
    weight = module.weight.detach().clone()
    return Weights(name, weight, _bias(module.bias, weight), _one(name, "stride", module.stride), padding)


def _fold(name: str, layer: Weights, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> Weights:
    """y = gamma * (W x + b - mean) / sqrt(var + eps) + beta, written as one layer; computed in float64."""
    if norm.running_mean is None or norm.running_var is None:
        _refuse(name, "batch norm without running statistics", "track_running_stats=True")
    if norm.num_features != len(layer.weight):
        _refuse(name, f"batch norm over {norm.num_features} channels behind {len(layer.weight)}", "equal numbers")
    mean, var = norm.running_mean.double(), norm.running_var.double()
    gain = (var + norm.eps).rsqrt()
    gain = gain if norm.weight is None else gain * norm.weight.detach().double()
    beta = 0.0 if norm.bias is None else norm.bias.detach().double()
    weight = layer.weight.double() * gain.view(-1, *[1] * (layer.weight.ndim - 1))
    bias = gain * (layer.bias.double() - mean) + beta
    return replace(layer, weight=weight.to(layer.weight.dtype), bias=bias.to(layer.weight.dtype))


def _ordered(layers: list[Layer]) -> list[Layer]:
    """Max-pools behind their activation; then the order of the whole chain is checked."""
    for k in range(1, len(layers) - 1):
        one, two, three = layers[k - 1 : k + 2]
        if isinstance(one, Weights) and isinstance(two, Pool) and two.kind == "max" and isinstance(three, Activation):
            layers[k], layers[k + 1] = three, two
    before: Layer | None = None
    for layer in layers:
        if isinstance(layer, Activation) and not isinstance(before, Weights):
            _refuse(
                layer.name,
                "an activation that is not directly behind a convolution or linear layer",
                "weights, batch norm, activation, pool, in this order",
            )
        if isinstance(before, Weights) and not isinstance(layer, Activation):
            _refuse(
                layer.name,
                f"{type(layer).__name__} directly behind {before.name}",
                "an activation behind every layer with weights but the last",
            )
        before = layer
    if not layers or not isinstance(layers[-1], Weights) or layers[-1].weight.ndim != 2:
        raise UnsupportedLayer(
            f"{layers[-1].name if layers else 'model'}: the last layer must be a Linear, whose "
            f"outputs are the classes, with no activation behind it"
        )
    return layers
