"""A model through torch.compile, if a trial shows that it computes what the model does.

A compiler that is wrong in some surroundings must not train anybody's network: in a process that had done much else
before, gradients came back with memory that nobody had written. So one batch goes through both, forwards and backwards,
before the first epoch; where they disagree the model is trained as it is.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

__all__ = ["agree", "compiled"]

ALIKE = 0.25
"""Least cosine between the gradients (outputs) of the two. Sums in another order move an activation to the next level
here and there, and later layers make more of it: that leaves 0.99 before the first epoch, but of a ResNet-20 in the
middle of its training 0.80 in float32 and 0.55 in bfloat16, no less than between these two types without a compiler
(0.67). Unwritten memory does not come near: it points elsewhere, or is larger by far."""


def compiled(model: nn.Module, run: Callable[[nn.Module], Tensor]) -> nn.Module:
    """``model`` compiled, or itself with a RuntimeWarning. ``run`` gives the loss of a model on a batch, or the output
    of one without gradients; random numbers, gradients and buffers are afterwards as they were before."""
    fast = cast(nn.Module, torch.compile(model))
    with torch.random.fork_rng():
        if agree(_trial(model, model, run), _trial(fast, model, run)):
            return fast
    warnings.warn("torch.compile gives other gradients than PyTorch here, so the model is trained without it",
                  RuntimeWarning, stacklevel=2)  # fmt: skip
    return model


def _trial(shown: nn.Module, model: nn.Module, run: Callable[[nn.Module], Tensor]) -> Tensor:
    """The gradients of ``model``, run as ``shown``, in one row; its output where it has none."""
    state = copy.deepcopy(model.state_dict())
    seed = torch.random.get_rng_state()
    found = run(shown)
    parts = [found.detach()]
    if found.requires_grad:
        found.backward()
        parts = [p.grad for p in model.parameters() if p.grad is not None]
    row = torch.cat([part.detach().double().flatten() for part in parts])
    model.zero_grad()
    model.load_state_dict(state)
    torch.random.set_rng_state(seed)
    return row


def agree(a: Tensor, b: Tensor) -> bool:
    """Whether two rows are finite, of one length and point the same way."""
    if a.shape != b.shape or not (torch.isfinite(a).all() and torch.isfinite(b).all()):
        return False
    sizes = float(a.norm()), float(b.norm())
    if min(sizes) == 0.0 or not 0.5 < sizes[0] / sizes[1] < 2.0:
        return sizes[0] == sizes[1]
    return float(a @ b) / (sizes[0] * sizes[1]) > ALIKE
