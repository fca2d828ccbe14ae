"""Parts in the making: each node of a NIR graph becomes one, or goes into those beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ...ir.bounds import NetworkError
from ...ir.windows import Windows
from ..layers import refuse
from .node import NirNode
from .parts import Fires, Flat, Part, Sums, Weighted, maps
from .windows import of_convolution, of_pool

__all__ = ["Making"]


class Making:
    """The ``parts`` so far, for images of ``shape``, (C, H, W), (C, L) or (n,).

    ``shape`` is that of the last result; ``gain``, a number for each of its numbers, is what it is still to be
    multiplied by; ``currents``, whether it is currents, which go to neurons or to the answer.
    """

    def __init__(self, shape: tuple[int, ...], notice: Callable[[str], None]) -> None:
        self.parts = list[Part]()
        self.shape, self.gain, self.currents = shape, np.ones(shape), False
        self.unsaid, self._notice = list[str](), notice

    def add(self, node: NirNode) -> None:
        """Take in ``node``. Raises UnsupportedLayer and NetworkError, naming it."""
        getattr(self, f"_{node.kind.lower()}")(node)
        node.all_read()

    def warn(self) -> None:
        """Say what was taken for granted."""
        if self.unsaid:
            self._notice(
                f"{', '.join(self.unsaid)}: the file does not say how IF resets; taken as reset by subtraction, with "
                "one spike a step at most (docs/nir.md)"
            )

    def answer(self, node: NirNode, said: tuple[int, ...]) -> list[Part]:
        """The parts with the answer, of which ``node``, the Output, says that it has the shape ``said``: where it is
        spikes, their number counts, so weights of one stand behind them."""
        if said != self.shape:
            self._unfit(node, said)
        if not self.currents:
            if len(self.shape) != 1:
                node.refuse("of a map", "a vector of classes; put a Flatten before it")
            if all(isinstance(part, Flat) for part in self.parts):
                node.refuse("of an image without layers", "layers with weights")
            same = bool((self.gain == self.gain[0]).all() and self.gain[0] > 0)
            weight = np.eye(self.shape[0]) if same else np.diag(self.gain)
            bias = np.zeros(self.shape[0])
            self.parts.append(Weighted(f"{node.name} counts", weight, bias, bits=2 if same else None))
        return self.parts

    # Layers with weights

    def _affine(self, node: NirNode) -> None:
        weight, bias = node.numbers("weight"), node.numbers("bias") if node.kind == "Affine" else None
        if weight.ndim != 2:
            node.refuse(f"with weights of the shape {weight.shape}", "(outputs, inputs)")
        self._values(node)
        if len(self.shape) != 1 or weight.shape[1] != self.shape[0]:
            raise NetworkError(
                f"{node.name}: {node.kind} takes {weight.shape[1]} numbers, but {'x'.join(map(str, self.shape))} come "
                f"in{'; put a Flatten before it' if math.prod(self.shape) == weight.shape[1] else ''}"
            )
        self._weighted(node, weight * self.gain, bias, (len(weight),), None, 1)

    _linear = _affine

    def _conv2d(self, node: NirNode) -> None:
        lines = node.kind == "Conv1d"
        size, weight = self._size(node, 1 if lines else 2), node.numbers("weight")
        if weight.ndim != (3 if lines else 4):
            node.refuse(f"with weights of the shape {weight.shape}", "(outputs, inputs / groups, *kernel)")
        weight = weight[:, :, None] if lines else weight
        groups = node.whole("groups", 1)[0]
        if groups < 1 or len(weight) % groups or weight.shape[1] * groups != self.shape[0]:
            of_groups = f" in {groups} groups" if groups != 1 else ""
            raise NetworkError(
                f"{node.name}: its kernels have {weight.shape[1]} channels{of_groups}, but {self.shape[0]} come in"
            )
        self._values(node)
        gain = self._by_channel(node, self.gain, "Scale before it").reshape(groups, 1, -1, 1, 1)
        weight = (weight.reshape(groups, -1, *weight.shape[1:]) * gain).reshape(weight.shape)
        windows = of_convolution(node, weight.shape[2:], maps(self.shape), lines)
        self._check_shape(node, size)
        places = windows.places(size)
        shape = (len(weight), *(places[1:] if lines else places))
        self._weighted(node, weight, node.numbers("bias") if node.has("bias") else None, shape, windows, groups)

    _conv1d = _conv2d

    def _weighted(
        self, node: NirNode, weight: np.ndarray, bias: np.ndarray | None, shape: tuple[int, ...],
        windows: Windows | None, groups: int,
    ) -> None:  # fmt: skip
        bias = np.zeros(len(weight)) if bias is None else bias.reshape(-1)
        if bias.shape != (len(weight),):
            node.refuse(f"with {bias.size} biases", f"one for each of its {len(weight)} outputs")
        bits = node.said_number("weight_bits")
        if bits is not None and not 1 <= bits <= 8:
            node.refuse(f"with the metadata weight_bits={bits}", "1 to 8")
        self.parts.append(Weighted(node.name, weight, bias, windows, groups, bits))
        self.shape, self.gain, self.currents = shape, np.ones(shape), True

    def _scale(self, node: NirNode) -> None:
        scale = node.numbers("scale")
        if scale.size != 1 and scale.shape != self.shape:
            self._unfit(node, scale.shape)
        scale = np.broadcast_to(scale if scale.size != 1 else scale.reshape(()), self.shape)
        if not self.currents:
            self.gain = self.gain * scale
            return
        last, gain = self.parts[-1], self._by_channel(node, scale, "factors")
        assert isinstance(last, Weighted)
        weight = last.weight * gain.reshape(-1, *(1,) * (last.weight.ndim - 1))
        self.parts[-1] = replace(last, weight=weight, bias=last.bias * gain)

    # Layers without

    def _sumpool2d(self, node: NirNode) -> None:
        self._values(node)
        size = self._size(node, 2)
        windows = of_pool(node, maps(self.shape))
        gain = self._by_channel(node, self.gain, "Scale before it")
        self.parts.append(Sums(node.name, windows))
        self.shape = (self.shape[0], *windows.places(size))
        gain = gain / math.prod(windows.kernel) if node.kind == "AvgPool2d" else gain
        self.gain = np.broadcast_to(gain.reshape(-1, 1, 1), self.shape)

    _avgpool2d = _sumpool2d

    def _flatten(self, node: NirNode) -> None:
        self._values(node)
        rank = len(self.shape)
        start, end = node.whole("start_dim", 1)[0], node.whole("end_dim", 1)[0]
        # A dimension of size 1 in front changes nothing: some tools count that of the batch.
        leading = next((k for k, n in enumerate(self.shape) if n > 1), 0)
        if not 0 <= start % max(rank, 1) <= leading or end not in (-1, rank - 1):
            node.refuse(f"of the dimensions {start} to {end} of {rank}", "all of them, start_dim=0 and end_dim=-1")
        self.parts.append(Flat(node.name, node.said("implied", ("yes",)) is not None))
        self.shape = (math.prod(self.shape),)
        self.gain = self.gain.reshape(-1)

    # Neurons

    def _if(self, node: NirNode) -> None:
        threshold, r = node.numbers("v_threshold"), node.numbers("r")
        if node.has("v_reset") and node.numbers("v_reset").any():
            worst = node.numbers("v_reset").flat[int(np.abs(node.numbers("v_reset")).argmax())]
            node.refuse(f"with v_reset {worst:g}", "v_reset 0, for neurons are reset by subtraction; train it so")
        if node.said("reset", ("subtract",)) is None:
            self.unsaid.append(node.name)
        if not self.currents:
            self._one_weight(node)
        by = self._each(node, "r", r)
        threshold = self._each(node, "v_threshold", threshold)
        for what, values in (("r", by), ("v_threshold", threshold)):
            if values.min() <= 0:
                node.refuse(f"with {what} {values.min():g}", "positive ones")
        strict = node.said("test", (">", ">=")) != ">="
        begin = self._membranes(node)
        by_channel = by.reshape(-1, *(1,) * (begin.ndim - 1))
        self.parts.append(Fires(node.name, threshold / by, begin / by_channel, strict))
        self.gain, self.currents = np.ones(self.shape), False

    def _one_weight(self, node: NirNode) -> None:
        """Neurons behind an image, spikes or sums of them: a weight for each."""
        if len(self.shape) == 1:
            weight, windows, groups = np.diag(self.gain), None, 1
        else:
            gain = self._by_channel(node, self.gain, "Scale before it")
            weight, windows, groups = gain.reshape(-1, 1, 1, 1), Windows((1, 1)), self.shape[0]
        self.parts.append(Weighted(f"{node.name} weights", weight, np.zeros(len(weight)), windows, groups))
        self.gain, self.currents = np.ones(self.shape), True

    def _each(self, node: NirNode, key: str, values: np.ndarray) -> np.ndarray:
        """``values`` of the neurons, one a channel."""
        if values.size != 1 and values.shape != self.shape:
            self._unfit(node, values.shape)
        values = np.broadcast_to(values if values.size != 1 else values.reshape(()), self.shape)
        return self._by_channel(node, values, key)

    def _membranes(self, node: NirNode) -> np.ndarray:
        """The initial membranes that the metadata say, one a channel, (C,), or one a neuron, (C, H, W)."""
        c, *rest = self.shape
        v0 = node.finite("v0", node.metadata.get("v0", 0.0))
        if v0.size == 1 or v0.shape == (c, *(1,) * len(rest)):
            return np.broadcast_to(v0.reshape(-1), (c,))
        if v0.shape not in (self.shape, maps(self.shape)):
            self._unfit(node, v0.shape)
        return v0.reshape(maps(self.shape))

    # What all of them ask

    def _by_channel(self, node: NirNode, values: np.ndarray, what: str) -> np.ndarray:
        """``values``, one for each number of a result, as one a channel. Raises UnsupportedLayer."""
        flat = values.reshape(len(values), -1)
        if wrong := np.flatnonzero((flat != flat[:, :1]).any(1)).tolist():
            node.refuse(f"with {what} that differ in channel {wrong[0]}", "one for all neurons of a channel")
        return flat[:, 0]

    def _values(self, node: NirNode) -> None:
        if self.currents:
            last = self.parts[-1].name
            node.refuse(
                f"behind {last}, which has no neurons behind it",
                "IF behind every layer with weights but the last; multiply weights that follow each other, or put "
                "pools and Flatten behind the IF",
            )

    def _size(self, node: NirNode, dimensions: int) -> tuple[int, int]:
        if len(self.shape) != dimensions + 1:
            raise NetworkError(
                f"{node.name}: {node.kind} takes (channels, {'length' if dimensions == 1 else 'height, width'}), but "
                f"{'x'.join(map(str, self.shape))} come in"
            )
        _, high, wide = maps(self.shape)
        return high, wide

    def _check_shape(self, node: NirNode, size: tuple[int, int]) -> None:
        """Refuse an input_shape that is not what comes in."""
        said = node.numbers("input_shape").reshape(-1) if node.has("input_shape") else None
        if said is not None and tuple(said) != size[-len(said) :]:
            self._unfit(node, tuple(int(n) for n in said))

    def _unfit(self, node: NirNode, said: Sequence[int]) -> None:
        shapes = ["x".join(map(str, shape)) or "one number" for shape in (said, self.shape)]
        refuse(node.name, f"{node.kind} of {shapes[0]} behind {shapes[1]}", "equal shapes")
