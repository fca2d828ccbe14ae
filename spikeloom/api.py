"""The calls that most uses need; the commands are made of them. Everything else is in the subpackages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from .converting import convert
from .quant.data import DataError, is_folder
from .quant.ir import netfile
from .quant.ir.network import Network
from .reporting import report

if TYPE_CHECKING:
    from .gen.design import Design
    from .gen.folding.fold import Fold
    from .quant.analysis.activity import Activity
    from .quant.recipe import Recipe
    from .quant.training.train import Trained
    from .sim.verify import Outcome

__all__ = ["Frames", "convert", "evaluate", "export", "frames", "generate", "load", "outputs", "report", "save",
           "train", "verify"]


MOST_WEIGHTS = 1 << 28
"""Weights of a model that is trained: a gigabyte of floats, and several times that with its optimiser."""


class Frames(NamedTuple):
    """Images as a network takes them: ``pixels`` (N, C, H, W), integers; ``labels`` (N,), None where unknown."""

    pixels: np.ndarray
    labels: np.ndarray | None


def load(path: str | Path) -> Network:
    """Read a network file. Raises NetworkError, naming the file, where it is none."""
    return netfile.load(path)


def save(network: Network, path: str | Path) -> None:
    """Write a network file."""
    netfile.save(network, path)


def export(network: Network, path: str | Path, *, force: bool = False) -> None:
    """Write a spiking ``network`` as a file of NIR for other tools (``docs/nir.md``); ``force``: initial membranes
    other than 0, too. Raises ExportError, naming the node, for what NIR has no place for."""
    from .quant.exporting.nir import save as save_nir

    save_nir(network, path, force=force)


def train(recipe: Recipe, *, held_out: int | None = None, **options: Any) -> Trained:
    """Follow a recipe; for the options see :func:`spikeloom.quant.training.train.train`. Raises RecipeError or
    DataError.

    ``held_out``: so many of the last training images are tested on, and not trained on, in place of the test images.
    """
    import torch

    from .quant.data import load as load_data
    from .quant.models import build
    from .quant.models.own import is_own
    from .quant.recipe import RecipeError
    from .quant.training.train import train as follow

    data = load_data(recipe.data)
    try:
        with torch.device("cpu" if is_own(recipe.model) else "meta"):
            model = build(recipe.model, data.shape, data.classes, **recipe.model_args)
    except ValueError as error:
        raise RecipeError(f"Recipe: {error}") from None
    if (weights := sum(parameter.numel() for parameter in model.parameters())) > MOST_WEIGHTS:
        raise RecipeError(f"Recipe: model {recipe.model!r} has {weights:,} weights, more than {MOST_WEIGHTS:,}; choose "
                          "smaller model_args")
    return follow(recipe, data=data, held_out=held_out, **options)


def frames(network: Network, data: str, count: int | None = None, *, more: bool = False) -> Frames:
    """The first ``count`` test images (None: all) of ``data``, in the shape and with the pixel bits of ``network``.
    ``more``: where ``count`` is larger than their number, training images follow, which is good for a simulation.

    ``data``: a data set as in :func:`spikeloom.quant.data.load`; ``FILE.npz`` with ``frames`` (N, C, H, W) and, where
    they are known, ``labels`` (N,); or a folder of image files (:mod:`spikeloom.quant.files.pictures`), prepared as the
    network was converted with. Raises DataError or NetworkError where they do not fit the network.
    """
    if data.endswith(".npz"):
        from .quant.images import from_npz

        pixels, labels, bits = from_npz(Path(data))
        if bits and bits != network.input.high.bit_length():
            raise DataError(f"{data}: its 'high' says {bits} bits a pixel, the network takes 0..{network.input.high}")
        found = Frames(pixels, labels)
    elif is_folder(data):
        from .quant.images import of_folder

        found = Frames(*of_folder(data, network.input.shape, network.input.high.bit_length(), network.classes,
                                  network.meta, count))
    else:
        from .quant.data import load as load_data

        dataset = load_data(data).with_bits(network.input.high.bit_length())
        found = Frames(dataset.test_x, dataset.test_y)
        if more and count is not None and count > len(found.pixels):
            found = Frames(np.concatenate([dataset.test_x, dataset.train_x[: count - len(found.pixels)]]),
                           np.concatenate([dataset.test_y, dataset.train_y[: count - len(found.pixels)]]))
    if network.input.shape == (found.pixels[0].size, 1, 1) and len(found.pixels):
        found = Frames(found.pixels.reshape(len(found.pixels), -1, 1, 1), found.labels)
    network.check_frames(found.pixels)
    if count is None:
        return found
    if not 1 <= count <= len(found.pixels):
        raise DataError(f"{data}: has {len(found.pixels)} {'' if more else 'test '}images, so their number must be in "
                        f"1..{len(found.pixels)}, not {count}")
    return Frames(found.pixels[:count], None if found.labels is None else found.labels[:count])


def evaluate(network: Network, images: Frames, *, progress: Callable[[int, int], None] | None = None,
             source: str = "labels") -> dict[str, Any]:
    """Accuracy and activity of the golden model on ``images``; ``source`` names them in an error.

    Keys: ``accuracy`` (0..1), ``frames``, ``over_time``, accuracy after t = 1..T steps; ``layers``, each with its
    ``rate`` of spikes, its synaptic ``operations`` an image and their energy; ``operations``, ``nanojoules`` an image
    in all, and ``ann_operations``, ``ann_nanojoules`` of an ANN of the same layers (``quant.analysis.activity``).
    Of a network without classes, in place of ``accuracy`` and ``over_time``, ``maps``: the least and the largest number
    of each by its name. Raises DataError where the labels are unknown, NetworkError where one is no class of
    ``network``.
    """
    from .quant.analysis import activity

    if not network.classifies:
        found = activity.measure(network, images.pixels, progress=progress)
        return {"frames": len(images.pixels), "maps": _ranges(network, images.pixels), **_busy(found)}
    if images.labels is None:
        raise DataError("The accuracy needs labels; add an array 'labels' to the file of frames, or sort "
                        "image files into a folder for each class of the network")
    network.check_labels(images.labels, source)
    found = activity.measure(network, images.pixels, progress=progress)
    shares = [float((step == images.labels).mean()) for step in found.classes_over_time.T]
    return {"accuracy": shares[-1], "frames": len(images.pixels), "over_time": shares, **_busy(found)}


def outputs(network: Network, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """What the golden model gives for ``pixels`` (N, C, H, W): by name the integers of every output, maps (N, C, H, W)
    and logits (N, C). Raises NetworkError where the pixels do not fit."""
    from .quant import execute

    names = [node.name for node in network.outputs]
    found = execute.run(network, pixels, keep=names)
    return {name: found[name] for name in names}


def _ranges(network: Network, pixels: np.ndarray) -> dict[str, list[int]]:
    """The least and the largest number of every map."""
    return {name: [int(x.min()), int(x.max())] for name, x in outputs(network, pixels).items()}


def _busy(found: Activity) -> dict[str, Any]:
    """Layers and operations, as :func:`evaluate` says."""
    layers = [{"name": layer.name, "input": "spikes" if layer.spiking else "values", "rate": layer.rate,
               "operations": layer.operations, "picojoules": layer.picojoules} for layer in found.layers]
    return {"layers": layers, "operations": found.operations, "nanojoules": found.nanojoules,
            "ann_operations": found.ann_operations, "ann_nanojoules": found.ann_nanojoules}


def generate(network: Network, folder: str | Path, *, fold: str | Path | Mapping[str, Fold] = "auto",
             cycles: int | None = None, device: str | None = None, dsp: int = 0, counts: bool = True,
             rates: np.ndarray | None = None, axi: bool = False, axi_bytes: int | None = None,
             target: Literal["fpga", "asic"] = "fpga", name: str | None = None, bench: np.ndarray | None = None,
             clock: float = 100.0,
             progress: Callable[[str], None] = lambda _step: None) -> tuple[Design, dict[str, Any]]:
    """Write Verilog, ``design.json`` and the network into ``folder``; return the design and the contents of the JSON.

    ``fold``: "auto", a fold file, or folds by stage; what they leave out is chosen for at most ``cycles`` cycles a
    frame, so that the design fits ``device`` (``gen.targets.fpga.devices``): the smallest such design, or, where only a
    device is given, the fastest one, or where neither is the least area x cycles; ``dsp`` of the device's multipliers
    may take the place of gated additions. ``counts``: spikes travel as their
    counts where all who take them add them up over time. ``rates``: frames (N, C, H, W), two at least, on which cycles
    are means; stages may then skip all-zero words. ``axi``: an AXI core of it too, with ``axi_bytes`` in an input beat
    (None: ``gen.tops.axi.beat_bytes``). ``target``: "asic" for Verilog without initial values (``docs/asic.md``),
    without ``axi``. ``name``: of the top module, which begins the names of all modules and files; without one all
    modules begin with a hash of the design (``top`` of the JSON), and the file is ``spikeloom_top.v``. ``bench``:
    frames (N, C, H, W) that the test benches beside the Verilog offer (None: two random ones), and ``clock`` in MHz of
    the constraints; what all of these files are is in ``docs/integrate.md``. Raises PlanError, naming the stage or the
    resource, where that is impossible.
    """
    from .gen.emit import leftovers
    from .gen.emit.integrate import check_clock, integrate_axi
    from .gen.emit.names import check_name
    from .gen.emit.writer import write, write_contents
    from .gen.errors import PlanError
    from .gen.folding.find import designed
    from .gen.folding.fold import read_folds
    from .gen.tops import axi as ports

    if name is not None:
        check_name(name)
    check_clock(clock)
    given = dict(fold) if isinstance(fold, Mapping) else {} if fold == "auto" else read_folds(fold)
    progress("searching folds")
    measured = None
    if rates is not None:
        from .gen.folding.rates import WordRates
        from .quant import execute

        measured = WordRates(network, execute.run(network, rates).outputs, counts)
    design, log = designed(network, given, cycles, device, counts, measured, dsp)
    if axi and target == "asic":
        raise PlanError("The AXI core is for FPGAs only, its memories have initial values; leave out 'axi' or 'asic'")
    core = ports.AxiTop(design, axi_bytes) if axi else None
    folder = Path(folder)
    before = leftovers.found(folder)
    contents = write(design, folder, progress, log, target, name)
    progress("writing test benches")
    contents = _integrated(design, contents, folder, bench, clock)
    if core is not None:
        progress("writing the AXI core")
        contents = ports.write(core, folder, contents)
        files = contents["files"] | integrate_axi(contents, folder, clock)
        contents = write_contents(contents | {"files": files}, folder)
    leftovers.remove(folder, before, contents)
    return design, contents


def _integrated(design: Design, contents: dict[str, Any], folder: Path, bench: np.ndarray | None,
                clock: float) -> dict[str, Any]:
    """Write what integrators get; the words that benches expect are plain NumPy's, which the cores know nothing of."""
    from .gen.emit.integrate import Vectors, integrate
    from .gen.emit.writer import write_contents
    from .quant import reference
    from .sim.predict import golden_words

    network = design.network
    if bench is None:
        bench = np.random.default_rng(0).integers(0, network.input.high + 1, (2, *network.input.shape))
    words = golden_words(design, reference.run(network, bench).outputs)
    files = integrate(design, contents, folder, Vectors(network.check_frames(bench), words), clock)
    return write_contents(contents | {"files": files}, folder)


def verify(folder: str | Path, pixels: np.ndarray, **options: Any) -> Outcome:
    """Simulate a generated design and compare every word of every cycle with the prediction.

    For the options (``simulator``, ``pauses``, ``seed``, ``waves``, ...) see :func:`spikeloom.sim.verify.verify`.
    """
    from .gen.emit.writer import read
    from .sim.verify import verify as verified

    design, contents = read(folder)
    return verified(design, contents, Path(folder), pixels, **options)
