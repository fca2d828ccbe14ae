"""The conversion of any trained model, as a call: what :func:`spikeloom.api.convert` and the command are."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .quant.files.folders import portable
from .quant.files.pictures import Prepared

if TYPE_CHECKING:
    from .converted import Converted

__all__ = ["Rule", "convert"]

Rule = Literal["causal", "lossless", "signed"]


def convert(
    model: Any,
    *,
    weights: str | Path | None = None,
    arguments: Mapping[str, Any] | None = None,
    calibrate: Any = None,
    test: Any = None,
    images: int = 512,
    test_images: int | None = 1000,
    method: str | None = None,
    bits: int | None = None,
    weight_bits: int | None = None,
    first_bits: int | None = None,
    last_bits: int | None = None,
    shortcut_bits: int | None = None,
    steps: int | None = None,
    rule: Rule | None = None,
    strict: bool = False,
    reconstruct: int | None = None,
    mean: Sequence[float] | float | None = None,
    std: Sequence[float] | float | None = None,
    pixel_range: tuple[float, float] | None = None,
    shape: Sequence[int] | None = None,
    input_bits: int | None = None,
    input_high: int | None = None,
    resize: Sequence[int] = (),
    crop: Sequence[int] = (),
    meta: Mapping[str, str] | None = None,
    approximate: bool = False,
    notice: Callable[[str], None] | None = None,
    progress: Callable[[str, float, int], None] | None = None,
) -> Converted:
    """Convert a trained model to integers. The result is the network, with a ``summary()``, tables and a ``plot()``.

    ``model``: a torch module; the place of one, ``file.py:NAME`` or ``package.module:NAME``, which is executed, with
    ``arguments`` and the file of ``weights``; or what another installed front end takes (``docs/adding/frontend.md``).
    ``calibrate`` and ``test``: what ``quant.images.images`` takes: a data set by name, a ``.npz`` file, a folder of
    image files, arrays of pixels, or such a pair of pixels and labels; ``images`` of the first measure ranges, and
    ``test_images`` (None: all) of the second, or of the test part of the first, say what it cost. Without any, random
    images set the ranges, with a warning.

    ``method``: of ``quant.methods.registry.CONVERSIONS``, by default the first that fits the activations; it knows some
    of ``bits`` (of values), ``weight_bits``, ``first_bits``, ``last_bits``, ``shortcut_bits``, ``steps`` (T), ``rule``,
    ``strict`` and ``reconstruct`` (epochs over the images to calibrate with). The model sees ``pixel_range``, else
    (0, 1), for black and white, less ``mean``, by ``std``, a number a channel. ``shape`` (C, H, W) of an image, where
    nothing else says it. ``input_bits`` of a pixel, or ``input_high``, the largest one. ``resize`` (side,) or (H, W),
    and ``crop`` (H, W), of image files. ``meta`` of the network. ``approximate``: sums of integers in a file that no
    network gives exactly are taken as near as can be; the fact "approximate" says how far off they are. ``notice`` is
    called with a warning (None: ``warnings.warn``), ``progress`` as progress(what, done, total).

    Raises ConversionError, OwnModelError, WeightsError, DataError, SeenError, FrontEndError, UnsupportedLayer or
    NetworkError, all of them ValueErrors that name the option, file or layer, and the remedy.
    """
    from .converted import Converted
    from .quant.convert import Wanted
    from .quant.convert import convert as converted
    from .quant.frontends.protocol import find
    from .quant.seen import Seen, as_numbers

    options = {"bits": bits, "weight_bits": weight_bits, "first_bits": first_bits, "last_bits": last_bits,
               "shortcut_bits": shortcut_bits, "steps": steps, "rule": rule, "strict": strict or None,
               "reconstruct": reconstruct}
    named, source, notes = _model(model, weights, arguments)
    wanted = Wanted(
        options={key: value for key, value in options.items() if value is not None}, method=method,
        shape=None if shape is None else _shape(shape), calibrate=calibrate, test=test, count=images,
        test_count=test_images, bits=input_bits, high=input_high, meta=meta,
        approximate=approximate,
        seen=Seen((0.0, 1.0) if pixel_range is None else (float(pixel_range[0]), float(pixel_range[1])),
                  as_numbers(mean), as_numbers(std), pixel_range is None and mean is None and std is None),
        prepared=Prepared(tuple(resize), tuple(crop)), source=named,
        notice=notice or (lambda text: warnings.warn(text, stacklevel=4)), step=progress or (lambda *_: None))
    result = converted(find(source), source, wanted)
    return Converted.of(result, before=notes)


def _shape(given: Sequence[int]) -> tuple[int, int, int]:
    """(C, H, W); one number is a vector."""
    from .quant.convert import ConversionError

    found = [*given, 1, 1] if len(given) == 1 else list(given)
    if len(found) != 3 or any(type(n) is not int or n < 1 for n in found):
        raise ConversionError(f"The shape of an image is channels, height, width (--input-shape 3,32,32), not {given}")
    return found[0], found[1], found[2]


def _model(model: Any, weights: str | Path | None, arguments: Mapping[str, Any] | None) -> tuple[str, Any, list[str]]:
    """What the model is called, itself, and what was done to its weights."""
    from .quant.convert import ConversionError
    from .quant.frontends.protocol import find
    from .quant.models.own import is_own, own_model
    from .quant.models.weights import fill

    named = isinstance(model, str | Path)
    name, source, notes = str(model) if named else type(model).__name__, model, list[str]()
    if named and is_own(name):
        place, _, called = name.rpartition(":")
        name, source = f"{portable(place)}:{called}" if place else name, own_model(name, arguments)
    elif named:
        find(model)
    if source is model and arguments:
        raise ConversionError(f"{name}: arguments (--arg) are for models that are called, file.py:NAME")
    if weights is not None:
        import torch

        if not isinstance(source, torch.nn.Module):
            raise ConversionError(f"{name}: has its own weights; leave out weights (--weights)")
        notes += fill(source, weights)
        name += f", weights of {portable(str(weights))}"
    elif source is not model:
        name += ", with the weights that it comes with"
    return name, source, notes
