"""The report of any network, as a call: what :func:`spikeloom.api.report` and the command are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .quant.images import Images
    from .quant.ir.network import Network
    from .reports.network import Report

__all__ = ["report"]

RANDOM = 64
"""Images in place of those that nobody gave."""


def report(
    source: Network | str | Path,
    output: str | Path | None = None,
    *,
    test: Any = None,
    images: int | None = 1000,
    model: Any = None,
    weights: str | Path | None = None,
    arguments: Mapping[str, Any] | None = None,
    mean: Sequence[float] | float | None = None,
    std: Sequence[float] | float | None = None,
    pixel_range: tuple[float, float] | None = None,
    command: str = "",
    progress: Callable[[str, float, int], None] | None = None,
) -> Report:
    """Measure a network and write one page about it: its graph, accuracy at each step, how weights, activations and
    membranes are spread, which classes are taken for which, what every layer lost, and the folds and area of a design.

    >>> found = spikeloom.report("digits.safetensors", "digits.html", test="digits")
    >>> found.measured["integers"], found.confusion.trace(), found.figures()["histograms"]["weights"]["conv1"]

    ``source``: a network, a file of one, or the folder of a design (``generate``, ``build``). ``output``: the file to
    write (needs the extra ``report``); None: none, the result's ``page`` has the text.

    ``test``: what ``quant.images.images`` takes: a data set by name, a ``.npz`` file, a folder of image files, arrays
    of pixels, or a pair of pixels and labels; ``images`` of them (None: all), from all over them. Without any, seeded
    random ones, and the page says so. ``model``: the float model that the network was made of, as
    :func:`spikeloom.api.convert` takes it, with its ``weights`` and ``arguments``, to measure what the integers cost;
    what it sees, ``mean``, ``std`` and ``pixel_range``, is where nobody says it what the network keeps of its
    conversion. ``command``: what did it, for the page. ``progress`` is called as progress(what, done, total).

    Raises NetworkError, PlanError, DataError, ReportError, SeenError or what reading a model raises, all of them
    ValueErrors that name the option, file or layer, and the remedy.
    """
    from .quant.analysis.histograms import measure, of_weights
    from .reports.floats import Model, beside, opened
    from .reports.network import Report
    from .reports.source import ReportError, read

    step = progress or (lambda *_: None)
    given = {"weights (--weights)": weights, "arguments (--arg)": arguments or None, "mean (--mean)": mean,
             "std (--std)": std, "pixel_range (--pixel-range)": pixel_range}
    if model is None and (alone := [name for name, value in given.items() if value is not None]):
        raise ReportError(f"{alone[0]}: is of a float model; give that too (--model)")
    if images is not None and images < 1:
        raise ReportError(f"images (-n) must be 1 or more, not {images}")
    known = read(source)
    network, notes = known.made.network, list(known.notes)
    floats = None if model is None else opened(network, Model(
        source=model, weights=weights, arguments=arguments, mean=mean, std=std, pixel_range=pixel_range))
    seen = _images(network, test, images, notes, lambda done, total: step("reading test images", done, total))
    spread = measure(network, seen.pixels, progress=lambda done, total: step("golden model", done, total))
    compared = None
    if floats is not None:
        compared = beside(network, floats, seen, lambda done, total: step("comparing floats and integers", done, total))
        notes += compared.notes
    found = Report(source=known, images=seen, invented=test is None, weights=of_weights(network), spread=spread,
                   floats=compared, notes=tuple(notes), command=command,
                   date=datetime.now(UTC).isoformat(timespec="seconds"))
    if output is not None:
        step("drawing", 0, 0)
        found.save(output)
    return found


def _images(network: Network, test: Any, count: int | None, notes: list[str],
            progress: Callable[[int, int], None]) -> Images:
    """The images to measure on, in the shape and with the pixels of ``network``."""
    from .quant.data import DataError
    from .quant.files.pictures import Prepared
    from .quant.images import images, random_images

    shape, high = network.input.shape, network.input.high
    if test is None:
        notes.append("no images were given (--test): activations and membranes are those of random ones, which real "
                     "images may differ from, and there is no accuracy")
        return random_images(shape, high, RANDOM)
    try:
        found = images(test, "test", count=count, bits=high.bit_length(), progress=progress,
                       shape=shape if shape[1:] != (1, 1) else None, prepared=Prepared.of_meta(network.meta))
        found = found.shaped(shape)
    except DataError as error:
        raise DataError(f"{error} (the network takes {'x'.join(map(str, shape))}, pixels 0..{high})") from None
    network.check_frames(found.pixels)
    if not network.classifies:
        return replace(found, labels=None)
    if found.classes and len(found.classes) != network.classes:
        notes.append(f"{found.name} has {len(found.classes)} folders of classes, the network {network.classes} "
                     "classes: the folders are no labels, so there is no accuracy")
        found = replace(found, labels=None)
    if found.labels is not None:
        network.check_labels(found.labels, found.name)
    return found
