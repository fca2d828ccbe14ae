"""The method of QCFS (Bu et al., "Optimal ANN-SNN conversion for high-accuracy and ultra-low-latency spiking neural
networks", ICLR 2022): a model is trained with the activation of :mod:`quant.frontends.activations` in place of every
ReLU, from thresholds that training images set.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, fx, nn

from ...frontends.activations import QCFS
from ...frontends.torch_fx.prepared import prepared

__all__ = ["QCFS", "calibrate", "prepare"]


def prepare(
    model: nn.Module,
    levels: int,
    *,
    threshold: float = 8.0,
    average_pools: bool = False,
    kind: type[QCFS] = QCFS,
    shape: tuple[int, int, int] | None = None,
) -> fx.GraphModule:
    """A copy of ``model`` in which every ReLU is a QCFS of its own, also where one module or function served twice; so
    is every clamp from 0 on, as ReLU6, whose upper end is the most that its lambda begins with.

    ``average_pools`` replaces max-pools by averages, as the authors do; ``kind`` is the activation of another method.
    The weights are copied, not shared. What could not be converted after the training is refused here: the model is
    compared with its layers on images of ``shape`` (C, H, W), or of one that fits. Raises UnsupportedLayer and
    NetworkError as ``torch_fx.graph.read`` does.
    """

    def activation(high: float) -> QCFS:
        made = kind(levels, min(threshold, high))
        made.most = high
        return made

    return prepared(model, activation, average_pools=average_pools, shape=shape)


def calibrate(model: nn.Module, x: Tensor, *, quantile: float = 0.999) -> None:
    """Set every lambda of ``model`` to the ``quantile`` of what the layer gives for ``x``, negative values aside, but
    not above the upper end of the clamp that it took the place of.

    One layer after the other, each with the layers before it already quantised. The model is left in training mode
    or evaluation mode as it was.
    """
    training = model.training
    model.eval()

    def watch(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        positive = args[0][args[0] > 0].float()
        if positive.numel():
            rank = max(1, math.ceil(quantile * positive.numel()))
            found = positive.kthvalue(rank).values.clamp(max=module.most)  # type: ignore[arg-type]
            module.log_threshold.copy_(found.log())  # type: ignore[operator]

    with torch.no_grad(), _hooked(model, watch):
        model(x)
    model.train(training)


@contextmanager
def _hooked(model: nn.Module, hook) -> Iterator[None]:
    handles = [m.register_forward_pre_hook(hook) for m in model.modules() if isinstance(m, QCFS)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
