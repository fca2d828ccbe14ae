"""Which end of a graph only lays out maps for its reader: it is cut off, and what stands before it are the outputs.

Detectors end in operators that put the numbers of several maps into one table, and in a softmax or sigmoid of it. They
compute nothing that hardware has to, but they hide the maps. An operator is part of such a *tail* where it is one of
:data:`LAYOUT` or :data:`SHARES` (or works on shapes alone), and every taker of its results is part of a tail or is an
output of the graph. Nothing else is ever cut.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..layers import UnsupportedLayer
from .constants import FOLDS
from .step import STANDARD, Step

__all__ = ["LAYOUT", "SHARES", "Cut", "Tails"]

LAYOUT = ("Concat", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
"""Operators that move numbers, and change none."""

SHARES = ("LogSoftmax", "Sigmoid", "Softmax")
"""Functions of one number, or of those side by side, that rise with it; the reader of the maps applies them."""


class Cut(NamedTuple):
    """What was cut of the ``output`` of a graph: ``operators``, in words, behind the tensors ``answers``."""

    output: str
    operators: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Tails:
    """``steps`` that are left; ``answers``, the tensors before the tails, in the order of the outputs; ``cut``, of each
    output that has a tail."""

    steps: tuple[Step, ...]
    answers: tuple[str, ...]
    cut: tuple[Cut, ...]

    @classmethod
    def of(cls, steps: Sequence[Step], outputs: Sequence[str], constants: Collection[str], image: str) -> Tails:
        """Those of a graph of ``steps`` that give ``outputs``. Raises UnsupportedLayer for an output that no layer
        gives."""
        known = {*constants, *_of_shapes(steps, constants)}
        takers = Counter(name for step in steps for name in step.inputs if name)
        tail, inside = list[Step](), Counter[str]()
        for step in reversed(steps):
            if _fits(step, known) and all(takers[name] == inside[name] for name in step.outputs):
                tail.append(step)
                inside.update(name for name in step.inputs if name)
        makers = {name: step for step in tail for name in step.outputs}
        answers, cut = dict[str, None](), list[Cut]()
        for output in outputs:
            mine, gone = _before(output, makers)
            if image in mine or not mine:
                raise UnsupportedLayer(f"{output}: an output that no layer gives is not supported; supported: results "
                                       "of layers")  # fmt: skip
            answers.update(dict.fromkeys(mine))
            if gone:
                cut.append(Cut(output, _words(gone), tuple(mine)))
        left = tuple(step for step in steps if not any(name in makers for name in step.outputs))
        return cls(left, tuple(answers), tuple(cut))


def _of_shapes(steps: Sequence[Step], constants: Collection[str]) -> set[str]:
    """The tensors that are computed of shapes and constants alone."""
    found = set[str]()
    for step in steps:
        if step.op == "Shape" or (
            step.op in FOLDS and all(not name or name in found or name in constants for name in step.inputs)
        ):
            found.update(step.outputs)
    return found


def _fits(step: Step, known: Collection[str]) -> bool:
    """Whether ``step`` may be part of a tail, where the tensors ``known`` do not depend on the numbers of the image."""
    if step.outputs[0] in known:
        return True
    if step.op not in (*LAYOUT, *SHARES) or step.domain not in STANDARD:
        return False
    data = _data(step)
    return not any(name in known for name in data) and all(
        not name or name in known or name in data for name in step.inputs
    )


def _data(step: Step) -> tuple[str, ...]:
    """The tensors whose numbers a step of a tail moves; the others are settings."""
    return step.inputs if step.op == "Concat" else step.inputs[:1]


def _before(output: str, makers: Mapping[str, Step]) -> tuple[list[str], list[Step]]:
    """The tensors that the tail of ``output`` takes, from the first to the last, and its steps, the last one first."""
    mine, gone, left = dict[str, None](), dict[int, Step](), [output]
    while left:
        name = left.pop()
        step = makers.get(name)
        if step is None:
            mine[name] = None
            continue
        gone[id(step)] = step
        left += reversed(_data(step))
    return list(mine), list(gone.values())


def _words(gone: Sequence[Step]) -> str:
    """Operators, the first of the graph first: "Transpose (4), Reshape (4), Concat, Softmax"."""
    counted: dict[str, Any] = Counter(step.op for step in reversed(gone))
    return ", ".join(f"{op} ({many})" if many > 1 else op for op, many in counted.items())
