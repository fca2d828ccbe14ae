"""The arguments of a traced function, each of which is read or refused: none is left out without a word."""

from __future__ import annotations

import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from ..layers import refuse
from .tracing import call_name

__all__ = [
    "ADDITIONS",
    "DROPOUTS",
    "FLATTENS",
    "MAX_POOLS",
    "MEANS",
    "SOFTMAXES",
    "VIEWS",
    "Arguments",
    "in_place",
    "is_relu",
]

ADDITIONS = (operator.add, operator.iadd, torch.add, "add", "add_")
DROPOUTS = (F.dropout, F.dropout2d)
FLATTENS = (torch.flatten, "flatten")
MAX_POOLS = (F.max_pool2d, torch.max_pool2d)
MEANS = (torch.mean, "mean")
RELUS = (torch.relu, torch.relu_, F.relu, F.relu_, "relu", "relu_")
SOFTMAXES = (F.softmax, F.log_softmax, torch.softmax, torch.log_softmax, "softmax", "log_softmax")
VIEWS = ("view", "reshape", torch.reshape)

WRITERS = (operator.iadd, "add_", torch.relu_, F.relu_, "relu_")
"""What writes its result over its first argument."""

POOL = ("input", "kernel_size", "stride", "padding")
POSITIONS: dict[Any, tuple[str, ...]] = {
    **dict.fromkeys(ADDITIONS, ("input", "other")),
    **dict.fromkeys(DROPOUTS, ("input", "p", "training", "inplace")),
    **dict.fromkeys(FLATTENS, ("input", "start_dim", "end_dim")),
    **dict.fromkeys(MEANS, ("input", "dim", "keepdim")),
    **dict.fromkeys(RELUS, ("input", "inplace")),
    **dict.fromkeys((F.softmax, F.log_softmax), ("input", "dim", "_stacklevel", "dtype")),
    **dict.fromkeys(SOFTMAXES[2:], ("input", "dim", "dtype")),
    F.max_pool2d: (*POOL, "dilation", "ceil_mode", "return_indices"),
    torch.max_pool2d: (*POOL, "dilation", "ceil_mode"),
    F.avg_pool2d: (*POOL, "ceil_mode", "count_include_pad", "divisor_override"),
    F.adaptive_avg_pool2d: ("input", "output_size"),
    F.pad: ("input", "pad", "mode", "value"),
    operator.getitem: ("input", "index"),
}
"""The names of the positional arguments of functions, and of methods, whose first one is the tensor."""


class Arguments:
    """What ``node`` is called with, by the names of the arguments: :meth:`take` them, and at last :meth:`done`."""

    def __init__(self, node: fx.Node) -> None:
        self.name = call_name(node)
        names = ("input",) if node.op == "call_module" else POSITIONS.get(node.target, ("input",))
        # Beyond the names that are known an argument has its place for a name, which nobody takes.
        places = [*names, *(f"argument {k + 1}" for k in range(len(names), len(node.args)))]
        self.left = dict(zip(places, node.args, strict=False)) | dict(node.kwargs)

    def take(self, key: str, default: Any = None) -> Any:
        """The value of an argument, ``default`` where it is not given."""
        return self.left.pop(key, default)

    def done(self) -> None:
        """Refuse what was given and not taken."""
        for key, value in self.left.items():
            refuse(self.name, f"{key}={value!r}", f"a call without {key}")


def in_place(node: fx.Node, modules: dict[str, Any]) -> bool:
    """Whether ``node`` writes its result over its argument."""
    if node.op == "call_module":
        return bool(getattr(modules[str(node.target)], "inplace", False))
    return node.target in WRITERS or bool(Arguments(node).take("inplace", False))


def is_relu(node: fx.Node, modules: dict[str, Any]) -> bool:
    """Whether ``node`` of a traced model is a ReLU, as a module, a function or a method."""
    if node.op == "call_module":
        return isinstance(modules[str(node.target)], nn.ReLU)
    return node.op in ("call_function", "call_method") and node.target in RELUS
