"""The nodes of the integer network, one file a kind: what each one computes, to the last bit.

Every node is a frozen dataclass of integers, strings and read-only integer arrays. Its docstring gives the exact
equation; the golden model (``quant.golden``), the numpy models of the cores (``hdl``) and the RTL all follow it.
``docs/network.md`` is the normative text. Indices: c channel, t time step (0..T-1), y and x position.
"""

from __future__ import annotations

from ..bounds import NetworkError
from ..node import Node
from .add import Add
from .conv2d import Conv2d
from .flatten import Flatten
from .gain import Gain
from .input import Input
from .integrate_and_fire import IF, Rule
from .linear import Linear
from .max_pool import MaxPool
from .pool import Pool
from .readout import Readout
from .requant import Requant
from .sum_pool import SumPool
from .synapse import Synapse

__all__ = [
    "IF",
    "NODE_TYPES",
    "Add",
    "Conv2d",
    "Flatten",
    "Gain",
    "Input",
    "Linear",
    "MaxPool",
    "NetworkError",
    "Node",
    "Pool",
    "Readout",
    "Requant",
    "Rule",
    "SumPool",
    "Synapse",
]

NODE_TYPES: dict[str, type[Node]] = {
    t.__name__: t for t in (Input, Conv2d, Linear, Gain, Add, IF, Requant, SumPool, MaxPool, Flatten, Readout)
}
"""The kinds of nodes by the name that files and hashes have for them."""
