"""Which results travel as spike counts: where all who take one need the sum over time alone.

A rule ``lossless`` and a read-out add the currents of all time steps up before anything else, and so do convolutions of
shortcuts into them. Sums over time go through a synapse, a gain and a ``SumPool`` unchanged, since all of them are
linear. They go through a ``MaxPool`` of spikes as the maximum of the counts: its output spikes in step t when M_t >
M_(t-1), M_t being the maximum of the running counts over the window. M_t rises by one at most, since a running count
does, so the output has M_(T-1) spikes in all: the maximum of the counts.
"""

from __future__ import annotations

from ...hdl.cores.neuron.rule import rule_of
from ...hdl.streams.words import WordFormat
from ...quant.ir.network import Network
from ...quant.ir.ops import IF, Add, Flatten, Pool, Readout

__all__ = ["counted", "sums_over_time"]


def sums_over_time(network: Network, name: str) -> bool:
    """Whether the currents ``name`` end, past all additions, where those of all time steps are added up."""
    (end,) = network.takers[name]
    while isinstance(end, Add):
        (end,) = network.takers[end.name]
    return isinstance(end, Readout) or (isinstance(end, IF) and end.adds_up)


def counted(network: Network) -> set[str]:
    """The nodes whose spikes travel as counts: neurons of rules that count all of whose takers add them up, where a
    count has fewer bits than T spikes, and the pools behind them."""
    spikes = WordFormat(1, network.steps, 0, 1)
    if spikes.summed.width >= spikes.width:
        return set()
    found, summed = set[str](), _summed(network)
    for node in network:
        behind = isinstance(node, Pool | Flatten) and node.source in found
        if behind or (isinstance(node, IF) and rule_of(node.rule).counts and node.name in summed):
            found.add(node.name)
    return found


def _summed(network: Network) -> set[str]:
    """The neurons, pools and flattens all of whose takers add up what they take over time."""
    found: set[str] = set()
    for node in reversed(list(network)):  # each behind its takers
        if isinstance(node, IF | Pool | Flatten) and all(
            taker.name in found if isinstance(taker, Pool | Flatten) else sums_over_time(network, taker.name)
            for taker in network.takers[node.name]
        ):
            found.add(node.name)
    return found
