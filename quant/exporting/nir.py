"""A spiking network as a graph of NIR, in integers: what other tools simulate, and ``quant.frontends.nir`` reads back.

One step of time adds r * I = I to a membrane. What NIR has no field for stands in the metadata, which other tools do
not read: ``docs/nir.md`` lists them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ..files.replacing import replacing
from ..ir.network import Network
from ..ir.node import Node
from ..ir.ops import IF, Conv2d, Flatten, Input, Linear, Readout, SumPool
from ..ir.windows import each_side

if TYPE_CHECKING:
    from nir import NIRGraph

__all__ = ["ExportError", "save", "to_nir"]

SINGLE = 1 << 24
"""The largest whole number up to which single floats hold all."""


class ExportError(ValueError):
    """A network that a format has no place for; the message names the node, the rule and the remedy."""


def save(network: Network, path: str | Path, *, force: bool = False) -> None:
    """Write ``network`` as the NIR file ``path``, in one go. Raises ExportError, see :func:`to_nir`."""
    import nir

    graph = to_nir(network, force=force)
    with replacing(Path(path)) as temporary:
        nir.write(temporary, graph)


def to_nir(network: Network, *, force: bool = False) -> NIRGraph:
    """The graph of ``network``: a chain of convolutions, linear layers, sum-pools and causal neurons. ``force``:
    initial membranes other than 0 are written too, as metadata, which other tools do not read. Raises ExportError,
    naming the node, for all else."""
    return _Graph(network, force).graph()


class _Graph:
    """The nodes of NIR so far, by name, and ``vector``, whether the last one gives a vector."""

    def __init__(self, network: Network, force: bool) -> None:
        self.network, self.force = network, force
        self.nodes, self.vector = dict[str, Any](), False
        self.counted = _counted(network)

    def graph(self) -> NIRGraph:
        """The whole."""
        import nir

        for node in self.network:
            if len(self.network.takers[node.name]) > 1:
                several = ", ".join(taker.name for taker in self.network.takers[node.name])
                self._refuse(node, f"is taken by {several}", "chains, in which one node takes each result")
            self._add(node)
        names = list(self.nodes)
        metadata = {"time_steps": self.network.steps}
        edges = list(zip(names[:-1], names[1:], strict=True))
        # What the package would check it computes with the height of a kernel for its width too.
        return nir.NIRGraph(self.nodes, edges, metadata=metadata, type_check=False)

    def _add(self, node: Node) -> None:
        import nir

        signal = self.network.signals[node.name]
        shape = np.array(signal.shape)
        match node:
            case Input():
                self.vector = isinstance(self.network.takers[node.name][0], Linear)
                kind = nir.Input({"input": shape[:1] if self.vector else shape})
                self._put(node.name, kind, high=node.high)
            case Conv2d():
                self._conv2d(node)
            case Linear():
                self._linear(node)
            case IF():
                self._neurons(node, shape[:1] if self.vector else shape)
            case SumPool():
                self._maps(node)
                kernel, stride = (np.array(_pair(setting)) for setting in (node.kernel, node.stride))
                self._put(node.name, nir.SumPool2d(kernel, stride, np.array(self._padding(node))))
            case Flatten():
                self._flatten(node.name, node.source)
            case Readout():
                self._put(node.name, nir.Output({"output": shape[:1]}))
            case _:
                self._refuse(
                    node,
                    f"is a {type(node).__name__}",
                    "Conv2d, Linear, SumPool, Flatten and IF of rule 'causal', one behind the other; convert the model "
                    "with method spiking, or qcfs and rule causal",
                )

    def _conv2d(self, node: Conv2d) -> None:
        import nir

        self._maps(node)
        if node.pad is not None:
            self._refuse(node, "pads with pixels that are not 0", "zeros; convert the model without a mean")
        size = self.network.signals[node.source].shape[1:]
        fields: dict[str, Any] = {"stride": _pair(node.stride), "padding": self._padding(node)}
        fields["dilation"] = _pair(node.dilation)
        bias = _floats(self._bias(node))
        kind = nir.Conv2d(input_shape=size, weight=_floats(node.weight), **fields, groups=node.groups, bias=bias)
        self._put(node.name, kind, weight_bits=node.weight_bits)

    def _linear(self, node: Linear) -> None:
        import nir

        if node is self.counted:
            return
        if not self.vector:
            self._flatten(f"{node.name} flat", node.source, implied="yes")
        kind = nir.Affine(weight=_floats(node.weight), bias=_floats(self._bias(node)))
        self._put(node.name, kind, weight_bits=node.weight_bits)

    def _neurons(self, node: IF, shape: np.ndarray) -> None:
        import nir

        if node.rule != "causal":
            self._refuse(
                node,
                f"has the rule {node.rule!r}",
                "'causal', as IF of NIR; convert the model with method spiking, or qcfs and rule causal",
            )
        if node.v0.any() and not self.force:
            self._refuse(
                node,
                "begins at membranes that are not 0, for which NIR has no field",
                "v0 = 0, or --force, which writes them as metadata: tools that do not read those begin at 0",
            )
        threshold = np.ones(shape) * node.threshold.reshape(-1, *(1,) * (len(shape) - 1))
        kind = nir.IF(r=_floats(np.ones(shape)), v_threshold=_floats(threshold), v_reset=_floats(np.zeros(shape)))
        more: dict[str, Any] = {"reset": "subtract", "test": ">" if node.strict else ">="}
        if node.v0.any() or node.v0.ndim == 3:  # one a neuron, or one a channel, in a form that meets (C, H, W)
            more["v0"] = _floats(node.v0 if self.vector or node.v0.ndim == 3 else node.v0.reshape(-1, 1, 1))
        self._put(node.name, kind, **more)

    def _flatten(self, name: str, source: str, **metadata: Any) -> None:
        import nir

        shape = np.array(self.network.signals[source].shape)[: 1 if self.vector else 3]
        self._put(name, nir.Flatten({"input": shape}, start_dim=0, end_dim=-1), **metadata)
        self.vector = True

    def _bias(self, node: Conv2d | Linear) -> np.ndarray:
        """What is added in every time step; of the answer a T-th of what is added once, for all of them."""
        taker = self.network.takers[node.name][0]
        if isinstance(taker, Readout):
            timed = self.network.signals[node.name].timed
            return taker.bias / (self.network.steps if timed else 1)
        return taker.bias if isinstance(taker, IF) else np.zeros(len(node.weight), np.int64)

    def _padding(self, node: Conv2d | SumPool) -> tuple[int, int]:
        (top, bottom), (left, right) = each_side(node.padding)
        if (top, left) != (bottom, right):
            self._refuse(
                node,
                f"has padding {top}, {bottom} above and below, {left}, {right} left and right",
                "the same on both sides",
            )
        return top, left

    def _maps(self, node: Node) -> None:
        """Refuse a vector where NIR wants a map."""
        if self.vector:
            self._refuse(node, f"is a {type(node).__name__} behind a vector", "a map, or a Linear in its place")

    def _put(self, name: str, kind: Any, **metadata: Any) -> None:
        """``kind`` under a name that a file can have, and its own name in the metadata where that is another."""
        key, number = name.replace("/", ".").strip(".") or "node", 2
        while key in self.nodes:
            key, number = f"{key.rsplit(' (', 1)[0]} ({number})", number + 1
        kind.metadata = metadata | ({"name": name} if key != name else {})
        self.nodes[key] = kind

    def _refuse(self, node: Node, what: str, instead: str) -> NoReturn:
        raise ExportError(f"{node.name}: {what}; a NIR file takes {instead}")


def _counted(network: Network) -> Linear | None:
    """The weights of one behind neurons that are the answer: the number of their spikes is what they give."""
    answer = network.nodes[-1]
    weights = network[answer.source]
    if not isinstance(answer, Readout) or not isinstance(weights, Linear) or answer.bias.any():
        return None
    one = weights.weight_bits == 2 and weights.name == f"{answer.name} counts"
    same = network.signals[weights.source].timed and np.array_equal(weights.weight, np.eye(len(weights.weight)))
    return weights if one and same else None


def _pair(setting: int | tuple[int, int]) -> tuple[int, int]:
    return setting if isinstance(setting, tuple) else (setting, setting)


def _floats(x: np.ndarray) -> np.ndarray:
    """Single floats where they hold all of it, else double ones."""
    single = x.astype(np.float32)
    return single if (single == x).all() else x.astype(np.float64)
