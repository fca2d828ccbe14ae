"""A trained model, whatever reads it, to an integer network, without training; and what that cost on test images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from .conversion.pixels import of_plain_pixels
from .files.folders import portable
from .files.pictures import Prepared
from .files.texts import near
from .frontends.float_graph import FloatGraph
from .frontends.floats import single
from .frontends.layers import Activation, Heads, Layer
from .frontends.protocol import FrontEnd
from .images import Images, images, random_images
from .ir.network import Network
from .lost import Account, LayerLoss
from .methods.registry import CONVERSIONS, Conversion, ConversionError, Job, check_maps, conversion_of
from .reading import Step, Wanted, read
from .seen import Seen
from .tried import check_range, tried

__all__ = ["Account", "ConversionError", "LayerLoss", "Result", "Step", "Wanted", "convert"]

RANDOM = 64
"""Images in place of those that nobody gave."""


@dataclass(frozen=True)
class Result:
    """The ``network``, and the ``account`` of how it was made: an empty one where integers were read as they are."""

    network: Network
    account: Account = field(default_factory=Account)


@dataclass(frozen=True, kw_only=True)
class _Case:
    """A conversion before it begins: the ``graph``; ``shape`` (C, H, W) and largest pixel ``high`` of its image, and
    what the model has ``seen`` of it; the ``method`` and its ``name``; ``floats``, the layers in single precision;
    images."""

    graph: FloatGraph
    shape: tuple[int, int, int]
    high: int
    seen: Seen
    name: str
    method: Conversion
    floats: Sequence[Layer]
    calibrating: Images | None
    testing: Images | None


def convert(front_end: FrontEnd, model: Any, wanted: Wanted) -> Result:
    """Convert ``model``, which ``front_end`` takes. Raises ConversionError, DataError, UnsupportedLayer, NetworkError
    or FrontEndError, naming the option, the file or the layer."""
    graph, known = read(front_end, model, wanted, _known(wanted))
    if isinstance(graph, Network):
        what = "neurons" if getattr(front_end, "reads_neurons", False) else "integers"
        facts = {"model": wanted.source, "method": f"none: {front_end.name} reads {what} as they are"}
        facts |= {key: text for key, text in graph.meta.items() if key != "origin"}
        return Result(graph, Account(facts=facts))
    notes = [f"left out, for who reads the maps: {text}" for text in graph.cut]
    case = _case(graph, known, wanted, notes)
    facts = _facts(case, wanted)
    made = conversion_of(case.name)(_job(case, wanted, facts, notes))
    notes += made.notes
    account = _tested(Account(method=case.name, layers=made.layers, facts=facts), made.network, case, wanted, notes)
    return Result(made.network, replace(account, notes=tuple(notes)))


def _known(wanted: Wanted) -> Images | None:
    """Images that are there before the model is read: those to calibrate with, else one to test on."""
    if wanted.calibrate is not None:
        return _images(wanted, wanted.calibrate, "train", wanted.count)
    if wanted.test is not None:
        return _images(wanted, wanted.test, "test", 1)
    return None


def _case(graph: FloatGraph, known: Images | None, wanted: Wanted, notes: list[str]) -> _Case:
    """Everything that is asked for, checked against the model and the images."""
    if (shape := graph.shape) is None:
        raise ConversionError(
            "The shape (channels, height, width) of an image is not known; give images to calibrate with, or the shape "
            "(--input-shape)"
        )
    name, method = _method(wanted, graph)
    seen = wanted.seen.for_channels(shape[0]).then(graph.normalised)
    calibrating = None if wanted.calibrate is None else known
    testing = _testing(wanted, calibrating, graph, notes)
    given = calibrating or testing
    high = wanted.high or (given.high if given else (1 << (wanted.bits or 8)) - 1)
    floats = single(graph.layers)
    if testing is not None and wanted.seen.assumed:
        check_range(floats, testing, high, seen)
    if calibrating is None and method.calibrated:
        calibrating = _random(shape, high, testing is not None, wanted, notes)
    return _Case(graph=graph, shape=shape, high=high, seen=seen, name=name, method=method, floats=floats,
                 calibrating=calibrating, testing=testing)  # fmt: skip


def _random(shape: tuple[int, int, int], high: int, tested: bool, wanted: Wanted, notes: list[str]) -> Images:
    """Random images to calibrate with, and the warning."""
    unknown = "" if tested else ", and without --test nothing measures how much"
    wanted.notice(
        "no images to calibrate with (--calibrate): random ones set the ranges of all layers, which real images "
        f"fill otherwise; 8 bits may have room for that, fewer bits or few steps lose accuracy{unknown}"
    )
    notes.append("calibrated with random images, not with real ones")
    return random_images(shape, high, RANDOM)


def _facts(case: _Case, wanted: Wanted) -> dict[str, str]:
    """What the model is taken to be, in words."""
    facts = {
        "model": wanted.source,
        "image": f"{'x'.join(map(str, case.shape))}, pixels 0..{case.high}",
        "the model sees": str(case.seen),
        "image files": "" if wanted.prepared == Prepared() else str(wanted.prepared),
        "method": f"{case.name}: {case.method.title}",
    }
    if case.calibrating is not None and case.method.calibrated:
        facts["calibrated with"] = f"{len(case.calibrating.pixels):,} of {case.calibrating.name}"
    if case.testing is not None:
        facts["tested on"] = f"{len(case.testing.pixels):,} of {case.testing.name}"
    return facts


def _job(case: _Case, wanted: Wanted, facts: Mapping[str, str], notes: list[str]) -> Job:
    """The work of the method: layers as it takes them, and the pixels that it measures with."""
    layers, mean, std = case.floats if case.method.calibrated else case.graph.layers, *case.seen.of_unit()
    if case.seen.plain:
        mean = std = ()
    elif not case.method.folds:
        layers, around = of_plain_pixels(layers, case.shape, mean, std, case.high)
        mean = std = ()
        notes += [f"{each} ({each.off:.2g} off)" for each in around]
    meta = {"origin": wanted.source, "method": case.name, "image": facts["image"], "sees": facts["the model sees"]}
    meta |= {"cut": "; ".join(case.graph.cut)} if case.graph.cut else {}
    if case.calibrating is not None and case.method.calibrated:
        meta["data"] = portable(case.calibrating.name)
    return Job(
        layers=layers, shape=case.shape, input_high=case.high, mean=mean, std=std, options=wanted.options,
        pixels=np.empty((0, *case.shape), np.int64) if case.calibrating is None else case.calibrating.pixels,
        meta=meta | wanted.prepared.meta | dict(wanted.meta or {}),
        progress=lambda share: wanted.step("converting", 100 * share, 100),
    )  # fmt: skip


def _tested(account: Account, network: Network, case: _Case, wanted: Wanted, notes: list[str]) -> Account:
    """``account`` with what the integers cost on test images, where there are any."""
    if case.testing is None:
        return account
    step = partial(wanted.step, "comparing floats and integers")
    costs = tried(network, case.floats, case.testing, case.seen, step)
    if costs.warning:
        wanted.notice(costs.warning)
        notes.append(costs.warning)
    noise = tuple(LayerLoss(n.name, n.decibels, silent=n.silent) for n in costs.layers)
    maps = case.floats[-1].names if isinstance(case.floats[-1], Heads) else {}
    there = ", ".join(f"{maps[n.name]} {n.decibels:.1f} dB" for n in costs.layers if n.name in maps)
    facts = {**account.facts, "signal to noise there": there}
    return replace(account, layers=account.layers or noise, accuracy=costs.accuracy, agreement=costs.agreement,
                   facts=facts)  # fmt: skip


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


def _method(wanted: Wanted, graph: FloatGraph) -> tuple[str, Conversion]:
    """The method that is asked for, or the first one for such activations; any is for a model that has none. It has all
    options that are given."""
    name = wanted.method
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
    method = CONVERSIONS[name]
    check_maps(name, graph.maps)
    if unknown := [key for key in wanted.options if key not in method.options]:
        known = ", ".join(map(_option, method.options))
        raise ConversionError(f"Method {name!r} has no {_option(unknown[0])}; it has {known}")
    return name, method


def _option(key: str) -> str:
    """An option as the command and the function call it."""
    return f"{key} (--{key.replace('_', '-')})"


def _testing(wanted: Wanted, calibrating: Images | None, graph: FloatGraph, notes: list[str]) -> Images | None:
    """The images to test on: those given, or the test images of the data that it is calibrated with; without labels
    where their folders cannot be the model's classes."""
    source = wanted.calibrate if wanted.test is None else wanted.test
    if source is None:
        return None
    found = _images(replace(wanted, shape=graph.shape), source, "test", wanted.test_count)
    if calibrating is not None and found.high != calibrating.high and wanted.high is None:
        raise ConversionError(
            f"{found.name} has pixels 0..{found.high}, {calibrating.name} 0..{calibrating.high}; say one number of "
            "bits for both (--input-bits)"
        )
    if graph.maps:
        return replace(found, labels=None)
    if found.classes and len(found.classes) != graph.classes:
        notes.append(
            f"{found.name} has {len(found.classes)} folders of classes, the network {graph.classes} classes: the "
            "folders are no labels, so there is no accuracy"
        )
        found = replace(found, labels=None)
    return found
