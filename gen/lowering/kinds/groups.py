"""Grouped convolutions: a part of one group at once, or several whole groups."""

from __future__ import annotations

from ...errors import PlanError
from ...folding.fold import Fold
from ..fitting import divisors, numbers
from ..layers import StageNodes

__all__ = ["blocks", "check", "choices"]


def choices(layer: StageNodes) -> list[tuple[int, int]]:
    """(outputs, inputs) of a grouped convolution: a part of one group, or several whole groups."""
    outputs, inputs = (n // layer.groups for n in layer.channels)
    whole = [(n * outputs, n * inputs) for n in divisors(layer.groups)[1:]]
    return [(o, i) for o in divisors(outputs) for i in divisors(inputs)] + whole


def blocks(layer: StageNodes, fold: Fold) -> int:
    """Groups that ``fold`` computes at once; 1 where there are none."""
    return max(1, fold.inputs * layer.groups // layer.channels[1]) if layer.groups > 1 else 1


def check(layer: StageNodes, fold: Fold) -> None:
    """Refuse what is neither a part of one group nor whole groups."""
    if (fold.outputs, fold.inputs) in choices(layer):
        return
    outputs, inputs = (n // layer.groups for n in layer.channels)
    raise PlanError(
        f"{layer.name}: fold outputs={fold.outputs}, inputs={fold.inputs} does not fit {layer.groups} groups of "
        f"{outputs} outputs and {inputs} inputs; choose a part of one group (outputs one of "
        f"{numbers(divisors(outputs))}, inputs one of {numbers(divisors(inputs))}), or "
        f"n times {outputs} outputs and n times {inputs} inputs with n one of {numbers(divisors(layer.groups))}"
    )
