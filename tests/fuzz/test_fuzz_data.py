"""Images: .npz frames, IDX files plain and packed, CIFAR-10; read as far as a command does, or refused."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small
from fuzzing import ODD_NUMBERS, Format, changed, few, many

from spikeloom import api
from spikeloom.quant.data import RECORD, load

NETWORK = small.network()
DTYPES = ("u1", "i1", "i8", "u8", ">u2", "f4", "f8", "?", "O", "U3", "c8", "M8[s]", "V4")


def write_npz(rng: np.random.Generator, folder: Path) -> Path:
    """A file of frames with odd arrays, a bomb, or a few changed bytes."""
    path = folder / "frames.npz"
    arrays: dict[str, Any] = {"frames": small.frames(6), "labels": np.arange(6) % 3, "other": np.zeros(3)}
    kind = int(rng.integers(6))
    if kind == 0:
        odd = rng.integers(-2, 5, rng.integers(0, 7, int(rng.integers(0, 6))))
        odd = odd.astype(DTYPES[int(rng.integers(len(DTYPES)))])
        arrays[["frames", "labels"][int(rng.integers(2))]] = odd
    if kind == 1:
        del arrays[list(arrays)[int(rng.integers(3))]]
    [np.savez, np.savez_compressed][int(rng.integers(2))](path, **arrays)
    if kind == 2:  # a bomb: zeros, or a header that promises them
        head = io.BytesIO()
        shape = (int(10 ** rng.uniform(3, 12)), *((1, 2, 2) if rng.integers(2) else ()))
        np.lib.format.write_array_header_2_0(head, {"descr": "|u1", "fortran_order": False, "shape": shape})
        packed = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        with packed as file, file.open("frames.npy", "w") as to:
            to.write(head.getvalue())
            for _ in range(min(int(np.prod(shape, dtype=float)) >> 20, 80)):
                to.write(bytes(1 << 20))
            to.write(bytes(int(np.prod(shape, dtype=object)) & 0xFFFFF))
    elif kind > 2:
        path.write_bytes(changed(rng, path.read_bytes()))
    return path


def read_npz(path: Path) -> None:
    """As ``eval`` does."""
    frames = api.frames(NETWORK, str(path))
    if frames.labels is not None:
        NETWORK.check_labels(frames.labels)


def write_idx(rng: np.random.Generator, folder: Path) -> Path:
    """A folder as MNIST's, in which one file is odd."""
    odd = int(rng.integers(4))
    for k, (stem, n) in enumerate((("train-images", 5), ("train-labels", 5), ("t10k-images", 3), ("t10k-labels", 3))):
        axes = [n] if "labels" in stem else [n, 4, 3]
        data = rng.integers(0, 10, axes).astype("u1").tobytes()
        if k == odd and not rng.integers(3):
            axes[int(rng.integers(len(axes)))] = ODD_NUMBERS[int(rng.integers(len(ODD_NUMBERS)))] % 2**32
            data += bytes(int(10 ** rng.uniform(0, 8.5))) if rng.integers(2) else b""
        data = bytes((0, 0, 8, len(axes))) + np.array(axes, ">u4").tobytes() + data
        packed = bool(rng.integers(2))
        data = gzip.compress(data, 1) if packed else data
        data = changed(rng, data) if k == odd and rng.integers(2) else data
        (folder / f"{stem}-idx{len(axes)}-ubyte{'.gz' if packed else ''}").write_bytes(data)
    return folder


def write_cifar(rng: np.random.Generator, folder: Path) -> Path:
    """A folder as CIFAR-10's, in which one file is odd."""
    odd = int(rng.integers(6))
    for k, name in enumerate([*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"]):
        records = rng.integers(0, 10, (2, RECORD)).astype("u1")
        data = records.tobytes()
        match int(rng.integers(4)) if k == odd else -1:
            case 0:
                records[:, 0] = rng.integers(0, 256)
                data = records.tobytes()
            case 1:
                data = changed(rng, data)
            case 2:
                data *= int(10 ** rng.uniform(0, 2))
        (folder / name).write_bytes(data)
        if k == odd and not rng.integers(4):
            with (folder / name).open("r+b") as file:  # a sparse file
                file.truncate(RECORD * int(10 ** rng.uniform(0, 7)))
    return folder


FORMATS = {
    "npz": Format(write_npz, read_npz),
    "idx": Format(write_idx, lambda folder: load(f"mnist:{folder}")),
    "cifar": Format(write_cifar, lambda folder: load(f"cifar10:{folder}")),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_few_inputs(name: str) -> None:
    few(FORMATS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_many_inputs(name: str) -> None:
    many(__file__, name)
