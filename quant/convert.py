"""A trained model, whatever reads it, to an integer network, by a method that converts without training; and what that
cost, on images that the model is asked about too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from .conversion.pixels import of_plain_pixels
from .files.folders import portable
from .files.pictures import Prepared
from .files.texts import near
from .frontends.float_graph import FloatGraph
from .frontends.layers import Activation, Layer, Weights
from .frontends.protocol import FrontEnd, FrontEndError
from .images import Images, images, random_images
from .ir.network import Network, NetworkError
from .methods.registry import CONVERSIONS, Conversion, ConversionError, Job, LayerLoss, conversion_of
from .seen import Seen
from .tried import check_range, tried

__all__ = ["ConversionError", "LayerLoss", "Result", "Step", "convert"]

Step = Callable[[str, float, int], None]
"""Called as step(what is done, units done, units in all)."""

RANDOM = 64
"""Images in place of those that nobody gave."""


@dataclass(frozen=True)
class Result:
    """The ``network``; by which ``method``; what its ``layers`` lost; ``accuracy`` (0..1) of "floats" and "integers" on
    labelled test images; ``agreement``, the share of test images that both give one class; ``facts``, what the model
    was taken to be, by what it is called; ``notes``, what its user should know."""

    network: Network
    method: str = ""
    layers: tuple[LayerLoss, ...] = ()
    accuracy: Mapping[str, float] = field(default_factory=dict)
    agreement: float | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What :func:`convert` is asked for, see :func:`spikeloom.api.convert`; ``options`` are the method's, those that
    are given."""

    options: Mapping[str, Any]
    shape: tuple[int, int, int] | None
    method: str | None
    calibrate: Any
    test: Any
    count: int
    test_count: int | None
    seen: Seen
    bits: int | None
    high: int | None
    prepared: Prepared
    meta: Mapping[str, str] | None
    source: str
    notice: Callable[[str], None]
    step: Step


def convert(front_end: FrontEnd, model: Any, wanted: Wanted) -> Result:
    """Convert ``model``, which ``front_end`` takes. Raises ConversionError, DataError, UnsupportedLayer, NetworkError
    or FrontEndError, naming the option, the file or the layer."""
    known = None
    if wanted.calibrate is not None:
        known = _images(wanted, wanted.calibrate, "train", wanted.count)
    elif wanted.test is not None:
        known = _images(wanted, wanted.test, "test", 1)
    graph, known = _read(front_end, model, wanted, known)
    calibrating = None if wanted.calibrate is None else known
    if isinstance(graph, Network):
        return Result(graph)
    shape = graph.shape
    if shape is None:
        raise ConversionError(
            "The shape (channels, height, width) of an image is not known; give images to calibrate with, or the shape "
            "(--input-shape)"
        )
    name, method = _method(wanted.method, graph)
    if unknown := [key for key in wanted.options if key not in method.options]:
        raise ConversionError(
            f"Method {name!r} has no {_option(unknown[0])}; it has {', '.join(map(_option, method.options))}"
        )
    seen, notes = wanted.seen.for_channels(shape[0]).then(graph.normalised), list[str]()
    testing = _testing(wanted, calibrating, shape)
    if testing is not None and testing.classes and len(testing.classes) != (classes := _classes(graph)):
        notes.append(
            f"{testing.name} has {len(testing.classes)} folders of classes, the network {classes} classes: the folders "
            "are no labels, so there is no accuracy"
        )
        testing = replace(testing, labels=None)
    given = calibrating or testing
    high = wanted.high or (given.high if given else (1 << (wanted.bits or 8)) - 1)
    floats = _single(graph.layers)
    if testing is not None and wanted.seen.assumed:
        check_range(floats, testing, high, seen)
    if calibrating is None and method.calibrated:
        calibrating = random_images(shape, high, RANDOM)
        unknown = "" if testing else ", and without --test nothing measures how much"
        wanted.notice(
            "no images to calibrate with (--calibrate): random ones set the ranges of all layers, which real images "
            f"fill otherwise; 8 bits may have room for that, fewer bits or few steps lose accuracy{unknown}"
        )
        notes.append("calibrated with random images, not with real ones")
    layers, mean, std = floats if method.calibrated else graph.layers, *seen.of_unit()
    if seen.plain:
        mean = std = ()
    elif not method.folds:
        layers, padded = of_plain_pixels(layers, shape, mean, std)
        mean = std = ()
        if padded:
            notes.append(f"{', '.join(padded)}: the padding of 0 was the mean of the images, and is black now")
    facts = {
        "model": wanted.source,
        "image": f"{'x'.join(map(str, shape))}, pixels 0..{high}",
        "the model sees": str(seen),
        "image files": "" if wanted.prepared == Prepared() else str(wanted.prepared),
        "method": f"{name}: {method.title}",
    }
    meta = {"origin": wanted.source, "method": name, "image": facts["image"], "sees": facts["the model sees"]}
    if calibrating is not None and method.calibrated:
        facts["calibrated with"] = f"{len(calibrating.pixels):,} of {calibrating.name}"
        meta["data"] = portable(calibrating.name)
    job = Job(
        layers=layers, shape=shape, input_high=high, mean=mean, std=std, options=wanted.options,
        pixels=np.empty((0, *shape), np.int64) if calibrating is None else calibrating.pixels,
        meta=meta | wanted.prepared.meta | dict(wanted.meta or {}),
        progress=lambda share: wanted.step("converting", 100 * share, 100),
    )  # fmt: skip
    made = conversion_of(name)(job)
    notes += made.notes
    if testing is None:
        return Result(made.network, name, made.layers, facts=facts, notes=tuple(notes))
    facts["tested on"] = f"{len(testing.pixels):,} of {testing.name}"
    found = tried(made.network, floats, testing, seen,
                  lambda done, total: wanted.step("comparing floats and integers", done, total))  # fmt: skip
    if found.warning:
        wanted.notice(found.warning)
        notes.append(found.warning)
    noise = tuple(LayerLoss(n.name, n.decibels, silent=n.silent) for n in found.layers)
    return Result(made.network, name, made.layers or noise, found.accuracy, found.agreement, facts, tuple(notes))


def _classes(graph: FloatGraph) -> int:
    kinds = {layer.name: layer for layer in graph.layers}
    last = graph.layers[-1]
    while not isinstance(last, Weights):  # a sum of layers, over parts of what they take
        last = kinds[last.sources[0]]
    return len(last.weight)


def _images(wanted: Wanted, source: Any, split: str, count: int | None) -> Images:
    """The images of ``source``, with the largest pixel that is asked for."""
    bits = wanted.high.bit_length() if wanted.high else wanted.bits
    found = images(
        source, split, count=count, bits=bits, shape=wanted.shape, prepared=wanted.prepared,
        progress=lambda done, total: wanted.step(f"reading {split} images", done, total),
    )  # fmt: skip
    if wanted.high and found.pixels.max() > wanted.high:
        raise ConversionError(f"{found.name}: pixels reach {found.pixels.max()}, but input_high is {wanted.high}")
    return found if wanted.shape is None else found.shaped(wanted.shape)


def _read(
    front_end: FrontEnd, model: Any, wanted: Wanted, found: Images | None
) -> tuple[FloatGraph | Network, Images | None]:
    """What the front end reads; grey images as three equal channels where the model takes colours."""
    shape = wanted.shape or (found.shape if found else None)
    try:
        graph = front_end.read(model, shape)
    except NetworkError:
        if found is None or not found.files or wanted.shape is not None or found.shape[0] != 1:
            raise
        colours = (3, *found.shape[1:])
        try:
            graph = front_end.read(model, colours)
        except NetworkError:
            graph = None
        if graph is None:
            raise
        found = replace(found, name=f"{found.name}, grey as colours", pixels=found.pixels.repeat(3, 1))
    if isinstance(graph, Network):
        given = {"method": wanted.method, **wanted.options, "calibrate": wanted.calibrate, "test": wanted.test}
        given |= {"mean": wanted.seen.mean or None, "meta": wanted.meta, "input_high": wanted.high}
        if more := [key for key, value in given.items() if value is not None]:
            raise FrontEndError(f"{front_end.name}: reads integers as they are; leave out {', '.join(more)}")
        return graph, found
    if found is not None and graph.shape is not None:
        found = found.shaped(graph.shape)
    return graph, found


def _method(name: str | None, graph: FloatGraph) -> tuple[str, Conversion]:
    """The method that is asked for, or the first one for such activations; any is for a model that has none."""
    activations = [layer for layer in graph.layers if isinstance(layer, Activation)]
    levels = any(layer.qcfs is not None for layer in activations)
    fitting = [key for key, method in CONVERSIONS.items() if method.levels == levels or not activations]
    if name is None:
        name = fitting[0]
    if name not in CONVERSIONS:
        known = ", ".join(CONVERSIONS)
        raise ConversionError(f"Method {name!r} is unknown{near(name, CONVERSIONS)}; there are {known}")
    if name not in fitting and not levels:
        raise ConversionError(
            f"Method {name!r} is for models trained with QCFS activations, and {activations[0].name} is "
            f"{activations[0].called}; take {' or '.join(fitting)}, or train it with levels first (docs/training.md)"
        )
    if name not in fitting:
        raise ConversionError(
            f"Method {name!r} is for models with ReLUs, and this one has activations with levels; take "
            f"{' or '.join(fitting)}"
        )
    return name, CONVERSIONS[name]


def _option(key: str) -> str:
    """An option as the command and the function call it."""
    return f"{key} (--{key.replace('_', '-')})"


def _testing(wanted: Wanted, calibrating: Images | None, shape: tuple[int, int, int]) -> Images | None:
    """The images to test on: those given, or the test images of the data that it is calibrated with."""
    source = wanted.calibrate if wanted.test is None else wanted.test
    if source is None:
        return None
    found = _images(replace(wanted, shape=shape), source, "test", wanted.test_count)
    if calibrating is not None and found.high != calibrating.high and wanted.high is None:
        raise ConversionError(
            f"{found.name} has pixels 0..{found.high}, {calibrating.name} 0..{calibrating.high}; say one number of "
            "bits for both (--input-bits)"
        )
    return found


def _single(layers: Sequence[Layer]) -> list[Layer]:
    """``layers`` in single precision, in which images come."""
    return [
        replace(layer, weight=layer.weight.float(), bias=layer.bias.float()) if isinstance(layer, Weights) else layer
        for layer in layers
    ]


def as_numbers(values: Sequence[float] | float | None) -> tuple[float, ...]:
    """One number or several, as a tuple."""
    if values is None:
        return ()
    return tuple(map(float, values)) if isinstance(values, Sequence | np.ndarray | torch.Tensor) else (float(values),)
