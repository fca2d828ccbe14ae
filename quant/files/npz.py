"""Arrays of ``.npz`` files: what is not asked for is not read, and headers come before data.

A few bytes of such a file can say that they are thousands of millions; what they unpack to is bounded before anything
is unpacked.
"""

from __future__ import annotations

import math
import warnings
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

__all__ = ["Header", "NpzError", "NpzFile", "unpacked_at_most"]

SMALL = 64 << 20
"""Bytes that every file may unpack to."""

RATIO = 100
"""How many times its packed bytes a larger file may unpack to: images of zeros for the most part reach 60."""


class NpzError(ValueError):
    """A file that is no ``.npz`` or an array that cannot be read; the message names the file and the array."""


class Header(NamedTuple):
    """What an array is: ``shape`` and ``dtype``."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def unpacked_at_most(packed: int) -> int:
    """Bytes that ``packed`` bytes of a file may unpack to."""
    return max(SMALL, RATIO * packed)


class NpzFile:
    """The arrays in the file ``path``; use it in a ``with``. Raises NpzError, and FileNotFoundError.

    Attributes: ``names`` of the arrays.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with self.path.open("rb") as file:
            if file.read(6) == b"\x93NUMPY":
                raise NpzError(f"{path}: is a .npy file of one array; save it with np.savez(file, name=array)")
        try:
            self._zip = zipfile.ZipFile(self.path)
        except Exception as error:  # struct.error, NotImplementedError, ...: they have no common class
            raise NpzError(f"{path}: not a readable .npz file ({error})") from None
        files = [name.removesuffix(".npy") for name in self._zip.namelist() if name.endswith(".npy")]
        if twice := [name for name, number in Counter(files).items() if number > 1]:
            self._zip.close()
            raise NpzError(f"{path}: array {twice[0]!r} is there twice")
        self.names = files

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def header(self, name: str) -> Header:
        """Shape and dtype of an array. The data behind it are not read, but have the size that it says."""
        member = self._member(name)
        try:
            with self._zip.open(member) as file, warnings.catch_warnings():
                for kind in (SyntaxWarning, DeprecationWarning, UserWarning):  # not those of what is collected now
                    warnings.simplefilter("error", kind)
                read = {
                    (1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0,
                }[np.lib.format.read_magic(file)]  # fmt: skip
                shape, _, dtype = read(file)
                start = file.tell()
        except Exception as error:  # a parser of Python's own syntax is behind it
            raise self._unreadable(name, error) from None
        if dtype.hasobject or dtype.fields is not None or dtype.itemsize < 1:
            raise NpzError(f"{self.path}: array {name!r} must be of numbers, not {dtype}")
        size = math.prod(shape) * dtype.itemsize
        if any(type(n) is not int or n < 0 for n in shape) or start + size != member.file_size:
            raise NpzError(
                f"{self.path}: array {name!r} is damaged: its {member.file_size} bytes do not fit its shape {shape}"
            )
        if member.file_size > unpacked_at_most(member.compress_size):
            raise NpzError(
                f"{self.path}: array {name!r} would unpack from {member.compress_size} bytes to {member.file_size}, "
                f"more than {RATIO} times as many; if that is wanted, save it with np.savez, which does not pack"
            )
        return Header(shape, dtype)

    def array(self, name: str) -> np.ndarray:
        """An array, whole, and with the checksum that the file has of it."""
        shape, _ = self.header(name)
        try:
            with self._zip.open(self._member(name)) as file:
                found = np.lib.format.read_array(file, allow_pickle=False)
                file.read(1)  # the end is where the checksum is compared
        except Exception as error:
            raise self._unreadable(name, error) from None
        assert found.shape == shape
        return found

    def _member(self, name: str) -> zipfile.ZipInfo:
        if name not in self.names:
            raise NpzError(f"{self.path}: has no array {name!r}; it holds {', '.join(self.names) or 'nothing'}"[:1_000])
        member = self._zip.getinfo(f"{name}.npy")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others know no bound
            raise NpzError(f"{self.path}: array {name!r} is packed in another way than np.savez_compressed does")
        return member

    def _unreadable(self, name: str, error: Exception) -> NpzError:
        line = next(iter(str(error).splitlines()), "")[:200]
        return NpzError(f"{self.path}: array {name!r} cannot be read ({line or type(error).__name__})")
