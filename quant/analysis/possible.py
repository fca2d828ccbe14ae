"""What can appear in a network at all, by derivation: the values of every channel, and of spikes the sum over time.

Values are spans, channel by channel and, of spikes, step by step; the spans of a layer follow from those of its
sources as if the elements of a source were independent of each other (``Node.span``, ``Node.total``). So what is out
of a span can never be, while some of what is inside may never be either. ``quant.analysis.reach`` compares what frames
reached with this.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir.network import Network
from ..ir.span import Span

__all__ = ["Possible", "possible"]


@dataclass(frozen=True)
class Possible:
    """What can appear, by node: ``spans``; ``totals`` (S = 1), those of the spikes of all time steps together, where
    they are known."""

    spans: dict[str, Span]
    totals: dict[str, Span]


def possible(network: Network) -> Possible:
    """Derive what can appear in ``network``."""
    found = Possible({}, {})
    for node in network:
        spans = [found.spans[source] for source in node.sources]
        sources = [network.signals[source] for source in node.sources]
        found.spans[node.name] = node.span(spans, sources, network.steps)
        if network.signals[node.name].kind == "spikes":
            totals = [found.totals.get(source) for source in node.sources]
            if (total := node.total(totals, spans, sources, network.steps)) is not None:
                found.totals[node.name] = total
    return found
