"""Post-training quantisation: a trained network becomes an integer one, without training and without a multiplier.

``docs/ptq.md`` has the equations. Stage after stage (``stages``), with those before it in integers already, the clip
of its activation is searched (``clips``), its weights are fitted to the float results and rounded (``refit``), and
threshold or shift and bias are set (``settle``). Then the stage runs in integers on all calibration images
(``running``), as the network will.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ...frontends.floats import results
from ...frontends.layers import IMAGE, Curve, Layer, Passing, Weights, refuse
from ...ir.bounds import MOST_STEPS, NetworkError
from ...ir.network import Network
from ...kernels.exact import exact_math
from .errors import LayerError, decibels
from .image import prepared
from .maps import Map, around, padded, passed
from .nodes import network_of
from .reconstruct import reconstruct as reconstructed
from .running import error_of, run_stage
from .settling.forms import Form
from .settling.settle import Integers, Options, settle
from .stages import Stage, stages_of

__all__ = ["LayerError", "Options", "Quantised", "quantise"]


@dataclass(frozen=True)
class Quantised:
    """The integer ``network``; what it cost every layer, ``layers``, in the order of the network; ``units``,
    what a 1 of each map is worth, by its name, under "" that of a logit. Those of maps are kept in ``meta`` too, as
    JSON, ``units``. ``gained``: whether gradient reconstruction was asked for and moved anything; None where it was
    not."""

    network: Network
    layers: list[LayerError]
    units: dict[str, float]
    gained: bool | None = None

    @property
    def unit(self) -> float:
        """What a logit of 1 is worth."""
        return self.units[""]


@torch.no_grad()
def quantise(
    layers: Sequence[Layer],
    pixels: np.ndarray,
    *,
    shape: tuple[int, int, int],
    input_high: int,
    form: Literal["values", "spikes"],
    bits: int = 8,
    weight_bits: int = 8,
    first_bits: int | None = None,
    last_bits: int | None = None,
    shortcut_bits: int | None = None,
    steps: int = 15,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    reconstruct: int = 0,
    options: Options | None = None,
    progress: Callable[[float], object] | None = None,
    meta: dict[str, str] | None = None,
) -> Quantised:
    """Quantise ``layers`` of a float graph that takes (pixels / ``input_high`` - ``mean``) / ``std``, channel by
    channel (None: pixels / ``input_high``).

    ``pixels`` (N, C, H, W), integers, are calibration images of the training split, of ``shape``. ``form`` "values":
    T = 1, every activation is a ``Requant`` of ``bits`` bits, to 0..2^bits - 1 or, where it gives values below 0, to
    part of -2^(bits - 1)..2^(bits - 1) - 1; "spikes": lossless neurons, T = ``steps``. Weights get ``weight_bits``
    bits, those of the first and the last layer ``first_bits`` and ``last_bits``, projections ``shortcut_bits`` (None:
    8). ``reconstruct``: epochs over the images in which gradients move all integers together (``reconstruct.py``);
    ``options`` of the search. ``progress`` is called with the share that is done.
    Raises UnsupportedLayer for an activation that is no clamp, or has a sign where the form has none, NetworkError for
    settings and images that do not fit and for numbers that are not finite; both name the layer.
    """
    levels, times = ((1 << bits) - 1, 1) if form == "values" else (steps, steps)
    for name, good, rule in (
        ("form", form in ("values", "spikes"), "'values' or 'spikes'"),
        ("bits", 1 <= bits <= 8, "in 1..8"),
        ("reconstruct", reconstruct >= 0, "0 or more epochs"),
        ("steps", 1 <= steps <= MOST_STEPS, f"in 1..{MOST_STEPS}"),
        *((name, width is None or 2 <= width <= 8, "in 2..8") for name, width in
          zip(("weight_bits", "first_bits", "last_bits", "shortcut_bits"),
              (weight_bits, first_bits, last_bits, shortcut_bits), strict=True)),
    ):
        if not good:
            raise NetworkError(f"Post-training quantisation: {name} must be {rule}")
    images, image = prepared(pixels, shape, input_high, mean, std)
    kind = Form(form, levels, times)
    curved = next((layer for layer in layers if isinstance(layer, Curve)), None)
    if reconstruct and curved is not None:
        refuse(curved.name, f"{curved.called} with gradient reconstruction", "reconstruct=0, or ReLU and other clamps")
    stages = {s.name: s for s in stages_of(layers, kind, weight_bits, first_bits, last_bits, shortcut_bits)}
    walk = _Walk(stages, image, kind, options or Options(), keep=reconstruct > 0)
    done = progress or (lambda _share: None)
    ours = 0.5 if reconstruct else 1.0  # the share of the work that the search is
    with exact_math():
        for k, (layer, result) in enumerate(results(layers, images)):
            done(ours * k / len(layers))
            if not bool(torch.isfinite(result).all()):
                raise NetworkError(f"{layer.name}: gives NaN or infinity for the calibration images; train it again")
            walk.step(layer.name, result)
        if reconstruct:
            walk.reconstruct(reconstruct, lambda share: done(0.5 + share / 2))
        done(1.0)
    last = [stage for stage in stages.values() if isinstance(stage, Stage) and stage.last]
    units = {stage.output: walk.settled[stage.name].unit[0].item() for stage in last}
    kept = {} if "" in units else {"units": json.dumps(units)}
    network = network_of(stages.values(), walk.settled, shape, input_high, walk.form, (meta or {}) | kept)
    return Quantised(network, list(walk.errors.values()), units, walk.gained if reconstruct else None)


def _before_depthwise(stages: Mapping[str, Stage | Passing]) -> set[str]:
    """The stages whose results depthwise layers alone take: each channel has weights of its own there, whose scale is
    free, so that what a level is worth may differ from channel to channel at no cost."""
    others = {IMAGE}
    for stage in stages.values():
        for layer in (stage,) if isinstance(stage, Passing) else (*stage.terms, *stage.shortcuts):
            if not isinstance(layer, Weights) or layer.weight.ndim != 4 or layer.weight.shape[1] > 1:
                others.update(layer.sources)
    return {source for stage in stages.values() for source in stage.sources} - others


class _Walk:
    """Stage after stage, with what of the earlier ones is still needed: ``maps``, ``currents`` of the float network,
    and the noise ``db``; what remains are the ``settled`` stages, their ``errors``, and with ``keep`` what the float
    network gives behind their activations, ``wanted``."""

    def __init__(
        self,
        stages: dict[str, Stage | Passing],
        image: Map,
        form: Form,
        options: Options,
        keep: bool,
    ) -> None:
        self.stages, self.image, self.form, self.options, self.keep = stages, image, form, options, keep
        self.last_use = {source: stage.name for stage in stages.values() for source in stage.sources}
        self.takers = {stage.currents for stage in stages.values() if isinstance(stage, Stage)}
        self.before_depthwise = _before_depthwise(stages)
        self.currents, self.wanted = dict[str, Tensor](), dict[str, Tensor]()
        self.settled: dict[str, Integers] = {}
        self.errors: dict[str, LayerError] = {}
        self.generator = torch.Generator().manual_seed(0)
        self.gained = False
        self._begin()

    def _begin(self) -> None:
        self.maps: dict[str, Map] = {IMAGE: self.image}
        self.db: dict[str, float | None] = {IMAGE: None}

    def step(self, name: str, result: Tensor) -> None:
        """Take the ``result`` of the layer ``name`` in the float network, and settle the stage of that name, if any."""
        if name in self.takers:
            self.currents[name] = result if result.ndim == 4 else result[:, :, None, None]
        if (stage := self.stages.get(name)) is None:
            return
        if isinstance(stage, Stage):
            z = self.currents.pop(stage.currents)
            terms = tuple(padded(layer, self.maps[layer.sources[0]]) for layer in stage.terms)
            stage = self.stages[name] = replace(stage, terms=terms)
            options = replace(self.options, share=1.0) if name in self.before_depthwise else self.options
            self.settled[name] = settle(stage, self.maps, z, self.form, options, self.generator)
            if self.keep:
                self.wanted[name] = stage.shown(z)
            self._run(stage, z)
        else:
            self._run(stage)

    def _run(self, stage: Stage | Passing, z: Tensor | None = None) -> None:
        """Run a stage in integers, and record its errors."""
        name = stage.name
        if isinstance(stage, Stage):
            assert z is not None
            found = self.settled[name]
            self.maps[name] = run_stage(stage, found, self.maps, self.form)
            before = min((x for source in stage.sources if (x := self.db[source]) is not None), default=None)
            padding = self.errors[name].padding_db if name in self.errors else self._padding(stage, z)
            error = error_of(stage, found, z, self.maps[name], self.form, before, padding)
            self.errors[name], self.db[name] = error, error.integers_db
        else:
            self.maps[name] = passed(stage, [self.maps[source] for source in stage.sources])
            self.db[name] = min((x for source in stage.sources if (x := self.db[source]) is not None), default=None)
        for source in set(stage.sources):
            if self.last_use[source] == name:
                del self.maps[source]

    def reconstruct(self, epochs: int, progress: Callable[[float], object]) -> None:
        """Move the integers of all stages, and where that gains anything run them again."""
        moved = reconstructed(
            self.stages, self.settled, self.image.x, self.wanted, self.form, epochs, self.generator, progress
        )
        if moved is None:
            return
        self.settled, self.gained = moved, True
        self._begin()
        for name, stage in self.stages.items():
            self._run(stage, self.wanted.get(name))

    def _padding(self, stage: Stage, z: Tensor) -> float | None:
        """Signal to noise of the results with integers as padding, None where those are the zeros of the float
        network."""
        noise = 0.0
        for layer in stage.terms:
            source = self.maps[layer.sources[0]]
            wrong = around(layer, source)
            if bool((wrong != 0).any()):
                framed = replace(layer.convolution, pad=tuple(wrong.tolist()))
                more = framed(torch.zeros(1, *source.x.shape[1:]).double(), layer.weight.double())
                noise += len(z) * more.square().sum().item()
        if not noise:
            return None
        return decibels(z.double().square().sum().item(), noise)
