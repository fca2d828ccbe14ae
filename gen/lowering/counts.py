"""Which results travel as spike counts: where all who take one need the sum over time alone.

A rule ``lossless`` and a read-out add the currents of all time steps up before anything else (``Node.adds_up``), and so
do convolutions of shortcuts into them. Sums over time go through a synapse, a gain and a ``SumPool`` unchanged, since
all of them are linear (``Node.passes_sums``). They go through a ``MaxPool`` of spikes as the maximum of the counts: its
output in step t is M_t - M_(t-1), M_t being the maximum of the running counts over the window, so that of all steps is
M_(T-1): the maximum of the counts.
"""

from __future__ import annotations

from ...hdl.streams.words import WordFormat
from ...quant.ir.network import Network

__all__ = ["counted", "sums_over_time"]


def sums_over_time(network: Network, name: str) -> bool:
    """Whether the currents ``name`` end, past all additions, where those of all time steps are added up."""
    (end,) = network.takers[name]
    while end.passes_sums and network.signals[end.name].kind == "currents":
        (end,) = network.takers[end.name]
    return end.adds_up


def counted(network: Network) -> set[str]:
    """The nodes whose spikes travel as counts: those that can (``Node.counts``), with counts of all spikes that they
    take, all of whose takers add them up, where a count has fewer bits than T spikes of a neuron."""
    words = {low: WordFormat(1, network.steps, low, 1) for low in (-1, 0)}
    shorter = {low: form.summed.width < form.width for low, form in words.items()}
    found, summed = set[str](), _summed(network)
    for node in network:
        taken = [source for source in node.sources if network.signals[source].kind == "spikes"]
        signal = network.signals[node.name]
        spiking = signal.kind == "spikes" and shorter[max(signal.low, -1)]
        if spiking and node.counts and node.name in summed and found.issuperset(taken):
            found.add(node.name)
    return found


def _summed(network: Network) -> set[str]:
    """The nodes all of whose takers add up what they take over time."""
    found: set[str] = set()
    for node in reversed(list(network)):  # each behind its takers
        takers = network.takers[node.name]
        if all(taker.adds_up or (taker.passes_sums and taker.name in found) for taker in takers):
            found.add(node.name)
    return found
