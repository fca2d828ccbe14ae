"""What a board gives, by the names of its network, and how it differs from the golden model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..link import BoardResult, Info, LinkError
from ..quant.ir.network import Network

__all__ = ["difference", "differs", "given_by"]


def given_by(results: Sequence[BoardResult], info: Info, network: Network | None) -> dict[str, np.ndarray]:
    """What a board gave, by name, as the golden model has it: maps (N, C, H, W) and then logits (N, C), int32.

    A board knows no names: without the network they are map0, map1, .. and logits. Raises LinkError where its maps are
    not those of the network.
    """
    maps = [f"map{k}" for k in range(len(info.maps))]
    if network is not None:
        maps = [node.name for node in network.maps]
        shapes = [network.signals[name].shape for name in maps]
        if shapes != [(each.channels, each.height, each.width) for each in info.maps]:
            raise LinkError(f"The board's maps are not those of the network, {network.gives}; build the board's design "
                            "again")
    found = {}
    for k, (name, each) in enumerate(zip(maps, info.maps, strict=True)):
        numbers = np.frombuffer(b"".join(result.maps[k] for result in results), each.dtype)
        found[name] = numbers.reshape(-1, each.height, each.width, each.channels).transpose(0, 3, 1, 2).astype(np.int32)
    if info.classes:
        last = "logits" if network is None else network.nodes[-1].name
        found[last] = np.array([result.logits for result in results], np.int32)
    return found


def differs(given: Mapping[str, np.ndarray], golden: Mapping[str, np.ndarray],
            classes: Sequence[int]) -> dict[str, np.ndarray]:
    """By output whether a board differs from the golden model, (N,); ``classes`` (N,) that it told, where it did."""
    found = {}
    for name, numbers in given.items():
        found[name] = (numbers != golden[name]).reshape(len(numbers), -1).any(1)
        if numbers.ndim == 2:
            found[name] |= golden[name].argmax(1) != classes
    return found


def difference(given: Mapping[str, np.ndarray], golden: Mapping[str, np.ndarray], classes: Sequence[int]) -> str:
    """The first image that differs from the golden model, and its first number, in words."""
    found = differs(given, golden, classes)
    k, name = min((int(wrong.argmax()), name) for name, wrong in found.items() if wrong.any())
    board, model = given[name][k], golden[name][k]
    if board.ndim == 1 and classes[k] != model.argmax():
        return f"image {k}: class {classes[k]}, not {model.argmax()}"
    at = np.argwhere(board != model)[0]
    where = f"logit {at[0]}" if board.ndim == 1 else "channel {}, row {}, column {}".format(*at)
    return f"image {k}: {name}, {where}: {board[tuple(at)]}, not {model[tuple(at)]}"
