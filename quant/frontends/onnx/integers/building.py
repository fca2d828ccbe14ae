"""An integer network in the making: nodes whose signs may still be turned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ....ir.node import Node
from ....ir.ops import Add, Gain, Input, Synapse
from ....ir.ops.staircase import Staircase
from ....ir.signal import Signal
from ..graph import Step
from .thresholds import Stairs

__all__ = ["Building", "bits_of"]


class Building:
    """The ``nodes`` of a network, by name, with their ``signals``; ``image`` is that of its Input, for images of
    ``shape`` (C, H, W) with pixels 0..``high``. ``unsure`` and ``thresholds``: how many thresholds lie where the
    rounding of floats decides, and how many there are."""

    image = "image"

    def __init__(self, shape: tuple[int, int, int], high: int) -> None:
        self.nodes = dict[str, Node]()
        self.signals = dict[str, Signal]()
        self.unsure = self.thresholds = 0
        self.add(Input(name=self.image, shape=shape, high=high))

    def add(self, node: Node) -> str:
        """Take in a node behind those that it takes the results of; its name. Raises NetworkError."""
        self.signals[node.name] = node.signal([self.signals[name] for name in node.sources], 1)
        self.nodes[node.name] = node
        return node.name

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

    def gained(self, name: str, source: str, gain: np.ndarray) -> str:
        """Values as currents, times a ``gain`` (C,)."""
        return self.add(Gain(name=f"{name} of {source}"[:255], source=source, gain=gain))

    def staircase(self, name: str, source: str, found: Stairs) -> None:
        """The thresholds behind ``source``, which is turned already."""
        self.add(Staircase(name=name, source=source, threshold=found.threshold, low=found.low))
        self.unsure += found.unsure
        self.thresholds += found.threshold.size

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
