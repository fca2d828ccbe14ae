"""What models say in other words than the conversion: rewritten, exactly, before it looks at the rules.

Each pass takes a :class:`~.graph.Graph` and gives one that computes the same. They run in the order of :data:`PASSES`;
a graph that needs none stays as it is. What a pass cannot say otherwise is left to ``structure.check``, which refuses
it by its name.
"""

from __future__ import annotations

from .activations import activations
from .graph import Graph
from .heads import heads
from .linears import linears
from .norms import norms
from .pads import pads
from .parts import parts

__all__ = ["PASSES", "Graph", "rewritten"]

PASSES = (pads, parts, norms, linears, activations, heads)


def rewritten(graph: Graph) -> Graph:
    """``graph`` after all passes. Raises UnsupportedLayer and NetworkError, naming the layer."""
    for one in PASSES:
        graph = one(graph)
    return graph
