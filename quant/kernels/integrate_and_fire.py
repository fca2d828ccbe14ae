"""Neurons: the kernel of their rule.

A rule of ``quant/ir/rules`` has its kernel in ``quant/kernels/rules/``, in a module that registers it with
:func:`rule_kernel`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..ir.bounds import NetworkError
from ..ir.ops import IF
from .registry import Inputs, by_channel, kernel

__all__ = ["by_step", "membrane", "rule_kernel"]

RuleKernel = Callable[[IF, Inputs], Tensor]
"""Neurons and their inputs to their spikes (N, T, C, H, W), or their sum over time where that is wanted."""

_RULES: dict[str, RuleKernel] = {}


def rule_kernel(rule: str) -> Callable[[RuleKernel], RuleKernel]:
    """Register the decorated function for neurons of ``rule``."""

    def register(function: RuleKernel) -> RuleKernel:
        _RULES[rule] = function
        return function

    return register


@kernel(IF)
def _neurons(node: IF, inputs: Inputs) -> Tensor:
    if (found := _RULES.get(node.rule)) is None:
        raise NetworkError(f"{node.name}: the golden model does not know the rule {node.rule!r}")
    return found(node, inputs)


def membrane(node: IF) -> Tensor:
    """The initial membranes, to meet (..., C, H, W)."""
    return torch.from_numpy(node.v0.copy()) if node.v0.ndim == 3 else by_channel(node.v0)


def by_step(node: IF, inputs: Inputs) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of rules that go step by step: currents (N, T, C, H, W), thresholds, biases, and the membranes (N, C, H, W) at
    the start, of one type."""
    x = inputs.x[0]
    current = x if inputs.sources[0].timed else x[:, None].expand(-1, inputs.steps, -1, -1, -1)
    threshold, bias, v = by_channel(node.threshold), by_channel(node.bias), membrane(node)
    if current.dtype == torch.int32 and max(int(x.abs().max()) for x in (threshold, bias, v)) < 1 << 23:
        # Currents are below 2^24 then, and 64 steps of them below 2^31 with all the rest.
        threshold, bias, v = threshold.int(), bias.int(), v.int()
    return current, threshold, bias, v.expand_as(current[:, 0]).clone()
