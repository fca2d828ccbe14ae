"""The maximum over windows."""

from __future__ import annotations

from dataclasses import dataclass

from .pool import Pool

__all__ = ["MaxPool"]


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxPool(Pool):
    """Values: the maximum of the window. Spikes: with N_t the running count of a neuron's spikes up to step t and
    M_t the maximum of N_t over the window, the output spikes at t when M_t > M_(t-1) (count gate, Spiking ResNet)."""
