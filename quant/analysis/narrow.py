"""A network with narrower weights, by rounding alone: what fewer bits save in hardware, and what they cost in accuracy.

Weights that meet at a neuron share its scale: with w' = round(f w), and threshold, bias and initial membrane times f as
well (rounded too), spikes stay what they were up to the rounding. f is as large as the new bits allow, one for every
channel of a neuron, a power of two before a quantiser that shifts, one for all classes before a read-out. Layers with
more bits than the narrowest ones (first and last, as a rule) stay as they are. No training: a network that was trained
with few bits is better, and is given as a file of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..ir.addends import addends
from ..ir.netfile import load, save
from ..ir.network import Network, NetworkError
from ..ir.ops import Node, Synapse

__all__ = ["narrowed", "narrowed_files"]


def narrowed(network: Network, bits: int) -> Network:
    """``network`` with weights of ``bits`` where it has the fewest. Raises NetworkError where those are not more."""
    now = min(node.weight_bits for node in network if isinstance(node, Synapse))
    if now == 1:
        raise NetworkError("weights of 1 bit cannot be narrowed any further")
    if not 2 <= bits < now:
        raise NetworkError(f"weights of {now} bits can be narrowed to 2..{now - 1} bits, not to {bits}")
    nodes: dict[str, Node] = {node.name: node for node in network}
    for sink in network:
        kinds = [network.signals[name].kind for name in (*sink.sources, sink.name)]
        if kinds[-1] == "currents" or "currents" not in kinds:
            continue  # it adds currents up to others, or takes none
        summed = list(addends(network, sink.source))
        limit = (1 << (bits - 1)) - 1
        factor = np.ones(network.signals[sink.source].shape[0])
        narrow = [node for node in summed if isinstance(node, Synapse) and node.weight_bits == now]
        for node in narrow:
            most = np.abs(node.weight).reshape(len(node.weight), -1).max(1)
            factor = np.minimum(factor, limit / np.maximum(most, 1))
        if not narrow:
            continue
        factor = sink.scalable(factor)
        for node in summed:
            if isinstance(node, Synapse) and node in narrow:
                nodes[node.name] = node.scaled(factor, bits)
            else:
                nodes[node.name] = node.scaled(factor)
        nodes[sink.name] = sink.scaled(factor)
    return Network(tuple(nodes[node.name] for node in network), network.steps, network.meta | {"narrowed": str(bits)})


def narrowed_files(files: Sequence[Path], bits: Iterable[int], folder: Path) -> list[Path]:
    """``files``, and for each the files of its narrowed networks, written to ``folder``; widths that a network does not
    exceed are left out for it."""
    found, bits = list(files), list(bits)
    for file in files:
        network = load(file)
        now = min(node.weight_bits for node in network if isinstance(node, Synapse))
        for width in bits:
            if 2 <= width < now:
                folder.mkdir(parents=True, exist_ok=True)
                save(narrowed(network, width), path := folder / f"{file.stem}-{width}bit.safetensors")
                found.append(path)
            elif width != now:
                raise NetworkError(f"{file}: weights of {now} bits can be narrowed to 2..{now - 1}, not to {width}")
    return found
