"""What a model sees of an image: which numbers stand for black and white, and the mean and std that are taken off.

A model does not say it. PyTorch's own way, ``ToTensor`` and then ``Normalize``, is taken where nobody says otherwise:
0..1, less ``mean``, by ``std``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

__all__ = ["Seen", "SeenError", "as_numbers"]

UNIT = (0.0, 1.0)

_NUMBER = r"(-?[\d.]+(?:e[+-]?\d+)?)"
_RANGE = rf"{_NUMBER}\.\.{_NUMBER}"
_TEXT = re.compile(rf"(?:{_RANGE}|\({_RANGE} - mean\) / std, mean (.+?), std (.+?))(?: \(assumed\))?")
"""What ``str`` of a :class:`Seen` gives."""


class SeenError(ValueError):
    """A range, mean or std that no images have; the message names the option and the remedy."""


@dataclass(frozen=True)
class Seen:
    """``pixels``, the numbers for black and white; ``mean`` and ``std`` of such numbers, one for each channel or one
    for all, none: (0, 1); ``assumed``, whether nobody said any of it. Raises SeenError."""

    pixels: tuple[float, float] = UNIT
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    assumed: bool = False

    def __post_init__(self) -> None:
        low, high = self.pixels
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise SeenError(f"--pixel-range must be black and a larger number for white, not {low:g},{high:g}")
        pairs = (("mean", self.mean), ("std", self.std))
        for name, values in pairs:
            if not all(map(math.isfinite, values)):
                raise SeenError(f"--{name} must be finite numbers, not {_list(values)}")
        if min(self.std, default=1.0) <= 0:
            raise SeenError(f"--std must be positive, not {_list(self.std)}")
        given = " and ".join(f"--{name} {_list(values)}" for name, values in pairs if values)
        largest = max((*map(abs, self.mean), *self.std), default=0.0)
        if self.pixels == UNIT and largest > 1.5:
            raise SeenError(
                f"{given} are of pixels 0..255, but the model is said to "
                "see 0..1; divide them by 255, or, where the model takes (0..255 - mean) / std, add --pixel-range 0,255"
            )
        if high - low > 2 and self._normalised and largest <= 1.5:
            raise SeenError(
                f"{given} are of images in 0..1, but --pixel-range is "
                f"{low:g},{high:g}; leave that out, or give mean and std of such numbers"
            )

    @classmethod
    def of_text(cls, text: str) -> Seen:
        """What ``str`` of one says, as networks keep it. Raises SeenError where ``text`` is something else."""
        found = _TEXT.fullmatch(text)
        try:
            if found is None:
                raise ValueError
            low, high = (found[k] or found[k + 2] for k in (1, 2))
            listed = ("" if part in (None, "none") else part for part in found.group(5, 6))
            mean, std = (tuple(map(float, part.split(", "))) if part else () for part in listed)
            return cls((float(low), float(high)), mean, std, text.endswith(" (assumed)"))
        except ValueError as error:
            raise SeenError(
                f"the network says {text[:80]!r} of what its model sees, which is no range; give --pixel-range, --mean "
                f"and --std{f' ({error})' if isinstance(error, SeenError) else ''}"
            ) from None

    def for_channels(self, channels: int) -> Seen:
        """With a mean and a std for each of ``channels``. Raises SeenError where there are others."""
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (0, 1, channels):
                raise SeenError(f"--{name} has {len(values)} values, but an image has {channels} channels")
        mean, std = self.mean or (0.0,), self.std or (1.0,)
        return replace(self, mean=mean * (channels // len(mean)), std=std * (channels // len(std)))

    def then(self, normalised: tuple[tuple[float, ...], tuple[float, ...]] | None) -> Seen:
        """What the layers of a model see that normalises the image itself once more, by (mean, std), (C,) each; this
        one has values for each channel. Raises SeenError."""
        if normalised is None:
            return self
        pairs = zip(self.mean, self.std, *normalised, strict=True)
        both = [(mean + std * more, std * wider) for mean, std, more, wider in pairs]
        return replace(self, mean=tuple(m for m, _ in both), std=tuple(s for _, s in both))

    @property
    def _normalised(self) -> bool:
        return any(self.mean) or any(s != 1 for s in self.std)

    @property
    def plain(self) -> bool:
        """Whether the model sees 0..1 as it is."""
        return self.pixels == UNIT and not self._normalised

    def of_unit(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and std (C,) such that (x - mean) / std is what the model sees, of x in 0..1."""
        low, high = self.pixels
        return tuple((m - low) / (high - low) for m in self.mean), tuple(s / (high - low) for s in self.std)

    def images(self, pixels: np.ndarray, high: int) -> Tensor:
        """What the model sees of ``pixels`` (N, C, H, W) in 0..``high``, float32."""
        low, most = self.pixels
        x = torch.from_numpy(np.ascontiguousarray(pixels)).float() / high
        if self.pixels != UNIT:
            x = x * (most - low) + low
        if self._normalised:
            x = (x - torch.tensor(self.mean).view(-1, 1, 1)) / torch.tensor(self.std).view(-1, 1, 1)
        return x

    def others(self, high: int) -> Iterator[Seen]:
        """What a model may have seen in place of this: pixels as they are in files, and -1..1."""
        for pixels in (UNIT, (0.0, float(high)), (-1.0, 1.0)):
            if pixels != self.pixels:
                yield Seen(pixels, (0.0,) * len(self.mean), (1.0,) * len(self.std))

    def __str__(self) -> str:
        low, high = self.pixels
        text = f"{low:g}..{high:g}"
        if self._normalised:
            text = f"({text} - mean) / std, mean {_list(self.mean)}, std {_list(self.std)}"
        return f"{text} (assumed)" if self.assumed else text


def as_numbers(values: Sequence[float] | float | None) -> tuple[float, ...]:
    """One number or several, as a tuple."""
    if values is None:
        return ()
    return tuple(map(float, values)) if isinstance(values, Sequence | np.ndarray | Tensor) else (float(values),)


def _list(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values) or "none"
