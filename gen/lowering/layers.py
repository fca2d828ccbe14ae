"""A network cut into layers: which nodes share a stage, and which streams come into it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ...hdl.cores.synapse.figures import WeightFigures, narrowed
from ...hdl.streams.words import WordFormat
from ...quant.ir.network import Network, Signal
from ...quant.ir.ops import IF, Add, Conv2d, Flatten, Gain, Input, Linear, Node, Synapse
from ..errors import PlanError
from .counts import counted, sums_over_time
from .registry import heads, tail_of, tails

__all__ = ["StageNodes", "StageShortcut", "layers"]


@dataclass(frozen=True, eq=False)
class StageShortcut:
    """A shortcut into a stage.

    Attributes: ``node``, whose result comes in; ``gain``, the identity shortcut, None where currents come in;
    ``maker``, then the layer that makes them; ``signal``, what is added: of a strided shortcut the pixels that it
    keeps; ``counts``, whether spikes come in as their counts.
    """

    node: str
    gain: Gain | None
    maker: StageNodes | None
    signal: Signal
    counts: bool

    @property
    def offset(self) -> int:
        """First channel that it has."""
        return self.gain.offset if self.gain is not None else 0

    @property
    def stride(self) -> int:
        """Step between the pixels that it keeps."""
        return self.gain.stride if self.gain is not None else 1


@dataclass(frozen=True, eq=False)
class StageNodes:
    """The nodes of one stage: a synapse node with its shortcuts and its neurons, quantiser or read-out, or a pool. A
    stage without those hands out currents, for a shortcut with a convolution in it.

    Attributes: ``nodes``; ``input``, name of the node whose result comes in; ``source``, what that is;
    ``shortcuts``; ``order``, for a Linear behind a Flatten the index of its weight column for every element in the
    order of the stream (pixel by pixel, channels together), else None; ``steps``, T; ``sums``, whether its currents are
    added up over time; ``counts``, whether spikes come in, and go out, as their counts (``gen.lowering.counts``).
    """

    nodes: tuple[Node, ...]
    input: str
    source: Signal
    shortcuts: tuple[StageShortcut, ...]
    order: np.ndarray | None
    steps: int
    sums: bool
    counts: tuple[bool, bool]

    @property
    def name(self) -> str:
        """Name of the stage: that of its first node."""
        return self.nodes[0].name

    @cached_property
    def _narrow(self) -> np.ndarray:
        """The weights of a synapse node, in as few bytes as hold them."""
        return narrowed(self.nodes[0].weight)  # pyright: ignore[reportAttributeAccessIssue]  # of a synapse node only

    @cached_property
    def rows(self) -> np.ndarray:
        """Weights (Co, n) of a synapse node in the order of the window words, tap by tap."""
        weight = self._narrow
        if weight.ndim == 4:
            return np.ascontiguousarray(weight.transpose(0, 2, 3, 1)).reshape(len(weight), -1)
        return np.ascontiguousarray(weight if self.order is None else weight[:, self.order])

    @cached_property
    def columns(self) -> np.ndarray:
        """Weights (Co, n) of a convolution in the order of the window words, kernel column by kernel column."""
        weight = self._narrow
        return np.ascontiguousarray(weight.transpose(0, 3, 2, 1)).reshape(len(weight), -1)

    @cached_property
    def figures(self) -> WeightFigures:
        """What the folds of a synapse node ask of its ``rows``."""
        return WeightFigures(self.rows)

    @cached_property
    def column_figures(self) -> WeightFigures:
        """What the folds of whole kernel columns ask of the ``columns`` of a convolution."""
        return WeightFigures(self.columns)

    @cached_property
    def _extended(self) -> dict[tuple[bool, int, int], tuple[np.ndarray, WeightFigures]]:
        return {}

    def weights(self, columns: bool, count: int, idle: int = 0) -> tuple[np.ndarray, WeightFigures]:
        """Weights of a synapse node, kernel column by kernel column or tap by tap, and their figures, for ``count``
        channels: where these are more than there are, the first ones follow again (``hdl.streams.blocks``). In front of
        the input channels of every tap stand ``idle`` ones (``hdl.streams.gearbox``), with weights of 0; of weights of
        -1 and +1 with +1, as their inputs are 0."""
        rows, figures = (self.columns, self.column_figures) if columns else (self.rows, self.figures)
        if count == len(rows) and not idle:
            return rows, figures
        if (columns, count, idle) not in self._extended:
            more = np.concatenate([rows, rows[: count - len(rows)]])
            if idle:
                nothing = int(self.nodes[0].weight_bits == 1)  # pyright: ignore[reportAttributeAccessIssue]
                taps = more.reshape(count, -1, self.channels[1])
                taps = np.pad(taps, ((0, 0), (0, 0), (idle, 0)), constant_values=nothing)
                more = np.ascontiguousarray(taps).reshape(count, -1)
            self._extended[columns, count, idle] = more, WeightFigures(more)
        return self._extended[columns, count, idle]

    def find(self, kind: type) -> Any:
        """The node of this kind, or None."""
        return next((n for n in self.nodes if isinstance(n, kind)), None)

    @property
    def channels(self) -> tuple[int, int]:
        """Channels that the fold divides: (outputs, inputs)."""
        c, h, w = self.source.shape
        node = self.nodes[0]
        if isinstance(node, Synapse):
            return node.weight.shape[0], c if isinstance(node, Conv2d) else c * h * w
        return c, c

    @property
    def o_width(self) -> int:
        """Pixels of a row of what leaves."""
        node = self.nodes[0]
        return node.windows.places(self.source.shape[1:])[1] if isinstance(node, Conv2d) else 1

    @property
    def groups(self) -> int:
        """Groups of a grouped convolution, each of which takes its own channels; else 1."""
        node = self.nodes[0]
        return node.groups if isinstance(node, Conv2d) else 1

    @property
    def time_fold(self) -> int:
        """Time steps that ``steps`` may fold: T for neurons on timed inputs whose steps follow each other, else 1."""
        neuron = self.find(IF)
        return self.steps if self.source.timed and neuron is not None and neuron.fires.folds else 1

    @property
    def adds_up(self) -> bool:
        """Whether the time steps of what comes in are added up first."""
        return self.sums and self.source.timed and self.steps > 1

    def words_in(self, lanes: int) -> WordFormat:
        """The words that come in, of ``lanes`` channels."""
        source = self.source
        form = WordFormat(lanes, self.steps if source.timed else 1, source.low, source.high)
        return form.summed if self.counts[0] else form


def layers(network: Network, counts: bool = True) -> list[StageNodes]:
    """Cut ``network`` into stages, each behind those it takes words from; ``counts``: spikes travel as counts where
    they can. Raises PlanError for what has no hardware."""
    place = {node.name: k for k, node in enumerate(network)}
    counting, sums = counted(network) if counts else set(), _sums(network)
    found = [_layer(network, node, counting, sums) for node in network if type(node) in heads()]
    found.sort(key=lambda layer: place[layer.nodes[-1].name])
    used = {node.name for layer in found for node in layer.nodes}
    for node in network:
        if node.name not in used and not isinstance(node, Input | Flatten | Gain):
            raise PlanError(
                f"{node.name}: {type(node).__name__} behind {node.source} has no hardware; supported: {_supported()}"
            )
    return found


def _supported() -> str:
    """What has hardware, as a message lists it."""
    weights, others = ([kind.__name__ for kind, head in heads().items() if head.currents == c] for c in (True, False))
    behind = " or ".join(kind.__name__ for kind in tails())
    weighted = f"{' or '.join(weights)}, with shortcuts added or not, with {behind} behind it"
    return ", ".join([weighted, *others, "Flatten"])


@dataclass(frozen=True)
class _Sums:
    """Which stage makes which sum. ``mains``: by addition, the addend in whose stage the sum is made; ``roots``: by
    currents, the synapse node that the stage starts with, none for an identity shortcut."""

    mains: dict[str, str]
    roots: dict[str, Synapse]


def _sums(network: Network) -> _Sums:
    """The sums of ``network``. That of a stage is made with the addend that changes over time, then with the one that
    has more weights. Raises PlanError for the sum of two identity shortcuts."""
    mains: dict[str, str] = {}
    roots: dict[str, Synapse] = {}
    for node in network:  # each behind its sources
        if isinstance(node, Synapse):
            roots[node.name] = node
        elif isinstance(node, Add):
            ways = [name for name in node.sources if name in roots]
            if not ways:
                raise PlanError(
                    f"{node.name}: adds two identity shortcuts ({node.source}, {node.other}); one side must end in a "
                    "Conv2d or Linear"
                )
            main = max(ways, key=lambda name: (network.signals[name].timed, roots[name].weight.size))
            mains[node.name], roots[node.name] = main, roots[main]
    return _Sums(mains, roots)


def _layer(network: Network, node: Node, counting: set[str], sums: _Sums) -> StageNodes:
    """The stage that starts with ``node``; ``counting``, the nodes whose spikes travel as counts."""
    name, order = node.source, None
    if isinstance(flat := network[name], Flatten):
        if not isinstance(node, Linear):
            raise PlanError(
                f"{node.name}: {type(node).__name__} behind a Flatten has no hardware; put the Flatten before the "
                "first Linear"
            )
        name = flat.source
        while isinstance(flat := network[name], Flatten):
            name = flat.source
        c, h, w = network.signals[name].shape
        order = np.arange(c * h * w).reshape(c, h, w).transpose(1, 2, 0).reshape(-1)
    source, group, skips = network.signals[name], [node], []
    over_time = False
    if heads()[type(node)].currents:
        (following,) = network.takers[node.name]
        while isinstance(following, Add) and sums.mains[following.name] == group[-1].name:
            skips.append(_skip(network, following, source.timed, counting, sums))
            group.append(following)
            (following,) = network.takers[following.name]
        over_time = sums_over_time(network, node.name)
        if type(following) in tails():
            group.append(following)
            behind = network.takers[following.name]
            if len(behind) == 1 and isinstance(behind[0], tail_of(following).then):
                group.append(behind[0])
    counts = (name in counting, group[-1].name in counting)
    return StageNodes(tuple(group), name, source, tuple(skips), order, network.steps, over_time, counts)


def _skip(network: Network, add: Add, timed: bool, counting: set[str], sums: _Sums) -> StageShortcut:
    """The shortcut of ``add``, whose other side is made by the stage."""
    main = sums.mains[add.name]
    name = add.other if add.source == main else add.source
    node, signal = network[name], network.signals[name]
    if signal.timed and not timed:
        raise PlanError(
            f"{add.name}: adds spikes of T = {network.steps} steps ({name}) to currents that do not change over time "
            f"({main}); supported: the other way round, or both of one kind"
        )
    if not isinstance(node, Gain):
        return StageShortcut(name, None, _layer(network, sums.roots[name], counting, sums), signal, False)
    origin = node.source
    if isinstance(network[origin], Flatten):
        raise PlanError(f"{node.name}: a shortcut behind a Flatten has no hardware; take it before the Flatten")
    source = network.signals[origin]
    shape = (source.shape[0], *signal.shape[1:])
    kept = Signal(source.kind, shape, source.timed, source.low, source.high)
    return StageShortcut(origin, node, None, kept, origin in counting)
