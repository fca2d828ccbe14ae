"""What is explored, in figures: a network, a device, what it could do at most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..gen.targets.fpga.devices import Device
from ..quant.ir.network import Network
from ..quant.ir.ops import IF, Synapse

__all__ = ["described", "device_figures", "elements", "roofline"]


def described(network: Network) -> dict[str, Any]:
    """Rules, time steps and weights of ``network``."""
    synapses = [node for node in network if isinstance(node, Synapse)]
    return {"hash": network.hash, "steps": network.steps,
            "rules": sorted({node.rule for node in network if isinstance(node, IF)}),
            "weight_bits": sorted({node.weight_bits for node in synapses}),
            "weights": sum(node.weight.size for node in synapses)}  # fmt: skip


def elements(network: Network) -> int:
    """Elements of a frame on all boundaries."""
    return sum(int(np.prod(signal.shape)) for signal in network.signals.values())


def device_figures(device: Device | None) -> dict[str, Any] | None:
    """What ``device`` has, and what a design may take of it."""
    if device is None:
        return None
    luts, ff, ebr, _ = device.budget.tolist()
    return {"name": device.name, "luts": device.luts, "ff": device.luts, "ebr": device.ebr,
            "budget": {"luts": luts, "ff": ff, "ebr": ebr}}  # fmt: skip


def roofline(points: Sequence[dict[str, Any]], device: Device | None) -> dict[str, Any] | None:
    """The most operations a cycle that the device's LUTs could do at the price of the cheapest array met, and the bits
    of weights that its block RAMs give a cycle."""
    prices = [point["array_luts"] / sum(s["operations"] / s["cycles"] for s in point["stages"]) for point in points]
    if device is None or not prices:
        return None
    price = min(prices)
    return {"operations_per_cycle": round(float(device.budget[0]) / price, 1),
            "weight_bits_per_cycle": float(36 * device.budget[2]),
            "note": f"{price:.2f} LUTs for an operation a cycle, as the cheapest synapse arrays met, and all LUTs "
                    "that may be used; 36 bits a cycle from a block RAM, no limit for weights in LUTs."}  # fmt: skip
