"""Photographs that come with Python packages, cut into images for the detector: some to calibrate with, others to test
on. Nothing is downloaded.

``python -m examples.face_detector.photographs -o faces.npz`` writes both. It needs scikit-image, scikit-learn,
matplotlib and Pillow, the extra ``faces``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spikeloom.quant.extras import missing

__all__ = ["PHOTOGRAPHS", "SIZE", "View", "calibrating", "image", "testing", "write"]

SIZE = (240, 320)
"""Height and width of an image."""

FILL = 400
"""Pixels by which the edges of a photograph are repeated around it, so that views may reach beyond it."""


def _skimage(name: str) -> np.ndarray:
    from skimage import data

    found = getattr(data, name)()
    return found[0] if isinstance(found, tuple) else found  # of pairs for stereo the left one


def _sklearn(name: str) -> np.ndarray:
    from sklearn.datasets import load_sample_image

    return load_sample_image(name)


def _matplotlib(name: str) -> np.ndarray:
    from matplotlib import get_data_path
    from PIL import Image

    return np.array(Image.open(Path(get_data_path(), "sample_data", name)).convert("RGB"))


PHOTOGRAPHS: dict[str, tuple[Callable[[str], np.ndarray], str, tuple[int, int] | None]] = {
    "astronaut": (_skimage, "astronaut", (225, 120)),
    "cameraman": (_skimage, "camera", (240, 110)),
    "hopper": (_matplotlib, "grace_hopper.jpg", (255, 170)),
    "cat": (_skimage, "chelsea", None),
    "coffee": (_skimage, "coffee", None),
    "motorcycle": (_skimage, "stereo_motorcycle", None),
    "rocket": (_skimage, "rocket", None),
    "temple": (_sklearn, "china.jpg", None),
    "flower": (_sklearn, "flower.jpg", None),
}
"""What reads each, its name there, and the middle (x, y) of the face in it, where there is one."""


class View(NamedTuple):
    """A part of a photograph: ``height`` pixels of it, moved by shares ``right`` and ``down`` of the height from where
    the face is a bit above the middle; ``mirrored``, left and right."""

    photograph: str
    height: int
    right: float = 0.0
    down: float = 0.0
    mirrored: bool = False


TESTED: tuple[tuple[View, ...], ...] = (
    (View("astronaut", 600),),
    (View("astronaut", 512, 0.12, 0.06),),
    (View("astronaut", 400, -0.2, 0.1, True),),
    (View("astronaut", 300, 0.1, -0.1),),
    (View("astronaut", 220),),
    (View("astronaut", 160, 0.1, 0.05, True),),
    (View("hopper", 680, -0.1, 0.0),),
    (View("hopper", 512, 0.2, 0.05),),
    (View("hopper", 420, -0.15, 0.1, True),),
    (View("hopper", 340, 0.05, -0.05),),
    (View("cameraman", 560, 0.1, 0.1),),
    (View("cameraman", 400, -0.1, 0.05, True),),
    (View("cameraman", 280),),
    (View("astronaut", 400), View("hopper", 600, 0.1), View("cameraman", 350), View("temple", 400)),
    (View("hopper", 450), View("flower", 400), View("astronaut", 280, 0.1, 0.1, True), View("hopper", 700, -0.2)),
    (View("cat", 300),),
    (View("temple", 427),),
    (View("motorcycle", 500),),
)
"""Images to test on: one view, or four that share the image."""

CALIBRATED: tuple[tuple[View, ...], ...] = (
    *((View(name, height, right, down, mirrored),)
      for name, heights in (("astronaut", (660, 460, 340, 250, 190)), ("hopper", (600, 460, 380, 320)),
                            ("cameraman", (512, 340, 240)))
      for height, (right, down, mirrored) in zip(heights, ((0.06, 0.1, True), (-0.1, 0.0, False), (0.15, -0.1, True),
                                                           (-0.05, 0.1, False), (0.0, 0.08, False)), strict=False)),
    *((View(name, height),) for name in ("coffee", "rocket", "flower", "temple", "motorcycle", "cat")
      for height in (380, 220)),
    (View("astronaut", 500, 0.1), View("hopper", 520), View("cameraman", 300, 0.1), View("coffee", 400)),
    (View("hopper", 800), View("astronaut", 640, -0.1), View("rocket", 400), View("astronaut", 330, 0, 0.1, True)),
)  # fmt: skip
"""Images to calibrate with; none of them is one to test on, but they show the same three people."""


def image(views: tuple[View, ...]) -> np.ndarray:
    """One view as an image (240, 320, 3), or four of them as its quarters. Raises ImportError, naming the extra, where
    a package with photographs is missing."""
    height, width = SIZE
    if len(views) == 1:
        return _cut(views[0], height, width)
    parts = [_cut(view, height // 2, width // 2) for view in views]
    return np.concatenate([np.concatenate(parts[:2], 1), np.concatenate(parts[2:], 1)])


def testing() -> np.ndarray:
    """The images to test on, pixels (N, 3, 240, 320)."""
    return _channels_first(TESTED)


def calibrating() -> np.ndarray:
    """The images to calibrate with, pixels (N, 3, 240, 320)."""
    return _channels_first(CALIBRATED)


def write(path: Path) -> tuple[int, int]:
    """Write both to a file that commands take as ``--calibrate``, ``--test`` and ``--data``; how many they are."""
    tested, calibrated = testing(), calibrating()
    np.savez_compressed(path, frames=tested, train_frames=calibrated)
    return len(tested), len(calibrated)


def _channels_first(shown: tuple[tuple[View, ...], ...]) -> np.ndarray:
    return np.ascontiguousarray(np.stack([image(views) for views in shown]).transpose(0, 3, 1, 2))


def _cut(view: View, height: int, width: int) -> np.ndarray:
    """A view as pixels (height, width, 3)."""
    try:
        from PIL import Image

        read, name, face = PHOTOGRAPHS[view.photograph]
        pixels = read(name)
    except ImportError as error:
        raise ImportError(missing((error.name or "").partition(".")[0]) or str(error)) from None
    pixels = pixels if pixels.ndim == 3 else np.stack([pixels] * 3, -1)
    x, y = face or (pixels.shape[1] // 2, pixels.shape[0] // 2)
    tall, wide = view.height, view.height * width / height
    left = FILL + x + view.right * tall - wide / 2
    top = FILL + y + (view.down + (0.15 if face else 0.0)) * tall - tall / 2
    around = np.pad(pixels, ((FILL, FILL), (FILL, FILL), (0, 0)), mode="edge")
    box = (left, top, left + wide, top + tall)
    found = np.array(Image.fromarray(around).resize((width, height), Image.Resampling.BILINEAR, box=box))
    return found[:, ::-1] if view.mirrored else found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Write images of faces to a file.")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.npz")
    tested, calibrated = write(path := parser.parse_args().output)
    print(f"wrote {path}: {calibrated} images to calibrate with, {tested} to test on")


if __name__ == "__main__":
    main()
