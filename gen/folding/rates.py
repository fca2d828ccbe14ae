"""How often window words are all zero, measured on sample frames: what the choice of skipping needs to know."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...hdl.cores.window.sparse_law import mean_cycles
from ...hdl.streams.stage import StageSpec
from ...quant.ir.network import Network
from ..lowering.fitting import divisors
from ..lowering.layers import layers
from ..lowering.plan import build_stage, chunk_of
from ..lowering.registry import head_of
from .fold import Fold

__all__ = ["WordRates"]


class WordRates:
    """The activity of every stage with synapses on the frames of ``outputs``.

    Parameters: ``network``; ``outputs``, its results by node as the golden model gives them, of a few frames: spikes
    (N, T, C, H, W), values (N, C, H, W), the input included; ``counts``, whether spikes travel as counts where they
    can.
    Attributes: ``frames`` (N, C, H, W).
    """

    def __init__(self, network: Network, outputs: Mapping[str, np.ndarray], counts: bool = True) -> None:
        self.frames = np.asarray(outputs[network.input.name])
        self._layers = {layer.name: layer for layer in layers(network, counts) if head_of(layer).currents}
        self._active: dict[str, np.ndarray] = {}
        self._costs: dict[tuple[str, int], np.ndarray] = {}
        for name, layer in self._layers.items():
            x = np.asarray(outputs[layer.input])
            x = x.sum(1) != 0 if layer.counts[0] else x != 0
            x = x.any(axis=1) if x.ndim == 5 else x
            # Element by element in the order of the stream: pixel by pixel, in a pixel channel by channel.
            self._active[name] = x.transpose(0, 2, 3, 1).reshape(len(x), -1)

    def table(self) -> dict[str, dict[int, float]]:
        """The share of window words that are not zero, by stage and ``inputs``, for all that skipping is built for."""
        return {
            name: {n: self.share(name, n) for n in divisors(layer.channels[1]) if chunk_of(layer, n) > 1}
            for name, layer in self._layers.items()
        }

    def share(self, name: str, inputs: int) -> float:
        """The mean share of the words of a walk of the stage ``name`` that are not zero, padding included."""
        fold = Fold(self._layers[name].channels[0], inputs, self._layers[name].time_fold, skip=True)
        stage = build_stage(self._layers[name], fold)
        return float(self._scans(stage)[:, 3].mean()) / stage.window.scan_words

    def cycles(self, stage: StageSpec) -> float:
        """Mean cycles of a frame in which ``stage``, which skips, is busy: what ``StageSpec.cycles`` is without
        skipping. Exact where its input is there, its output is taken and ``span`` does not hold results back."""
        window = stage.window
        repeats = window.groups * window.scans
        return mean_cycles(self._scans(stage), repeats) * window.scans * window.results

    def _scans(self, stage: StageSpec) -> np.ndarray:
        key = (stage.name, stage.i_format.lanes)
        if key not in self._costs:
            active = self._active[stage.name].reshape(-1, self._layers[stage.name].channels[1])
            idle = stage.window.channels - active.shape[1]
            active = np.pad(active, ((0, 0), (idle, 0)))
            events = np.any(active.reshape(-1, stage.i_format.lanes), axis=1)
            self._costs[key] = stage.window.scan_costs(events)
        return self._costs[key]
