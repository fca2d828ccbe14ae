"""Activations of any shape: sigmoid, tanh, SiLU, GELU and their like, functions of one number."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..torch_fx.registry import reads
from .activation import Activation

if TYPE_CHECKING:
    from ..torch_fx.call import Call

__all__ = ["Curve"]


@dataclass(frozen=True)
class Curve(Activation):
    """y = ``function`` (x), which need not rise; ``title`` is its name. What knows clamps alone sees one without ends,
    and refuses it."""

    low: float = -math.inf
    function: Callable[[Tensor], Tensor] = torch.sigmoid
    title: str = ""

    @property
    def rises(self) -> bool:
        return False

    @property
    def called(self) -> str:
        return self.title

    def value(self, x: Sequence[Tensor]) -> Tensor:
        return self.function(x[0])


def _put(call: Call, title: str, function: Callable[[Tensor], Tensor]) -> None:
    call.take("inplace")
    call.put(Curve(call.name, (call.source,), function=function, title=title))


MODULES: tuple[Any, ...] = (
    nn.Tanh, nn.SiLU, nn.GELU, nn.Hardswish, nn.Hardsigmoid, nn.ELU, nn.SELU, nn.CELU, nn.Softplus, nn.Softsign,
    nn.Mish, nn.Tanhshrink, nn.Softshrink, nn.Hardshrink, nn.Threshold,
)  # fmt: skip


@reads(*MODULES)
def _module(call: Call) -> None:
    """A copy of the module, which writes over nothing, is the function."""
    kind, names = type(call.module), getattr(call.module, "__constants__", ())
    _put(call, kind.__name__, kind(**{name: getattr(call.module, name) for name in names if name != "inplace"}))


FUNCTIONS: dict[str, tuple[Callable[..., Tensor], tuple[Any, ...], tuple[str, ...]]] = {
    "tanh": (torch.tanh, (torch.tanh, F.tanh, "tanh", "tanh_"), ()),
    "silu": (F.silu, (F.silu,), ()),
    "gelu": (F.gelu, (F.gelu,), ("approximate",)),
    "hardswish": (F.hardswish, (F.hardswish,), ()),
    "hardsigmoid": (F.hardsigmoid, (F.hardsigmoid,), ()),
    "elu": (F.elu, (F.elu,), ("alpha",)),
    "selu": (F.selu, (F.selu,), ()),
    "celu": (F.celu, (F.celu,), ("alpha",)),
    "softplus": (F.softplus, (F.softplus,), ("beta", "threshold")),
    "softsign": (F.softsign, (F.softsign,), ()),
    "mish": (F.mish, (F.mish,), ()),
}
"""What each computes, what PyTorch calls it, and its settings beside the tensor."""


def _function(title: str) -> Callable[[Call], None]:
    function, _, names = FUNCTIONS[title]

    def read(call: Call) -> None:
        settings = {name: call.take(name) for name in names if name in call.given.left}
        _put(call, title, lambda x: function(x, **settings))

    return read


for _title, (_, _targets, _names) in FUNCTIONS.items():
    reads(*_targets, arguments=("input", *_names, "inplace"))(_function(_title))


def sigmoid(call: Call) -> None:
    """A sigmoid inside the network."""
    _put(call, "sigmoid", torch.sigmoid)
