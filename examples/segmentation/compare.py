"""How well integers say what every pixel is, beside the floats that they were converted from.

``python -m examples.segmentation.compare NETWORK... --weights FILE`` prints a line for the floats and for each network:
the pixels that are right, of all and of each class the share of pixels that it is and is said to be of those that it
is or is said to be (intersection over union), and the pixels of which integers say what floats say.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

import spikeloom
from spikeloom.quant.ir.network import Network
from spikeloom.quant.models.weights import fill

from .data import CLASSES, TEST, testing
from .net import UNet

__all__ = ["floats", "integers", "unions"]


@torch.no_grad()
def floats(weights: str | Path, pixels: np.ndarray) -> np.ndarray:
    """The classes (N, H, W) that the floats of the file ``weights`` say for ``pixels`` (N, 1, H, W)."""
    model = UNet().eval()
    fill(model, str(weights))
    x = torch.from_numpy(pixels).float() / 255
    return torch.cat([model(part).argmax(1) for part in x.split(50)]).numpy()


def integers(network: Network, pixels: np.ndarray) -> np.ndarray:
    """The classes that the integers of ``network`` say, by its golden model: those of the hardware."""
    (scores,) = spikeloom.outputs(network, pixels).values()
    return scores.argmax(1)


def unions(said: np.ndarray, truth: np.ndarray) -> list[float]:
    """Of each class the pixels that are both ``said`` and true, as a share of those that are either.

    >>> unions(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]))[:2]
    [0.5, 0.6666666666666666]
    """
    found = []
    for kind in range(len(CLASSES)):
        either = (said == kind) | (truth == kind)
        found.append(float(((said == kind) & (truth == kind)).sum() / max(1, either.sum())))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Compare what floats and integers say of scenes to test on.")
    parser.add_argument("networks", nargs="+", type=Path, metavar="NETWORK")
    parser.add_argument("--weights", required=True, help="State dict of the floats.")
    parser.add_argument("-n", type=int, default=TEST, help="Scenes to test on.")
    given = parser.parse_args(arguments)
    tested = testing(given.n)
    wanted = floats(given.weights, tested.pixels)
    found = {"floats": wanted, **{path.stem: integers(spikeloom.load(path), tested.pixels) for path in given.networks}}
    print(f"{len(tested.pixels)} scenes, %")
    print(f"{'':<16}{'pixels right':>14}", *(f"{name:>12}" for name in CLASSES), f"{'as floats':>12}")
    for name, said in found.items():
        shares = [100 * union for union in unions(said, tested.truth)]
        right, same = (100 * float((said == other).mean()) for other in (tested.truth, wanted))
        print(f"{name:<16}{right:>14.2f}", *(f"{share:>12.2f}" for share in shares), f"{same:>12.2f}")


if __name__ == "__main__":
    main()
