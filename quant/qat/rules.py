"""How neurons of each rule of ``quant.ir.rules`` train: the one file that a rule needs for it.

A rule that goes step by step has the spikes of a step, a function of ``v``, ``theta`` and ``count``: the membranes
(N, C, ...), their thresholds, the spikes so far; it writes them, 0, 1 or -1, into ``spikes``, ``strict`` putting > in
place of >=. Rule ``lossless`` trains with the counts that follow from the sum of all currents (``firing.counts``).
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

__all__ = ["STEPS", "Step"]


class Step(Protocol):
    """The spikes of a step."""

    def __call__(self, v: Tensor, theta: Tensor, count: Tensor, spikes: Tensor, *, strict: bool) -> None:
        """Write them into ``spikes``."""


def _causal(v: Tensor, theta: Tensor, count: Tensor, spikes: Tensor, *, strict: bool) -> None:
    (torch.gt if strict else torch.ge)(v, theta, out=spikes)


def _signed(v: Tensor, theta: Tensor, count: Tensor, spikes: Tensor, *, strict: bool) -> None:
    _causal(v, theta, count, spikes, strict=strict)
    spikes -= torch.lt(v, torch.zeros_like(theta), out=torch.empty_like(v)) * count.sign()


STEPS: dict[str, Step | None] = {"causal": _causal, "lossless": None, "signed": _signed}
"""The rules that can be trained, by name: the spikes of a step, or None where the count follows from the sum."""
