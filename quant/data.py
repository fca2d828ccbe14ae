"""Data sets as unsigned pixels, read from their standard files. Nothing is downloaded.

``digits`` comes with scikit-learn; ``mnist:DIR`` and ``fashion:DIR`` are four IDX files, plain or ``.gz``;
``cifar10:DIR`` is the "binary version" (``data_batch_1.bin`` to ``data_batch_5.bin`` and ``test_batch.bin``). Without
``:DIR`` the folder is the one in SPIKELOOM_DATA (``quant.files.folders``). Data of the user's own, ``.npz`` files and
folders of image files, are read by ``quant.images``.
"""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np

from .extras import missing
from .files.folders import FOLDERS, VARIABLE, data_folder
from .files.npz import unpacked_at_most

__all__ = ["DataError", "Dataset", "digits", "is_folder", "load"]

SUPPORTED = (
    "digits, mnist:DIR, fashion:DIR, cifar10:DIR, or without :DIR from the folder in SPIKELOOM_DATA; or FILE.npz, or a "
    "folder of image files"
)

RECORD = 1 + 3 * 32 * 32
"""Bytes of an image of CIFAR-10 and its class."""

MOST_RECORDS = 60_000
"""Images in a file of CIFAR-10 at most, all that there are."""


class DataError(ValueError):
    """A data set that is missing, truncated or something else; the message names the file and the remedy."""


@dataclass(frozen=True)
class Dataset:
    """Images and their classes.

    Attributes: ``name``; ``train_x``, ``test_x``, uint8 pixels 0..``high`` of shape (N, C, H, W); ``train_y``,
    ``test_y``, classes of shape (N,), int64; ``high``, the largest value a pixel may have (15 or 255).
    Raises DataError for arrays that are something else.
    """

    name: str
    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray
    high: int

    def __post_init__(self) -> None:
        for part, x, y in (("train", self.train_x, self.train_y), ("test", self.test_x, self.test_y)):
            if x.ndim != 4 or x.dtype != np.uint8 or not x.size or x.max() > self.high:
                raise DataError(
                    f"{self.name}: {part}_x must be uint8 pixels 0..{self.high} of shape (N, C, H, W), at least one, "
                    f"not {x.dtype} {x.shape}{f' up to {x.max()}' if x.size else ''}"
                )
            if y.shape != (len(x),) or y.dtype != np.int64 or y.min() < 0:
                raise DataError(
                    f"{self.name}: {part}_y must be int64 classes of 0 or more, of shape ({len(x)},), not {y.dtype} "
                    f"{y.shape}{f' from {y.min()}' if y.size else ''}"
                )
        if self.train_x.shape[1:] != self.test_x.shape[1:]:
            raise DataError(
                f"{self.name}: test_x has images of shape {self.test_x.shape[1:]}, train_x of {self.train_x.shape[1:]}"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of an image, (C, H, W)."""
        c, h, w = self.train_x.shape[1:]
        return c, h, w

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(max(self.train_y.max(), self.test_y.max())) + 1

    def with_bits(self, bits: int) -> Dataset:
        """The same images with pixels of ``bits`` bits, the upper ones. Raises DataError if there are fewer."""
        have = self.high.bit_length()
        if not 1 <= bits <= have:
            raise DataError(f"{self.name}: pixels have {have} bits, so input_bits must be in 1..{have}, not {bits}")
        drop = have - bits
        return replace(self, train_x=self.train_x >> drop, test_x=self.test_x >> drop, high=self.high >> drop)

    def held_out(self, count: int) -> Dataset:
        """Train on all but the last ``count`` training images, and test on those: to choose settings without the test.

        Raises DataError where there are fewer.
        """
        if not 1 <= count < len(self.train_x):
            raise DataError(f"{self.name}: held out must be 1..{len(self.train_x) - 1} training images, not {count}")
        (x, test_x), (y, test_y) = (np.split(a, [len(a) - count]) for a in (self.train_x, self.train_y))
        return replace(self, name=f"{self.name}, held out", train_x=x, train_y=y, test_x=test_x, test_y=test_y)


def is_folder(spec: str) -> bool:
    """Whether ``spec`` is the folder of somebody's own images, not the name of a data set."""
    return spec.partition(":")[0] not in ("digits", *FOLDERS) and Path(spec).is_dir()


def load(spec: str) -> Dataset:
    """Load the data set ``spec``: ``digits``, ``mnist:DIR``, ``fashion:DIR`` or ``cifar10:DIR``, ``FILE.npz`` or a
    folder of image files (``quant.images.dataset``).

    Without ``:DIR`` the folder is that of the data set in SPIKELOOM_DATA. Raises DataError where it is not there.
    """
    kind, colon, given = spec.partition(":")
    if kind == "digits" and not colon:
        return digits()
    if kind not in FOLDERS:
        if spec.endswith(".npz") or is_folder(spec):
            from .images import dataset

            return dataset(spec)
        raise DataError(f"Data set {spec!r} is unknown; supported: {SUPPORTED}")
    folder = Path(given) if given else data_folder(kind)
    if folder is None:
        raise DataError(
            f"Data set {kind!r} needs the folder of its files: name it with {kind}:DIR, or set {VARIABLE} to a "
            f"folder with a folder {kind!r} in it"
        )
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such folder; {kind} is read from files that are already there: name their folder with "
            f"{kind}:DIR"
        )
    return _cifar10(folder) if kind == "cifar10" else _idx_set(kind, folder)


def digits() -> Dataset:
    """The 8x8 digits of scikit-learn, pixels min(x, 15): 1,400 to train and 397 to test, split by one permutation."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DataError(f"digits: {missing('sklearn')}") from None
    pixels, labels = load_digits(return_X_y=True)
    x = np.minimum(np.asarray(pixels), 15).astype(np.uint8).reshape(-1, 1, 8, 8)
    y = np.asarray(labels, np.int64)
    order = np.random.default_rng(0).permutation(len(x))
    # NumPy may change its permutations one day; a different split would quietly train on test digits.
    if zlib.crc32(order.astype("<i8").tobytes()) != 0x9983A1CC:
        raise DataError("digits: this NumPy shuffles differently, so the test split would change; use another version")
    train, test = order[:1400], order[1400:]
    return Dataset("digits", x[train], y[train], x[test], y[test], 15)


def _idx_set(kind: str, folder: Path) -> Dataset:
    parts: list[np.ndarray] = []
    for stem in ("train", "t10k"):
        x, y = _idx(folder, f"{stem}-images-idx3-ubyte", 3), _idx(folder, f"{stem}-labels-idx1-ubyte", 1)
        if len(x) != len(y):
            raise DataError(f"{folder}: {stem} has {len(x)} images but {len(y)} labels; the files are no pair")
        if parts and x.shape[1:] != parts[0].shape[2:]:
            (h, w), (train_h, train_w) = x.shape[1:], parts[0].shape[2:]
            raise DataError(
                f"{folder}: test images of {h}x{w} pixels, but training images of {train_h}x{train_w}; the files are "
                "of two data sets"
            )
        parts += [x[:, None], y.astype(np.int64)]
    return Dataset(kind, *parts, high=255)


def _idx(folder: Path, name: str, axes: int) -> np.ndarray:
    """An IDX file of unsigned bytes: 0, 0, 8, number of axes, then the sizes as big-endian 32-bit numbers."""
    path = folder / name
    if not path.exists():
        path = folder / f"{name}.gz"
    if not path.exists():
        raise DataError(f"{folder / name}: no such file, and no {name}.gz either")
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            return _idx_array(file, path, axes, packed)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: damaged or truncated gzip file ({error})") from None


def _idx_array(file: IO[bytes] | gzip.GzipFile, path: Path, axes: int, packed: bool) -> np.ndarray:
    """What ``file``, unpacked, holds. Of the data no more is read than its header says, and one byte."""
    head = file.read(4 + 4 * axes)
    if head[:4] != bytes((0, 0, 8, axes)):
        raise DataError(f"{path}: not an IDX file of unsigned bytes with {axes} axes")
    sizes = [int.from_bytes(head[k : k + 4], "big") for k in range(4, len(head) - 3, 4)]
    wanted, there = math.prod(sizes), path.stat().st_size
    if len(sizes) == axes and not wanted:
        raise DataError(f"{path}: holds no image: its sizes are {' x '.join(map(str, sizes))}")
    most = unpacked_at_most(there) if packed else there
    data = file.read(wanted + 1) if len(sizes) == axes and wanted <= most else b""
    if len(data) != wanted or len(sizes) != axes:
        more = "more than" if len(data) > wanted else f"{len(data)} of" if data else "not"
        what = f"sizes {' x '.join(map(str, sizes))}" if len(sizes) == axes else "sizes, which are cut"
        raise DataError(f"{path}: truncated or too long: it holds {more} the bytes of its {what}")
    return np.frombuffer(data, np.uint8).reshape(sizes)


def _cifar10(folder: Path) -> Dataset:
    train = [_cifar_batch(folder / f"data_batch_{n}.bin") for n in range(1, 6)]
    test_x, test_y = _cifar_batch(folder / "test_batch.bin")
    return Dataset(
        "cifar10", np.concatenate([x for x, _ in train]), np.concatenate([y for _, y in train]), test_x, test_y, 255
    )


def _cifar_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Records of 3,073 bytes: the class, then red, green and blue 32x32."""
    if not path.exists():
        raise DataError(f"{path}: no such file; needed is the binary version of CIFAR-10")
    size = path.stat().st_size
    if not size or size % RECORD or size > MOST_RECORDS * RECORD:
        raise DataError(
            f"{path}: truncated or foreign: {size} bytes are no whole number of records of {RECORD} bytes, of which a "
            f"file has 10000 and at most {MOST_RECORDS}"
        )
    data = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, RECORD)
    if data[:, 0].max() > 9:
        record = int(data[:, 0].argmax())
        raise DataError(f"{path}: holds class {data[record, 0]} in record {record}; CIFAR-10 has classes 0..9")
    return data[:, 1:].reshape(-1, 3, 32, 32), data[:, 0].astype(np.int64)
