"""An integer network in the making: nodes whose signs may still be turned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ....ir.bounds import LONGEST_NAME
from ....ir.node import Node
from ....ir.ops import Add, Conv2d, Flatten, Gain, Input, Linear, Synapse
from ....ir.ops.staircase import MOST_THRESHOLDS, Staircase
from ....ir.signal import Signal
from ....ir.windows import Windows, alike
from ..step import Step
from .numbers import Numbers
from .thresholds import Stairs

__all__ = ["Building", "bits_of"]

MOST_WEIGHT = 127
"""The largest magnitude of weights of 8 bits, with both signs."""


class Building:
    """The ``nodes`` of a network, by name, with their ``signals``; ``image`` is that of its Input, for images of
    ``shape`` (C, H, W) with pixels 0..``high``. ``lags``: behind how many rows of the image a node gives its first
    row, and how many of them one row of it is. ``unsure`` and ``thresholds``: how many thresholds lie where the
    rounding of floats decides, and how many there are. ``approximate``: whether what is not exact is taken, too;
    ``approximated``: what was, in words."""

    image = "image"

    def __init__(self, shape: tuple[int, int, int], high: int, approximate: bool = False) -> None:
        self.nodes = dict[str, Node]()
        self.signals = dict[str, Signal]()
        self.lags = dict[str, tuple[int, int]]()
        self.unsure = self.thresholds = 0
        self.approximate, self.approximated = approximate, list[str]()
        self.add(Input(name=self.image, shape=shape, high=high))

    def add(self, node: Node) -> str:
        """Take in a node behind those that it takes the results of, under another name where its own is taken; its
        name. Raises NetworkError."""
        first, number = node.name, 2
        while node.name in self.nodes:
            node, number = replace(node, name=f"{first} ({number})"), number + 1
        self.signals[node.name] = node.signal([self.signals[name] for name in node.sources], 1)
        self.nodes[node.name] = node
        rows, by = max((self.lags[name] for name in node.sources), default=(0, 1))
        windows = getattr(node, "windows", Windows((1, 1)))
        rows += (windows.extent[0] - 1 - windows.padding[0][0]) * by
        if isinstance(node, Flatten):
            rows += (self.signals[node.source].shape[1] - 1) * by
        self.lags[node.name] = rows, by * windows.stride[0]
        return node.name

    def inexact(self, step: Step, what: str, instead: str) -> None:
        """Note ``what`` of ``step`` is not exact, where that was asked for. Raises UnsupportedLayer where not."""
        if not self.approximate:
            step.refuse(what, f"{instead}, or --approximate, which takes it as it is")
        self.approximated.append(f"{step.name}: {step.op} {what}")

    def needed(self) -> tuple[Node, ...]:
        """The nodes that lead to the last one."""
        kept, names = list[Node](), {next(reversed(self.nodes))}
        for node in reversed(self.nodes.values()):
            if node.name in names:
                names.update(node.sources)
                kept.append(node)
        return tuple(reversed(kept))

    def reach(self, node: str) -> int:
        """The largest magnitude of what ``node`` gives."""
        return max(-self.signals[node].low, self.signals[node].high, 1)

    def values(self, node: str) -> bool:
        """Whether it gives values, which several nodes may take, not currents."""
        return self.signals[node].kind == "values"

    def gained(self, step: Step, x: Numbers, gain: np.ndarray) -> str:
        """Values as currents for ``step``, times a ``gain`` (C,): of the part of the map that is taken."""
        (rows, columns), before, _ = x.part
        if rows != columns:
            step.refuse(f"of every {rows}th row and {columns}th column", "the same stride in both directions")
        name = f"{step.name} of {x.node}"[:LONGEST_NAME]
        return self.add(Gain(name=name, source=x.node, gain=gain, stride=rows, offset=before))

    def weighted(self, step: Step, x: Numbers, gain: np.ndarray) -> str:
        """The same as :meth:`gained`, with gains of 8 bits as weights: a stage in gates starts with a layer of them."""
        shape, (stride, before, _) = self.signals[x.node].shape, x.part
        c, name = shape[0], f"{step.name} of {x.node}"[:LONGEST_NAME]
        if shape[1:] != (1, 1) and len(gain) == c:
            weight, groups = gain.reshape(-1, 1, 1, 1), c
        else:
            weight, groups = np.zeros((len(gain), c), np.int64), 1
            weight[before + np.arange(c), np.arange(c)] = gain[before : before + c]
        bits = bits_of(weight)
        if shape[1:] == (1, 1):
            return self.add(Linear(name=name, source=x.node, weight=weight, weight_bits=bits))
        weight = weight.reshape(*weight.shape[:2], 1, 1)
        moved: Any = alike(stride)
        return self.add(Conv2d(name=name, source=x.node, weight=weight, weight_bits=bits, stride=moved, groups=groups))

    def sum_of(self, step: Step, terms: Sequence[tuple[Numbers, np.ndarray]]) -> str:
        """The sum of values times gains (C,): the term that comes last has weights, for a sum in gates starts with a
        layer that has, and the other terms wait for it in FIFOs."""
        places = {name: k for k, name in enumerate(self.nodes)}
        first = max(range(len(terms)), key=lambda k: (self.lags[terms[k][0].node][0], places[terms[k][0].node]))
        x, gain = terms[first]
        weights = np.clip(gain, -MOST_WEIGHT, MOST_WEIGHT)
        rest = [(x, gain - weights)] if (gain != weights).any() else []
        node = self.weighted(step, x, weights)
        rest += [term for k, term in enumerate(terms) if k != first]
        for k, (x, gain) in enumerate(rest):
            name = step.name if k == len(rest) - 1 else f"{step.name} so far"
            node = self.add(Add(name=name, source=node, other=self.gained(step, x, gain)))
        return node

    def staircase(self, step: Step, name: str, source: str, found: Stairs) -> str:
        """The thresholds behind ``source``, which is turned already; the name."""
        threshold, values = found.threshold, None
        if threshold.shape[1] == MOST_THRESHOLDS + 1 and found.low == -MOST_THRESHOLDS:  # 1 is there for the form alone
            threshold, values = threshold[:, :-1], np.arange(found.low, 1)
        if threshold.shape[1] > MOST_THRESHOLDS:
            step.refuse(f"of {threshold.shape[1] + 1} levels", f"up to {MOST_THRESHOLDS + 1}, as 8 bits have; "
                        "more where a quantiser keeps the pixels of an image as they are")  # fmt: skip
        low = found.low if values is None else 0
        self.unsure += found.unsure
        self.thresholds += threshold.size
        return self.add(Staircase(name=name, source=source, threshold=threshold, low=low, values=values))

    def turn(self, step: Step, name: str, turned: np.ndarray) -> None:
        """Change the sign of the currents of ``name`` in the channels ``turned`` (C,): that of weights and gains."""
        if not turned.any():
            return
        node, sign = self.nodes[name], np.where(turned, -1, 1)
        match node:
            case Add():
                for source in node.sources:
                    self.turn(step, source, turned)
            case Synapse():
                weight = node.weight * sign.reshape(-1, *(1,) * (node.weight.ndim - 1))
                if weight.max() > 127:
                    step.refuse(f"that falls where {name} rises and has weights of -128", "weights of -127..127 "
                                "(narrow=1), or no negative factors")  # fmt: skip
                self.nodes[name] = replace(node, weight=weight, weight_bits=bits_of(weight))
            case Gain():
                self.nodes[name] = replace(node, gain=node.gain * sign)
            case _:
                step.refuse(f"that falls where {name} rises", "positive factors")


def bits_of(weight: np.ndarray) -> int:
    """How many bits hold the weights: one where all are -1 or +1, else two at least."""
    if (np.abs(weight) == 1).all():
        return 1
    most = max(int(weight.max()), -1 - int(weight.min()), 1)
    return most.bit_length() + 1
