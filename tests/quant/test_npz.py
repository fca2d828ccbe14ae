"""Arrays of .npz files: headers first, nothing that was not asked for, nothing larger than it says."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from spikeloom.quant.files.npz import NpzError, NpzFile


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_as_numpy_reads_them(tmp_path: Path, save) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "a": rng.integers(-9, 9, (3, 1, 2, 2)), "f": np.asfortranarray(rng.random((3, 4))),
        "b": np.array([True, False]), "scalar": np.array(7, ">u2"), "none": np.zeros((0, 3), np.int8),
        "t": np.array(["x", "yz"]),
    }  # fmt: skip
    save(tmp_path / "a.npz", **arrays)
    with NpzFile(tmp_path / "a.npz") as file:
        assert file.names == list(arrays)
        for name, array in arrays.items():
            assert file.header(name) == (array.shape, array.dtype)
            found = file.array(name)
            assert found.dtype == array.dtype and np.array_equal(found, array)


def member(text: str) -> bytes:
    """A .npy file with a header of ``text`` and 8 bytes of data."""
    header = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(8)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (member("{'descr': '|u1', 'fortran_order': False, 'shape': (9,)}"), r"136 bytes do not fit its shape \(9,\)"),
        (member("{'descr': '|u1', 'fortran_order': False, 'shape': (-8, -1)}"), r"damaged: .* shape \(-8, -1\)"),
        (member("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"), r"must be of numbers, not object"),
        (member("{'descr': [('a', '<i8')], 'fortran_order': False, 'shape': (1,)}"), r"must be of numbers"),
        (member("{'descr': '|u1'}"), r"array 'a' cannot be read"),
        (member("(" * 110), r"array 'a' cannot be read"),
        (member("x" * 110), r"array 'a' cannot be read"),
        (b"\x93NUMPY\x09\x00", r"array 'a' cannot be read"),
        (b"", r"array 'a' cannot be read"),
    ],
)
def test_damaged_members_are_named(tmp_path: Path, data: bytes, message: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("a.npy", data)
    with NpzFile(tmp_path / "a.npz") as found, pytest.raises(NpzError, match=message):
        found.array("a")


def test_files_that_are_none(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    with pytest.raises(NpzError, match=r"one\.npz: is a \.npy file of one array; save it with np\.savez"):
        NpzFile(tmp_path / "one.npz")
    for text in (b"", b"text", b"PK\x05\x06"):
        (tmp_path / "x.npz").write_bytes(text)
        with pytest.raises(NpzError, match=r"x\.npz: not a readable \.npz file"):
            NpzFile(tmp_path / "x.npz")
    with pytest.raises(FileNotFoundError):
        NpzFile(tmp_path / "none.npz")
    with zipfile.ZipFile(tmp_path / "l.npz", "w", zipfile.ZIP_LZMA) as file:
        file.writestr("a.npy", member(""))
    with NpzFile(tmp_path / "l.npz") as found, pytest.raises(NpzError, match="is packed in another way"):
        found.header("a")
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as file, pytest.warns(UserWarning, match="Duplicate name"):
        file.writestr("a.npy", b"")
        file.writestr("a.npy", b"")
    with pytest.raises(NpzError, match="array 'a' is there twice"):
        NpzFile(tmp_path / "t.npz")
    np.savez(tmp_path / "b.npz", b=np.arange(100))
    damaged = (tmp_path / "b.npz").read_bytes().replace(np.int64(50).tobytes(), np.int64(51).tobytes())
    (tmp_path / "b.npz").write_bytes(damaged)
    with NpzFile(tmp_path / "b.npz") as found, pytest.raises(NpzError, match=r"'b' cannot be read \(Bad CRC-32"):
        found.array("b")


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": (300, 1 << 20)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        with file.open("a.npy", "w") as array:
            array.write(head.getvalue())
            for _ in range(300):
                array.write(bytes(1 << 20))
        file.writestr("b.npy", member("{'descr': '|u1', 'fortran_order': False, 'shape': (8,)}"))
    tracemalloc.start()
    with NpzFile(tmp_path / "a.npz") as found:
        with pytest.raises(NpzError, match=r"array 'a' would unpack from \d+ bytes to 3145\d+, more than 100 times"):
            found.array("a")
        assert found.array("b").tolist() == [0] * 8, "what is not asked for is not read"
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()
