"""What is added up in currents: the nodes with weights and the gains, past all additions, however many there are."""

from __future__ import annotations

from collections.abc import Iterator

from .network import Network
from .ops import Add, Node

__all__ = ["addends"]


def addends(network: Network, name: str) -> Iterator[Node]:
    """The synapse nodes and gains whose currents are added up in ``name``, in the order of the additions."""
    left = [name]
    while left:
        node = network[left.pop()]
        if isinstance(node, Add):
            left += reversed(node.sources)
        else:
            yield node
