"""Data sets: the one split of the digits, and files that are missing, cut or foreign."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeloom.quant import data
from spikeloom.quant.data import DataError, Dataset, load
from spikeloom.quant.files.folders import VARIABLE, data_file, portable
from spikeloom.quant.ir.workloads import workload_frames

ROOT = Path(__file__).parents[2]
IMAGES, LABELS = "images-idx3-ubyte", "labels-idx1-ubyte"


def test_digits_are_split_as_the_standing_workloads_are() -> None:
    digits = load("digits")
    frames, labels, _ = workload_frames(ROOT / "benchmarks" / "digits-w4a4.npz", "cnn")
    assert np.array_equal(digits.test_x, frames) and np.array_equal(digits.test_y, labels)
    assert digits.train_x.shape == (1400, 1, 8, 8) and digits.train_x.dtype == np.uint8 and digits.train_x.max() == 15
    assert (digits.high, digits.shape, digits.classes) == (15, (1, 8, 8), 10)
    train, test = ({x.tobytes() for x in images} for images in (digits.train_x, digits.test_x))
    assert len(train) == 1400 and not train & test


def test_a_changed_shuffle_is_noticed(monkeypatch) -> None:
    class Other:
        @staticmethod
        def permutation(n: int) -> np.ndarray:
            return np.arange(n)

    load("digits")  # what it imports draws random numbers while it is imported
    monkeypatch.setattr(data.np.random, "default_rng", lambda seed: Other)
    with pytest.raises(DataError, match="this NumPy shuffles differently"):
        load("digits")


def idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for stem, n in (("train", 5), ("t10k", 3)):
        (tmp_path / f"{stem}-{IMAGES}").write_bytes(idx(rng.integers(0, 256, (n, 4, 3), np.uint8)))
        (tmp_path / f"{stem}-{LABELS}.gz").write_bytes(gzip.compress(idx(np.arange(n, dtype=np.uint8))))
    return tmp_path


def test_idx_files_plain_and_packed(mnist: Path) -> None:
    found = load(f"mnist:{mnist}")
    rng = np.random.default_rng(0)
    assert np.array_equal(found.train_x[:, 0], rng.integers(0, 256, (5, 4, 3), np.uint8))
    assert np.array_equal(found.test_x[:, 0], rng.integers(0, 256, (3, 4, 3), np.uint8))
    assert found.train_y.tolist() == [0, 1, 2, 3, 4] and found.test_y.tolist() == [0, 1, 2]
    assert (found.name, found.high, found.shape, found.train_x.dtype) == ("mnist", 255, (1, 4, 3), np.uint8)


def test_fewer_bits_keep_the_upper_ones(mnist: Path) -> None:
    found = load(f"fashion:{mnist}")
    assert np.array_equal(found.with_bits(3).test_x, found.test_x // 32) and found.with_bits(3).high == 7
    with pytest.raises(DataError, match=r"fashion: pixels have 8 bits, so input_bits must be in 1\.\.8, not 9"):
        found.with_bits(9)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (f"train-{IMAGES}", None, rf"train-{IMAGES}: no such file"),
        (f"train-{IMAGES}", lambda b: b[:-1], r"truncated or too long"),
        (f"train-{IMAGES}", lambda b: b + b"x", r"truncated or too long"),
        (f"train-{IMAGES}", lambda b: b[:9], r"truncated or too long"),
        (f"t10k-{IMAGES}", lambda b: b"", r"not an IDX file of unsigned bytes with 3 axes"),
        (f"t10k-{IMAGES}", lambda b: b"\x89PNG" + b, r"not an IDX file of unsigned bytes with 3 axes"),
        (f"t10k-{LABELS}.gz", lambda b: b[:-9], r"t10k-labels-idx1-ubyte\.gz: damaged or truncated gzip"),
        (f"t10k-{LABELS}.gz", lambda b: gzip.compress(idx(np.zeros(4, np.uint8))), r"t10k has 3 images but 4 labels"),
    ],
)
def test_bad_idx_files_are_named(mnist: Path, name: str, change, message: str) -> None:
    path = mnist / name
    if change:
        path.write_bytes(change(path.read_bytes()))
    else:
        path.unlink()
    with pytest.raises(DataError, match=message):
        load(f"mnist:{mnist}")


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (f"t10k-{IMAGES}", np.zeros((3, 4, 4), np.uint8), r"test images of 4x4 pixels, but training images of 4x3"),
        (f"train-{IMAGES}", np.zeros((0, 4, 3), np.uint8), rf"train-{IMAGES}: holds no image: its sizes are 0 x 4 x 3"),
        (f"train-{IMAGES}", np.zeros((5, 0, 3), np.uint8), rf"train-{IMAGES}: holds no image: its sizes are 5 x 0 x 3"),
        (f"train-{IMAGES}", np.zeros(5, np.uint8), r"not an IDX file of unsigned bytes with 3 axes"),
    ],
)
def test_idx_files_of_another_shape_are_named(mnist: Path, name: str, array: np.ndarray, message: str) -> None:
    (mnist / name).write_bytes(idx(array))
    with pytest.raises(DataError, match=message):
        load(f"mnist:{mnist}")


def test_an_idx_file_unpacks_to_what_it_says_and_no_more(mnist: Path) -> None:
    header, zeros = bytes((0, 0, 8, 1, 0, 0, 0, 5)), bytes(1 << 20)
    labels = mnist / f"train-{LABELS}.gz"
    # 300 MiB behind a header of five labels, and behind one of as many as there are.
    for head in (header, bytes((0, 0, 8, 1)) + (300 << 20).to_bytes(4, "big")):
        with gzip.open(labels, "wb", 1) as file:
            file.write(head)
            for _ in range(300):
                file.write(zeros)
        tracemalloc.start()
        with pytest.raises(DataError, match=r"truncated or too long: it holds (more than|not) the bytes of its sizes"):
            load(f"mnist:{mnist}")
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
        tracemalloc.stop()
    # Sizes whose product does not fit 64 bits.
    (mnist / f"train-{IMAGES}").write_bytes(bytes((0, 0, 8, 3)) + b"\x80\0\0\0" * 3)
    with pytest.raises(DataError, match="truncated or too long: it holds not the bytes of its sizes 2147483648 x 2147"):
        load(f"mnist:{mnist}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_x": np.zeros((2, 1, 2), np.uint8)}, r"own: train_x must be uint8 pixels 0\.\.3 of shape \(N, C, H"),
        ({"train_x": np.full((2, 1, 2, 2), 4, np.uint8)}, r"own: train_x .* not uint8 \(2, 1, 2, 2\) up to 4"),
        ({"test_x": np.zeros((0, 1, 2, 2), np.uint8), "test_y": np.zeros(0, np.int64)}, r"own: test_x .* at least one"),
        ({"train_y": np.array([0, -1])}, r"own: train_y must be int64 classes .* not int64 \(2,\) from -1"),
        ({"train_y": np.array([0, 1, 1])}, r"own: train_y .* of shape \(2,\), not int64 \(3,\)"),
        ({"train_y": np.array([0.0, 1.0])}, r"own: train_y .* not float64"),
        ({"test_x": np.zeros((2, 1, 2, 3), np.uint8)}, r"own: test_x has images of shape \(1, 2, 3\), train_x of \("),
    ],
)
def test_arrays_that_are_no_data_set(change: dict[str, np.ndarray], message: str) -> None:
    x, y = np.zeros((2, 1, 2, 2), np.uint8), np.array([0, 1])
    good: dict[str, Any] = {"train_x": x, "train_y": y, "test_x": x, "test_y": y}
    Dataset("own", **good, high=3)
    with pytest.raises(DataError, match=message):
        Dataset("own", **(good | change), high=3)


@pytest.fixture
def cifar(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    for k, name in enumerate([*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"]):
        records = rng.integers(0, 256, (2, 3073), np.uint8)
        records[:, 0] = k
        records[:, 1] = 100 + k  # the first red pixel
        records[:, 2] = 150 + k  # the red one beside it
        records[:, 33] = 50 + k  # the red one below it
        records[:, -1] = 200 + k  # the last blue one
        (tmp_path / name).write_bytes(records.tobytes())
    return tmp_path


def test_cifar10_binary(cifar: Path) -> None:
    found = load(f"cifar10:{cifar}")
    assert found.train_x.shape == (10, 3, 32, 32) and found.test_x.shape == (2, 3, 32, 32)
    assert found.train_y.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4] and found.test_y.tolist() == [5, 5]
    assert found.train_x[::2, 0, 0, 0].tolist() == [100, 101, 102, 103, 104]
    assert (found.test_x[0, 0, 0, 1], found.test_x[0, 0, 1, 0], found.test_x[0, 2, 31, 31]) == (155, 55, 205)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b[:-1], r"data_batch_3\.bin: truncated or foreign: 6145 bytes"),
        (lambda b: b"", r"data_batch_3\.bin: truncated or foreign: 0 bytes"),
        (lambda b: b"\x0a" + b[1:], r"data_batch_3\.bin: holds class 10 in record 0; CIFAR-10 has classes 0\.\.9"),
    ],
)
def test_bad_cifar_files_are_named(cifar: Path, change, message: str) -> None:
    path = cifar / "data_batch_3.bin"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(DataError, match=message):
        load(f"cifar10:{cifar}")
    path.unlink()
    with pytest.raises(DataError, match=r"data_batch_3\.bin: no such file"):
        load(f"cifar10:{cifar}")


def test_the_folder_of_a_data_set_is_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(DataError, match=r"'mnist' needs the folder of its files: name it with mnist:DIR, or set SPIKE"):
        load("mnist")
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(DataError, match=rf"{tmp_path}/cifar10: no such folder"):
        load("cifar10")
    (tmp_path / "cifar-10-batches-bin").mkdir()
    with pytest.raises(DataError, match=rf"{tmp_path}/cifar-10-batches-bin/data_batch_1.bin: no such file"):
        load("cifar10")


def test_a_file_of_weights_is_looked_for_there_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert data_file("weights/x.th") == tmp_path / "weights/x.th" and data_file("/a/x.th") == Path("/a/x.th")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.th").touch()
    assert data_file("x.th") == Path("x.th"), "what is in the working folder comes first"
    assert [portable(name) for name in ("w/x.th", "/a/x.th", "../a/x.th")] == ["w/x.th", "x.th", "x.th"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("imagenet:x", r"Data set 'imagenet:x' is unknown; supported: digits, mnist:DIR"),
        ("mnist:/no/such/folder", r"/no/such/folder: no such folder"),
    ],
)
def test_bad_names(spec: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(spec)


@pytest.mark.parametrize("kind", ["mnist", "fashion"])
def test_the_real_files(kind: str, real: Callable[[str], Dataset]) -> None:
    found = real(kind)
    assert found.train_x.shape == (60000, 1, 28, 28) and found.test_x.shape == (10000, 1, 28, 28)
    assert np.bincount(found.test_y).min() > 800 and found.train_x.max() == 255
