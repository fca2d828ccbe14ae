"""The nodes of the integer network, one file a kind: what each one computes, to the last bit.

Every node is a frozen dataclass of integers, strings and read-only integer arrays. Its docstring gives the exact
equation; the golden model (``quant.golden``), the numpy models of the cores (``hdl``) and the RTL all follow it.
``docs/network.md`` is the normative text. Indices: c channel, t time step (0..T-1), y and x position.

Every module of this folder is found by itself: a new kind of node is its file, and is imported from there.
"""

from __future__ import annotations

import sys

from ..bases.output import Output
from ..bases.pooling import Pooling
from ..bases.synapse import Synapse
from ..bounds import NetworkError
from ..found import classes
from ..node import Node
from .add import Add
from .conv2d import Conv2d
from .flatten import Flatten
from .gain import Gain
from .input import Input
from .integrate_and_fire import IF
from .linear import Linear
from .map_readout import MapReadout
from .max_pool import MaxPool
from .readout import Readout
from .requant import Requant
from .sum_pool import SumPool

__all__ = [
    "IF",
    "NODE_TYPES",
    "Add",
    "Conv2d",
    "Flatten",
    "Gain",
    "Input",
    "Linear",
    "MapReadout",
    "MaxPool",
    "NetworkError",
    "Node",
    "Output",
    "Pooling",
    "Readout",
    "Requant",
    "SumPool",
    "Synapse",
]

NODE_TYPES: dict[str, type[Node]] = {kind.__name__: kind for kind in classes(sys.modules[__name__], Node)}
"""The kinds of nodes by the name that files and hashes have for them."""
