"""Activations: currents become values or spikes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..activations import QCFS
from ..torch_fx.registry import reads
from .base import Layer

if TYPE_CHECKING:
    from ..torch_fx.call import Call

__all__ = ["RELUS", "Activation"]

RELUS = (torch.relu, torch.relu_, F.relu, F.relu_, "relu", "relu_")


@dataclass(frozen=True)
class Activation(Layer):
    """A ReLU (``qcfs`` is None) or the QCFS module itself."""

    qcfs: QCFS | None

    def value(self, x: Sequence[Tensor]) -> Tensor:
        """A ReLU, or what its own module computes."""
        return x[0].relu() if self.qcfs is None else self.qcfs(x[0])


@reads(nn.ReLU)
@reads(*RELUS, arguments=("input", "inplace"))
def _relu(call: Call) -> None:
    call.take("inplace")
    call.put(Activation(call.name, (call.source,), None))


@reads(QCFS)
def _qcfs(call: Call) -> None:
    call.put(Activation(call.name, (call.source,), call.module))
