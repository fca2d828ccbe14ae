"""How well integers find faces: what they find in photographs beside what the floats find.

``python -m examples.face_detector.compare NETWORK... --weights FILE`` prints a line an image and network.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import spikeloom
from spikeloom.quant.ir.network import Network
from spikeloom.quant.models.weights import fill

from . import photographs
from .boxes import SCORE, faces, overlaps
from .net import Slim

__all__ = ["Match", "floats", "integers", "matched", "real_numbers"]


@dataclass(frozen=True)
class Match:
    """What was found in an image: how many faces the floats find, ``wanted``; the ``overlap`` of each of them with the
    face of the integers that is its own, 0 where there is none; ``extra``, faces of the integers that are nobody's;
    ``score``, the largest difference of the scores of two that belong together."""

    wanted: int
    overlap: tuple[float, ...]
    extra: int
    score: float

    @property
    def least(self) -> float:
        """The smallest overlap, 1 where there is no face."""
        return min(self.overlap, default=1.0)


def matched(wanted: np.ndarray, found: np.ndarray) -> Match:
    """What the faces ``found`` (n, 5) have of those ``wanted`` (k, 5), as ``boxes.faces`` gives them: the pair with the
    largest overlap first, each face in one pair at most.

    >>> one = np.array([[0.0, 0.0, 10.0, 10.0, 0.9]])
    >>> matched(one, np.array([[0.0, 0.0, 10.0, 9.0, 0.8], [50.0, 50.0, 60.0, 60.0, 0.9]]))
    Match(wanted=1, overlap=(0.9,), extra=1, score=0.1)
    """
    table = np.array([overlaps(box[:4], found[:, :4]) for box in wanted]).reshape(len(wanted), len(found))
    overlap, score, left = np.zeros(len(wanted)), 0.0, table.copy()
    while left.size and left.max() > 0:
        k, j = np.unravel_index(left.argmax(), left.shape)
        overlap[k] = table[k, j]
        score = max(score, abs(float(wanted[k, 4] - found[j, 4])))
        left[k], left[:, j] = 0.0, 0.0
    pairs = int((overlap > 0).sum())
    return Match(len(wanted), tuple(overlap.round(4).tolist()), len(found) - pairs, round(score, 4))


@torch.no_grad()
def floats(model: torch.nn.Module, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """The maps of the float ``model`` for ``pixels`` (N, 3, H, W)."""
    found = [model((torch.from_numpy(part[None]).float() - 127) / 128) for part in pixels]
    return {name: torch.cat([maps[name] for maps in found]).numpy() for name in found[0]}


def real_numbers(network: Network, maps: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Integers of a design as real numbers, by the units that the network keeps."""
    units = json.loads(network.meta["units"])
    return {name: units[name] * found for name, found in maps.items()}


def integers(network: Network, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """The maps of the integers, by their golden model, as real numbers."""
    return real_numbers(network, spikeloom.outputs(network, pixels))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Compare what floats and integers find in photographs.")
    parser.add_argument("networks", nargs="+", type=Path, metavar="NETWORK")
    parser.add_argument("--weights", required=True, help="State dict of the floats.")
    parser.add_argument("--score", type=float, default=SCORE, help="Least score of a face.")
    given = parser.parse_args(arguments)
    pixels = photographs.testing()
    model = Slim().eval()
    fill(model, given.weights)
    wanted = faces(floats(model, pixels), *photographs.SIZE, given.score)
    found = {path: faces(integers(spikeloom.load(path), pixels), *photographs.SIZE, given.score)
             for path in given.networks}  # fmt: skip
    _print({path.stem: [matched(*pair) for pair in zip(wanted, of, strict=True)] for path, of in found.items()})


def _print(found: Mapping[str, Sequence[Match]]) -> None:
    """The table: a line an image, and one for all."""
    print("least overlap, extra faces and largest difference of scores")
    print(f"{'image':<34}{'faces':>6}", *(f"{name:>22}" for name in found))
    for k, views in enumerate(photographs.TESTED):
        matches = [of[k] for of in found.values()]
        shown = " ".join(dict.fromkeys(view.photograph for view in views))
        cells = [f"{f'{m.least:.3f}' if m.wanted else '-':>9}{m.extra:>4}{m.score:>9.3f}" for m in matches]
        print(f"{shown:<34}{matches[0].wanted:>6}", *cells)
    ends = [(min(m.least for m in of), sum(m.extra for m in of), max(m.score for m in of)) for of in found.values()]
    total = sum(m.wanted for m in next(iter(found.values())))
    print(f"{'all':<34}{total:>6}", *(f"{least:>9.3f}{extra:>4}{score:>9.3f}" for least, extra, score in ends))


if __name__ == "__main__":
    main()
