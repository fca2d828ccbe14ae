"""QCFS: the quantisation clip-floor-shift activation (Bu et al., "Optimal ANN-SNN conversion for high-accuracy and
ultra-low-latency spiking neural networks", ICLR 2022).

h(z) = lambda * clip(floor(z * L / lambda + 1/2) / L, 0, 1), with lambda learned. With L = T an integrate-and-fire
neuron of threshold lambda, initial membrane lambda / 2 and reset by subtraction gives T * h(z) / lambda spikes for a
current that is constant in time; for other currents the lossless rule does (``quant.ir.ops.IF``).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

__all__ = ["QCFS", "QcfsTracer", "calibrate", "is_relu", "prepare"]


class _Activation(torch.autograd.Function):
    """h(z) and its gradient, in few passes over memory: with [.] for 0 < z < lambda, dh/dz = [.] and
    dh/dlog(lambda) = h - z [.], which is level - z/lambda inside and 1 above, times lambda. ``quantise`` takes values
    0..levels to whole ones."""

    @staticmethod
    def forward(
        ctx: Any, z: Tensor, log_threshold: Tensor, levels: int, quantise: Callable[[Tensor], Tensor]
    ) -> Tensor:
        ctx.threshold = threshold = log_threshold.exp().item()
        h = quantise((z / threshold).clamp_(0, 1).mul_(levels)).div_(levels).mul_(threshold)
        ctx.save_for_backward(z, h, log_threshold)
        return h

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        z, h, log_threshold = ctx.saved_tensors
        grad = grads[0] if grads[0].stride() == z.stride() else torch.empty_like(z).copy_(grads[0])
        of_z = torch.ops.aten.hardtanh_backward(grad, z, 0.0, ctx.threshold)
        of_log = (grad * h).sum(dtype=log_threshold.dtype) - (of_z * z).sum(dtype=log_threshold.dtype)
        return of_z, of_log, None, None


class QCFS(nn.Module):
    """The activation, one threshold a layer.

    Parameters: ``levels``, L >= 1; ``threshold``, the first value of lambda (the authors use 8.0, see also
    :func:`calibrate`). The learned parameter is log(lambda), so that lambda stays positive whatever the optimiser
    does (a plain one can train negative); keep it out of the weight decay, which would pull lambda towards 1. The
    gradient passes the floor unchanged (straight through) and is that of the clip elsewhere.
    Raises ValueError for levels < 1 or a threshold that is not positive.
    """

    def __init__(self, levels: int, threshold: float = 8.0) -> None:
        super().__init__()
        if levels < 1:
            raise ValueError(f"levels (L) must be a positive integer, not {levels!r}")
        if not (threshold > 0 and math.isfinite(threshold)):
            raise ValueError(f"A QCFS threshold must be positive and finite, not {threshold!r}")
        self.levels = levels
        self.log_threshold = nn.Parameter(torch.tensor(math.log(threshold)))

    @property
    def threshold(self) -> Tensor:
        """lambda, a positive scalar."""
        return self.log_threshold.exp()

    def forward(self, z: Tensor) -> Tensor:
        """h(z)."""
        if torch.compiler.is_compiling():  # which fuses these, and the batch norm before them, into one pass
            threshold = self.threshold
            u = (z.float() / threshold).clamp(0, 1) * self.levels
            whole = self.quantise(u.detach().clone())
            return ((u + (whole - u).detach()) / self.levels * threshold).to(z.dtype)
        return cast(Tensor, _Activation.apply(z, self.log_threshold, self.levels, self.quantise))

    def quantise(self, u: Tensor) -> Tensor:
        """Values 0..L to whole ones, half rounded up, in place; other methods have other activations."""
        return u.add_(0.5).floor_()

    def extra_repr(self) -> str:
        """The settings, for print(model)."""
        return f"levels={self.levels}, threshold={self.threshold.item():.4g}"


class _Proxy(fx.Proxy):
    """torch.fx takes ``a += b`` for ``a = a + b``, which leaves other names of a as they were."""

    def __iadd__(self, other: Any) -> fx.Proxy:
        return self.tracer.create_proxy("call_function", operator.iadd, (self, other), {}, name="add")


class QcfsTracer(fx.Tracer):
    """Symbolic tracer that keeps QCFS modules whole, as it does those of torch.nn, and knows ``+=`` from ``+``."""

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """What stands for a result."""
        return _Proxy(node, self)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether ``m`` is not looked into."""
        return isinstance(m, QCFS) or super().is_leaf_module(m, module_qualified_name)


def is_relu(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    """Whether ``node`` of a traced model is a ReLU, as a module, a function or a method."""
    if node.op == "call_module":
        return isinstance(modules[str(node.target)], nn.ReLU)
    if node.op == "call_method":
        return node.target in ("relu", "relu_")
    return node.op == "call_function" and node.target in (torch.relu, torch.relu_, F.relu, F.relu_)


def prepare(
    model: nn.Module,
    levels: int,
    *,
    threshold: float = 8.0,
    average_pools: bool = False,
    kind: type[QCFS] = QCFS,
    shape: tuple[int, int, int] | None = None,
) -> fx.GraphModule:
    """A copy of ``model`` in which every ReLU is a QCFS of its own, also where one module or function served twice.

    ``average_pools`` replaces max-pools by averages, as the authors do; ``kind`` is the activation of another method.
    The weights are copied, not shared. What could not be converted after the training is refused here: the model is
    compared with its layers on images of ``shape`` (C, H, W), or of one that fits. Raises UnsupportedLayer and
    NetworkError as ``graph.trace`` does.
    """
    from ...frontends.prepared import prepared  # which reads layers, and those know the activation of this file

    return prepared(model, lambda: kind(levels, threshold), average_pools=average_pools, shape=shape)


def calibrate(model: nn.Module, x: Tensor, *, quantile: float = 0.999) -> None:
    """Set every lambda of ``model`` to the ``quantile`` of what the layer gives for ``x``, negative values aside.

    One layer after the other, each with the layers before it already quantised. The model is left in training mode
    or evaluation mode as it was.
    """
    training = model.training
    model.eval()

    def watch(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        positive = args[0][args[0] > 0].float()
        if positive.numel():
            rank = max(1, math.ceil(quantile * positive.numel()))
            module.log_threshold.copy_(positive.kthvalue(rank).values.log())  # type: ignore[operator]

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
