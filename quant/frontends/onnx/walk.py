"""The walk over a graph that both readers have in common: constants are computed, every operator is read or refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NoReturn, Protocol, TypeVar, cast

import numpy as np

from ..layers import UnsupportedLayer
from .constants import FOLDS, axes_of, folded
from .graph import DOMAINS, FLOATS, Graph
from .step import STANDARD, Step

__all__ = ["Shaped", "Walk", "no_result"]

LAST = {"Softmax": -1, "LogSoftmax": -1, "ArgMax": 0}
"""What may follow the logits and changes no answer, with the axis that is meant where none is said."""


class Shaped(Protocol):
    """What a reader knows of a tensor that depends on the image."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape, with the batch."""
        ...


T = TypeVar("T", bound=Shaped)
Handler = Callable[[Step, Sequence[Any]], Any]


class Walk(Generic[T]):
    """Reads ``graph``: what ``handlers`` (by operator) make of each step, from the image on."""

    def __init__(self, graph: Graph, image: T) -> None:
        self.graph = graph
        self.handlers: Mapping[str, Handler] = {}
        self._found: dict[str, Any] = {**graph.constants, graph.image: image}

    def run(self) -> list[T]:
        """What gives the answers. Raises UnsupportedLayer, naming the node, for an operator, an attribute or a shape
        that has no counterpart: nothing is skipped silently."""
        for step in self.graph.steps:
            x = [self._tensor(step, name) for name in step.inputs]
            if step.op in FOLDS and all(v is None or isinstance(v, np.ndarray) for v in x):
                result: Any = folded(step, x)
            elif step.op == "Shape":
                result = folded(step, [np.empty(x[0].shape, np.bool_)])
            else:
                result = self._handled(step, x)
            results = result if isinstance(result, list) else [result]
            if more := [name for name in step.outputs[len(results) :] if self.graph.takers[name]]:
                step.refuse(f"whose result {more[0]} is taken", "the first result alone")
            step.all_read()
            self._found.update(zip(step.outputs, results, strict=False))
        found = [self._found.get(name) for name in self.graph.answers]
        for name, answer in zip(self.graph.answers, found, strict=True):
            if answer is None or isinstance(answer, np.ndarray):
                raise UnsupportedLayer(f"{name}: an output that no image leads to is not supported; supported: logits "
                                       "of an image")  # fmt: skip
        return cast(list[T], found)

    def _tensor(self, step: Step, name: str) -> Any:
        if name and name not in self._found:
            step.refuse(f"of {name!r}, which no node before it gives", "nodes in their order")
        return self._found[name] if name else None

    def _handled(self, step: Step, x: Sequence[Any]) -> Any:
        handler = self.handlers.get(step.op)
        if step.domain not in DOMAINS.get(step.op, STANDARD):
            step.refuse(f"of the domain {step.domain!r}", "operators of ONNX, quantisers of QONNX, QLinear operators "
                        "of ONNX Runtime")  # fmt: skip
        if step.op in LAST:
            return self._last(step, x[0])
        if step.op == "Sigmoid" and step.outputs[0] == self.graph.answer and len(x[0].shape) == 2:
            return x[0]  # it rises, one by one
        if handler is None:
            step.refuse("", ", ".join(sorted({*self.handlers, *LAST})))
        return handler(step, x)

    def _last(self, step: Step, x: Any) -> Any:
        """A softmax of the logits, or their argmax, is left out."""
        axis = step.get("axis", LAST[step.op])
        step.get("keepdims", 1)
        if step.outputs[0] != self.graph.answer or len(x.shape) != 2 or axis not in (1, -1):
            step.refuse(f"over axis {axis} of {len(x.shape)} dimensions, or before other nodes", "one over the "
                        "classes, at the end")  # fmt: skip
        if step.get("select_last_index", 0):
            step.refuse("with select_last_index", "the first of equal logits")
        return x

    def passed(self, step: Step, x: Sequence[Any]) -> T:
        """Identity, and what is one when nothing is trained."""
        if step.op == "Dropout":
            step.get("ratio", 0.5)
            step.get("seed", 0)
            if len(x) > 2 and x[2] is not None and bool(np.any(x[2])):
                step.refuse("in training", "a model exported in evaluation")
        elif step.op == "Cast":
            for known in ("saturate", "round_mode"):  # of types of 8 bits
                step.get(known, 0)
            if step.get("to", 1) not in FLOATS:
                step.refuse(f"to the type {step.get('to', 1)}", "single floats (1)")
        return self.same(step, x[0])

    def same(self, step: Step, x: T) -> T:
        """``x``, under another name too: whoever takes one of both takes the other."""
        takers = self.graph.takers
        takers[step.outputs[0]] += takers[step.inputs[0]] - 1
        return x

    def reshaped(self, step: Step, x: Sequence[Any]) -> tuple[int, ...]:
        """The shape that Reshape, Flatten, Squeeze or Unsqueeze gives: the same, or that of a vector."""
        old: tuple[int, ...] = x[0].shape
        if step.op == "Flatten":
            axis = step.get("axis", 1)
            new = (math.prod(old[: axis % len(old)]), math.prod(old[axis % len(old) :]))
        elif step.op == "Reshape":
            if not isinstance(x[1], np.ndarray):
                step.refuse("to a shape that depends on the image", "constants")
            new = self._to(step, old, x[1].tolist())
        else:
            axes = axes_of(step, x)
            keep = [k for k, n in enumerate(old) if (k not in [a % len(old) for a in axes] if axes else n != 1)]
            new = tuple(old[k] for k in keep) if step.op == "Squeeze" else ()
        if new not in (old, (old[0], math.prod(old[1:]))):
            step.refuse(f"of {'x'.join(map(str, old))} to {'x'.join(map(str, new)) or 'more dimensions'}",
                        "a map as a vector, the batch apart")  # fmt: skip
        return new

    def _to(self, step: Step, old: tuple[int, ...], wanted: list[int]) -> tuple[int, ...]:
        kept = not step.get("allowzero", 0)
        new = [old[k] if n == 0 and kept and k < len(old) else n for k, n in enumerate(wanted)]
        if new.count(-1) == 1:
            rest = -math.prod(new)
            new[new.index(-1)] = math.prod(old) // rest if rest else 0
        if math.prod(new) != math.prod(old) or min(new, default=0) < 1:
            step.refuse(f"of {old} to {wanted}", "a shape with as many numbers")
        return tuple(new)


def no_result(step: Step, why: str) -> NoReturn:
    """Raise UnsupportedLayer for two tensors of the image where one must be a constant."""
    step.refuse(f"of two tensors that depend on the image{why}", "one of them a constant")
