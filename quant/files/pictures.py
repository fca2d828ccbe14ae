"""Folders of image files, read with Pillow (the extra ``images``): the folders in one are its classes, by their names.

What changes a picture is asked for, never done by itself: a picture of another size is refused, and so are colours for
a network that takes grey. Grey as three equal channels, and a palette as its colours, change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..extras import missing
from .spread import spread

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Folder", "PictureError", "Prepared", "is_parted", "listed", "read"]

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""What the names of image files end with."""

SPLITS = {"train": ("train", "training"), "test": ("test", "val", "valid", "validation")}
"""Folders in a folder that are no classes: parts of a data set, each with its classes."""


class PictureError(ValueError):
    """A folder or an image file that cannot be taken; the message names the file and the remedy."""


@dataclass(frozen=True)
class Prepared:
    """What is done to every picture, as torchvision's ``Resize`` and ``CenterCrop`` do: ``resize``, both sides
    (H, W), or the shorter one (side,), bilinear; then the middle of ``crop`` (H, W). Empty: nothing."""

    resize: tuple[int, ...] = ()
    crop: tuple[int, ...] = ()

    def __str__(self) -> str:
        return ", ".join(f"{what} {to}" for what, to in self.meta.items()) or "as they are"

    @property
    def meta(self) -> dict[str, str]:
        """The same as texts of a network."""
        sides = {"resize": self.resize, "crop": self.crop}
        return {what: "x".join(map(str, to)) for what, to in sides.items() if to}

    @classmethod
    def of_meta(cls, meta: Mapping[str, str]) -> Prepared:
        """What :attr:`meta` says. Raises PictureError where it is something else."""
        sides = {what: meta[what].split("x") if meta.get(what) else [] for what in ("resize", "crop")}
        for what, to in sides.items():
            if len(to) > 2 or not all(side.isdecimal() and 0 < int(side) < 1 << 16 for side in to):
                raise PictureError(f"meta: {what} must be a side or two, HxW, not {meta[what][:40]!r}")
        resize, crop = (tuple(map(int, to)) for to in sides.values())
        return cls(resize, crop)

    def of(self, picture: Image.Image) -> Image.Image:
        """The picture, prepared."""
        from PIL import Image

        wide, high = picture.size
        if self.resize:
            if len(self.resize) == 2:
                size = self.resize[1], self.resize[0]
            elif wide <= high:
                size = self.resize[0], max(1, int(self.resize[0] * high / wide))
            else:
                size = max(1, int(self.resize[0] * wide / high)), self.resize[0]
            picture = picture.resize(size, Image.Resampling.BILINEAR)
            wide, high = picture.size
        if self.crop:
            down, right = self.crop[0], self.crop[-1]
            if down > high or right > wide:
                raise PictureError(f"a crop of {down}x{right} does not fit {high}x{wide} pixels; resize it first")
            top, left = round((high - down) / 2), round((wide - right) / 2)
            picture = picture.crop((left, top, left + right, top + down))
        return picture


@dataclass(frozen=True)
class Folder:
    """The image files of a folder, in the order of their names: ``paths``; ``labels``, the number of the class of
    each, None where the folder has no folders; ``classes``, their names."""

    path: Path
    paths: list[Path]
    labels: np.ndarray | None
    classes: list[str]

    def some(self, count: int | None) -> Folder:
        """``count`` of the files, from all over them (:func:`~.spread.spread`)."""
        at = spread(len(self.paths), count)
        labels = None if self.labels is None else self.labels[at]
        return Folder(self.path, [self.paths[k] for k in at], labels, self.classes)


def listed(path: Path, split: str) -> Folder:
    """The files of the folder ``path``, or of the part of it for ``split`` ("train" or "test") where it has parts.
    Raises PictureError."""
    folders = sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    parts = {word: [e for e in folders if e.name.lower() in words] for word, words in SPLITS.items()}
    if folders and sum(map(len, parts.values())) == len(folders):
        if len(parts[split]) != 1:
            names = ", ".join(entry.name for entry in folders)
            raise PictureError(f"{path}: has {names}, of which one should be for {split!r}; name the one that is meant")
        return _classes(parts[split][0])
    return _classes(path)


def is_parted(path: Path) -> bool:
    """Whether the folder ``path`` has parts for training and test."""
    names = {entry.name.lower() for entry in path.iterdir() if entry.is_dir()}
    return all(names & set(words) for words in SPLITS.values())


def _classes(path: Path) -> Folder:
    entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    folders, files = [e for e in entries if e.is_dir()], [e for e in entries if _is_picture(e)]
    if folders and files:
        raise PictureError(
            f"{path}: has folders ({folders[0].name}, ...) and image files ({files[0].name}, ...); it should have "
            "folders alone, one a class, or files alone, whose classes nobody knows"
        )
    if not folders:
        if not files:
            raise PictureError(f"{path}: holds no image; known are files {', '.join(e[1:] for e in ENDINGS)}")
        return Folder(path, files, None, [])
    found = [sorted(e for e in folder.rglob("*") if _is_picture(e)) for folder in folders]
    for folder, files in zip(folders, found, strict=True):
        if not files:
            raise PictureError(f"{folder}: holds no image, but the folders of {path} are its classes; remove it")
    labels = np.repeat(np.arange(len(found)), [len(files) for files in found])
    return Folder(path, [file for files in found for file in files], labels, [folder.name for folder in folders])


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in ENDINGS and path.is_file() and not path.name.startswith(".")


def read(
    folder: Folder,
    shape: tuple[int, int, int] | None = None,
    prepared: Prepared | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """The pixels of all files of ``folder``, uint8 (N, C, H, W), of ``shape`` (C, H, W) where it is given: else of the
    size of the first one, with three channels where any file has colours.

    Raises PictureError where a file cannot be read, has more than 8 bits, see-through pixels, or another size.
    """
    try:
        import PIL.Image  # noqa: F401
    except ImportError:
        raise PictureError(f"{folder.path}: {missing('PIL')}") from None
    found, size = list[np.ndarray](), None if shape is None else shape[1:]
    for path in folder.paths:
        pixels = _pixels(path, prepared or Prepared())
        size = size or pixels.shape[1:]
        if pixels.shape[1:] != size:
            other = "the network takes" if shape else f"{folder.paths[0].name} has"
            raise PictureError(
                f"{path}: has {pixels.shape[1]}x{pixels.shape[2]} pixels (height x width), but {other} {size[0]}x"
                f"{size[1]}; when converting, scale all with --resize {size[0]},{size[1]}, or by the shorter side and "
                "cut out the middle with --resize N --crop M"
            )
        if shape and shape[0] == 1 and len(pixels) == 3:
            raise PictureError(f"{path}: has colours, but the network takes one channel; make grey images of them")
        found.append(pixels)
        if progress:
            progress(len(found), len(folder.paths))
    channels = shape[0] if shape else max(map(len, found))
    if channels not in (1, 3):
        raise PictureError(f"{folder.path}: images have 1 or 3 channels, but the network takes {channels}; use .npz")
    return np.stack([np.broadcast_to(pixels, (channels, *pixels.shape[1:])) for pixels in found])


def _pixels(path: Path, prepared: Prepared) -> np.ndarray:
    """One picture, uint8 (C, H, W) of one or three channels."""
    from PIL import Image

    try:
        with Image.open(path) as file:
            picture: Any = _plain(file, path)
    except PictureError:
        raise
    except Exception as error:  # of the many formats
        line = next(iter(str(error).splitlines()), type(error).__name__)[:200]
        raise PictureError(f"{path}: cannot be read as an image ({line})") from None
    try:
        picture = prepared.of(picture)
    except PictureError as error:
        raise PictureError(f"{path}: {error}") from None
    array = np.asarray(picture)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _plain(picture: Image.Image, path: Path) -> Image.Image:
    """The picture in grey or colours of 8 bits, where that loses nothing."""
    bands: Sequence[str] = picture.getbands()
    if picture.mode.startswith(("I", "F")):
        raise PictureError(f"{path}: has more than 8 bits a channel ({picture.mode}); make 8-bit images of them")
    if picture.mode in ("1", "L", "RGB"):
        return picture.convert("L" if picture.mode != "RGB" else "RGB")
    if picture.mode in ("CMYK", "LAB", "HSV", "YCbCr"):
        raise PictureError(f"{path}: has the colours {picture.mode}, which no network sees; make RGB images of them")
    if "A" in bands or "transparency" in picture.info:
        whole = picture.convert("RGBA")
        if np.asarray(whole)[..., 3].min() < 255:
            raise PictureError(f"{path}: has see-through pixels, whose colour nobody knows; put it on a background")
        return whole.convert("L" if picture.mode == "LA" else "RGB")
    return picture.convert("RGB")
