"""Images to calibrate with and to test on, wherever they come from: a named data set, a ``.npz`` file, a folder of
image files, or arrays. All become unsigned pixels and one largest value, the white that stands for 1.

What the numbers of an array mean is never guessed: floats must be whole pixels or k/255 exactly, and integers that use
half the range or less are refused until somebody says how many bits a pixel has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .data import DataError, Dataset, is_folder, load
from .files.npz import NpzError, NpzFile
from .files.pictures import Folder, PictureError, Prepared, is_parted, listed, read
from .files.spread import spread
from .files.texts import shown

__all__ = ["Images", "as_pixels", "dataset", "from_npz", "images", "of_folder", "random_images"]

SPLITS = {"train": ("train_frames", "train_labels"), "test": ("frames", "labels")}
"""The arrays of a ``.npz`` file: to train and calibrate with, and to test on, which stand for both alone."""

WHITES = tuple((1 << bits) - 1 for bits in range(1, 9))


@dataclass(frozen=True)
class Images:
    """``pixels`` (N, C, H, W), integers 0..``high``; ``labels`` (N,), None where unknown; ``name``, what they are, as
    a table says it; ``classes``, the names of the classes where a folder has them; ``files``, whether they are image
    files."""

    name: str
    pixels: np.ndarray
    labels: np.ndarray | None
    high: int
    classes: tuple[str, ...] = ()
    files: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of an image, (C, H, W)."""
        c, h, w = self.pixels.shape[1:]
        return c, h, w

    def some(self, count: int | None) -> Images:
        """``count`` of them, from all over them (:func:`~.files.spread.spread`)."""
        at = spread(len(self.pixels), count)
        labels = None if self.labels is None else self.labels[at]
        return replace(self, pixels=self.pixels[at], labels=labels)

    def shaped(self, shape: tuple[int, int, int]) -> Images:
        """The images, checked to be of ``shape`` (C, H, W), as vectors where that is one. Raises DataError."""
        if shape == (int(np.prod(self.shape)), 1, 1) != self.shape:
            return replace(self, pixels=self.pixels.reshape(len(self.pixels), *shape))
        if self.shape != shape:
            remedy = "; --resize and --crop scale and cut them" if self.files else ""
            raise DataError(
                f"{self.name}: has images of shape {self.shape} (channels, height, width), but the model takes {shape}"
                f"{remedy}"
            )
        return self


def images(
    source: Any,
    split: str,
    *,
    count: int | None = None,
    bits: int | None = None,
    shape: tuple[int, int, int] | None = None,
    prepared: Prepared | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Images:
    """``count`` images (None: all) of ``source``, from all over them; ``split``: "train" or "test", where it has both.

    ``source``: a data set as in ``quant.data.load``, ``FILE.npz`` or a folder (texts and paths); a Dataset; an array or
    tensor of pixels, or a pair of them and their labels. ``bits`` of a pixel, None for 8: an array must keep to them,
    of other sources the lower bits are dropped. ``shape`` and ``prepared`` are for image files. Raises DataError.
    """
    if isinstance(source, Images):
        return source.some(count)
    if isinstance(source, str | Path):
        text = str(source)
        if text.endswith(".npz"):
            pixels, labels, own = from_npz(Path(text), split)
            if own is not None and bits not in (None, own):
                raise DataError(f"{text}: its 'high' says {own} bits a pixel, not {bits}; leave out --input-bits")
            bits = own or bits
            return Images(text, as_pixels(pixels, text, bits), labels, _high(bits)).some(count)
        if is_folder(text):
            return _from_folder(_listed(Path(text), split), count, bits, shape, prepared, progress)
        source = load(text)
    if isinstance(source, Dataset):
        data = source if bits is None else source.with_bits(bits)
        pair = (data.train_x, data.train_y) if split == "train" else (data.test_x, data.test_y)
        return Images(f"{data.name}, {split} images", *pair, data.high).some(count)
    pixels, labels = source if isinstance(source, tuple) and len(source) == 2 else (source, None)
    found = as_pixels(pixels, "images", bits)
    known = None if labels is None else _labels(labels, found)
    return Images("images", found, known, _high(bits)).some(count)


def as_pixels(values: Any, where: str, bits: int | None = None) -> np.ndarray:
    """``values`` (N, C, H, W) as integers 0..2**bits - 1, 8 bits where None: whole numbers in this range, or floats in
    0..1 that are such a number by the largest one. Raises DataError, which begins with ``where``, for all else."""
    high = _high(bits)
    remedy = f"give pixels as they are in the files, integers 0..{high}"
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:  # ragged rows; tensors of other devices
        raise DataError(f"{where}: no array of numbers ({error})") from None
    if array.ndim != 4 or not array.size:
        raise DataError(f"{where}: must have shape (images, channels, height, width), at least one, not {array.shape}")
    if array.dtype.kind not in "biuf":
        raise DataError(f"{where}: pixels must be numbers, not {array.dtype}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DataError(f"{where}: holds NaN or infinity; pixels are 0..{high}")
    low, most = float(array.min()), float(array.max())
    if low < 0:
        raise DataError(
            f"{where}: holds {low:g}..{most:g}, so it is normalised already; {remedy}, and say what the model does to "
            "them with mean and std (--mean, --std)"
        )
    unit = array.dtype.kind == "f" and most <= 1
    if array.dtype.kind == "f":
        scaled = array.astype(np.float64) * (high if unit else 1)
        array = np.rint(scaled).astype(np.int64)
        if np.abs(scaled - array).max() > 1e-3:
            raise DataError(
                f"{where}: floats in {low:g}..{most:g} that are neither whole pixels nor pixels / {high}; {remedy}: of "
                f"images in 0..1 (x * {high}).round().astype('uint8')"
            )
    if most > high:
        raise DataError(
            f"{where}: holds pixels up to {most:g}, but {high.bit_length()} bits a pixel end at {high}; say how many "
            f"bits they have"
        )
    if bits is None and most < 128 and not unit:
        needed = max(1, int(most).bit_length())
        raise DataError(
            f"{where}: no pixel is above {most:g}, so white may be {(1 << needed) - 1} or 255; say --input-bits "
            f"{needed} (input_bits={needed}) where {(1 << needed) - 1} is white, or 8 where these are dark images"
        )
    return array.astype(np.int64)


def random_images(shape: tuple[int, int, int], high: int, count: int) -> Images:
    """Images that nobody has seen: blocks of random brightness in squares of 1, 2, 4, ... pixels, seeded."""
    rng = np.random.default_rng(0)
    made = np.empty((count, *shape), np.int64)
    sides = [1 << k for k in range(max(1, max(shape[1:]).bit_length()))]
    for k in range(count):
        side = sides[k % len(sides)]
        coarse = rng.integers(0, high + 1, (shape[0], -(-shape[1] // side), -(-shape[2] // side)))
        made[k] = coarse.repeat(side, 1).repeat(side, 2)[:, : shape[1], : shape[2]]
    return Images("random images", made, None, high)


def _high(bits: int | None) -> int:
    if bits is not None and not 1 <= bits <= 8:
        raise DataError(f"Pixels have 1 to 8 bits, not {shown(bits)}")
    return (1 << (8 if bits is None else bits)) - 1


def _labels(labels: Any, pixels: np.ndarray) -> np.ndarray:
    found = np.asarray(labels)
    if found.shape != pixels.shape[:1] or found.dtype.kind not in "iu":
        raise DataError(f"images: labels must be integers of shape ({len(pixels)},), not {found.dtype} {found.shape}")
    return found.astype(np.int64)


def from_npz(path: Path, split: str = "test") -> tuple[np.ndarray, np.ndarray | None, int | None]:
    """The arrays of a file for ``split``, ``frames`` and ``labels`` where there are no others, and the bits of a pixel
    where the file has them, as the number ``high`` that is white. Raises DataError; pixels are not looked at."""
    try:
        with NpzFile(path) as file:
            x, y = SPLITS[split] if SPLITS[split][0] in file.names else SPLITS["test"]
            shape, _ = file.header(x)
            if not shape or not shape[0]:
                raise DataError(f"{path}: {x!r} is empty")
            bits = None
            if "high" in file.names:
                high = file.array("high")
                if high.size != 1 or high.dtype.kind not in "iu" or int(high.item()) not in WHITES:
                    raise DataError(f"{path}: 'high' must be the pixel that is white, 1, 3, 7, ... or 255")
                bits = int(high.item()).bit_length()
            if y not in file.names:
                return file.array(x), None, bits
            found, dtype = file.header(y)
            if found != shape[:1] or dtype.kind not in "iu":
                raise DataError(f"{path}: {y!r} must be integers of shape ({shape[0]},), not {dtype} {found}")
            return file.array(x), file.array(y), bits
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except NpzError as error:
        raise DataError(str(error)) from None


def dataset(spec: str) -> Dataset:
    """The data set of a recipe in ``FILE.npz``, with ``train_frames`` and ``train_labels`` beside ``frames`` and
    ``labels``, or in a folder with folders ``train`` and ``test``. Raises DataError."""
    path = Path(spec)
    if is_folder(spec) and not is_parted(path):
        raise DataError(f"{spec}: training needs folders train and test in it, each with a folder for every class")
    if spec.endswith(".npz"):
        try:
            with NpzFile(path) as file:
                if missing := [key for pair in SPLITS.values() for key in pair if key not in file.names]:
                    there = ", ".join(file.names)
                    raise DataError(f"{spec}: training needs an array {missing[0]!r} too, beside {there}")
        except FileNotFoundError:
            raise DataError(f"{spec}: no such file") from None
        except NpzError as error:
            raise DataError(str(error)) from None
    train, test = images(spec, "train"), images(spec, "test")
    if train.classes != test.classes:
        raise DataError(f"{spec}: train has the classes {', '.join(train.classes)}, test has {', '.join(test.classes)}")
    if train.labels is None or test.labels is None:
        raise DataError(f"{spec}: training needs classes: a folder for every one in train and in test")
    x, test_x = train.pixels.astype(np.uint8), test.pixels.astype(np.uint8)
    return Dataset(path.stem, x, train.labels.astype(np.int64), test_x, test.labels.astype(np.int64), train.high)


def of_folder(
    data: str, shape: tuple[int, int, int], bits: int, classes: int, meta: Mapping[str, str], count: int | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels of ``count`` (None: all) test images in the folder ``data``, for a network of ``shape``, ``bits`` and so
    many ``classes``, prepared as its ``meta`` says that the conversion did; and their labels, where the folder has as
    many classes. Raises DataError."""
    folder = _listed(Path(data), "test")
    if count is not None and count > len(folder.paths):
        many = len(folder.paths)
        raise DataError(f"{data}: has {many} test images, so their number must be in 1..{many}, not {count}")
    found = _from_folder(folder, count, bits, shape, Prepared.of_meta(meta), None)
    return found.pixels, found.labels if len(found.classes) == classes else None


def _listed(path: Path, split: str) -> Folder:
    try:
        return listed(path, split)
    except PictureError as error:
        raise DataError(str(error)) from None


def _from_folder(
    folder: Folder,
    count: int | None,
    bits: int | None,
    shape: tuple[int, int, int] | None,
    prepared: Prepared | None,
    progress: Callable[[int, int], None] | None,
) -> Images:
    high, some = _high(bits), folder.some(count)
    try:
        pixels = read(some, shape, prepared, progress)
    except PictureError as error:
        raise DataError(str(error)) from None
    return Images(str(folder.path), pixels >> (8 - high.bit_length()), some.labels, high, tuple(folder.classes), True)
